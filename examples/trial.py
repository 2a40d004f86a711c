"""Shared code of the examples: crops of photographs, and a table of results."""

import argparse
from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np
import skimage

TRAINING, HELD_OUT = ("astronaut", "chelsea", "rocket"), ("coffee",)


def batches(
    size: int, *, count: int = 8, names: Sequence[str] = TRAINING
) -> Iterator[np.ndarray]:
    """Yields batches of random crops, the same at every call.

    Args:
      size: Side of a crop, in pixels.
      count: Crops in a batch.
      names: Photographs of scikit-image.

    Yields:
      Crops of shape [count, size, size, 3], in [0, 1].
    """
    photographs = [getattr(skimage.data, name)()[..., :3] for name in names]
    rng = np.random.default_rng(0)
    while True:
        crops = []
        for index in rng.integers(len(photographs), size=count):
            photograph = photographs[index]
            row, column = (rng.integers(n - size + 1) for n in photograph.shape[:2])
            crops.append(photograph[row : row + size, column : column + size])
        yield np.stack(crops).astype(np.float32) / 255


def compare(train: Callable[..., Mapping[str, float]], title: str) -> None:
    """Trains a codec with each weight of the loss, and prints a table of the results.

    Args:
      train: Function of the weight and of `steps`. It trains a codec, and returns the
        means of `bpp`, `psnr_db`, `correlation` and `normalized_square` on crops of a
        held-out photograph.
      title: Description for the command line's help.
    """
    parser = argparse.ArgumentParser(description=title)
    parser.add_argument("--steps", type=int, default=1000)
    parser.add_argument("--weights", type=float, nargs="+", default=[0.0, 0.1])
    arguments = parser.parse_args()
    print(f"{'α':>5}    bpp  PSNR dB  correlation  mean of normalized²")
    for weight in arguments.weights:
        terms = train(weight, steps=arguments.steps)
        print(
            f"{weight:5g} {terms['bpp']:6.3f} {terms['psnr_db']:8.2f} "
            f"{terms['correlation']:12.4f} {terms['normalized_square']:20.3f}",
            flush=True,
        )
