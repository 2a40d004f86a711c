"""Measures what masking costs in coding: format 2 against format 1, in turns.

    python benchmarks/masking.py [--rounds 7] [--size 512 768] [--only NAME…]

Networks of format 1 see the whole canvas; those of format 2 mask what lies beyond the
image. Encodes and decodes a random image with random models of the sizes of CompressAI
and of Zhu et al., in one format after the other. Prints the median seconds in each
format, and the median ratio of the turns.
"""

import statistics
import time
from typing import Annotated

import numpy as np
import tyro

from jaxcorr import codec, runtime, saved_model
from jaxcorr.bitstream import coding
from jaxcorr.codec import CodecConfig
from jaxcorr.context import channelwise
from jaxcorr.context.checkerboard import Checkerboard
from jaxcorr.model import Model
from jaxcorr.transforms import cheng, minnen, swin

MODELS = {
    "Minnen 128/192": CodecConfig(transforms=minnen.SIZES["128-192"]),
    "Minnen 128/192 checkerboard": CodecConfig(
        transforms=minnen.SIZES["128-192"], context=Checkerboard()
    ),
    "Minnen 192/320 ChARM": CodecConfig(
        transforms=minnen.SIZES["192-320"], context=channelwise.LIGHT
    ),
    "Cheng 128": CodecConfig(transforms=cheng.SIZES["128"]),
    "SwinT S": CodecConfig(transforms=swin.SIZES["S"]),
}
Rounds = Annotated[int, tyro.conf.arg(help="Turns of each format.")]
Only = Annotated[
    tuple[str, ...], tyro.conf.arg(help="Names of models; all by default.")
]
Size = Annotated[tuple[int, int], tyro.conf.arg(help="Height and width of the image.")]


def make_model(settings: CodecConfig) -> Model:
    """Returns a random model."""
    rng = np.random.default_rng(0)
    shapes = codec.abstract_parameters(settings)
    parameters = {
        name: np.asarray(
            rng.normal(0, max(1, np.prod(array.shape[:-1])) ** -0.5, array.shape)
            if array.ndim > 1
            else np.ones(array.shape),
            np.float32,
        )
        for name, array in shapes.items()
    }
    return saved_model.make_model(settings, parameters)


def seconds(model: Model, image: np.ndarray, version: int) -> float:
    """Returns the seconds to encode and decode an image."""
    start = time.perf_counter()
    container, _ = coding.encode(model, image, version=version)
    coding.decode(model, container)
    return time.perf_counter() - start


def main(rounds: Rounds = 7, size: Size = (512, 768), only: Only = ()) -> None:
    """Prints a row for each model."""
    runtime.retain_freed_memory()
    image = np.random.default_rng(0).integers(0, 256, (*size, 3), np.uint8)
    print(f"{'model':30}{'format 1':>10}{'format 2':>10}{'ratio':>8}")
    for name in only or MODELS:
        settings = MODELS[name]
        model = make_model(settings)
        for version in (1, 2):
            seconds(model, image, version)  # Compiles the programs.
        turns = [[seconds(model, image, x) for x in (1, 2)] for _ in range(rounds)]
        before, after = map(statistics.median, zip(*turns, strict=True))
        ratio = statistics.median(new / old for old, new in turns)
        print(f"{name:30}{before:9.2f}s{after:9.2f}s{ratio:8.3f}", flush=True)


if __name__ == "__main__":
    with runtime.exit_on_user_error():
        tyro.cli(main)
