"""Photographs packaged with scikit-image, for training without a download."""

import functools
import importlib.resources
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from jaxcorr import extras, images
from jaxcorr.errors import UserError

TRAINING = (
    "astronaut.png",
    "brick.png",
    "camera.png",
    "cell.png",
    "clock_motion.png",
    "coins.png",
    "grass.png",
    "gravel.png",
    "hubble_deep_field.jpg",
    "ihc.png",
    "moon.png",
    "motorcycle_left.png",
    "motorcycle_right.png",
    "retina.jpg",
    "rocket.jpg",
)
"""Photographs of at least 256 pixels on each side, except `HELD_OUT`."""

HELD_OUT = ("chelsea.png", "coffee.png")
"""Photographs for evaluation, which are never trained on."""


class BuiltInPhotographs:
    """A data source of packaged photographs that are no smaller than a crop.

    Photographs are decoded once and kept in memory.

    Args:
      names: File names in scikit-image's folder of data.
      crop_size: Side of a crop, in pixels.

    Raises:
      UserError: If every photograph is smaller than a crop.
    """

    def __init__(self, names: Sequence[str], *, crop_size: int):
        decoded = [_decode(name) for name in names]
        largest = max(min(image.shape[:2]) for image in decoded)
        if crop_size > largest:
            raise UserError(
                f"data.crop-size must be at most {largest} with the built-in "
                f"photographs, but is {crop_size}"
            )
        self._images = [x for x in decoded if min(x.shape[:2]) >= crop_size]

    def __len__(self) -> int:
        """Returns the number of photographs."""
        return len(self._images)

    def __getitem__(self, index: int) -> UInt8[np.ndarray, "h w 3"]:
        """Returns a photograph. The array is read-only, as it is shared."""
        return self._images[index]


def held_out_paths() -> list[Path]:
    """Returns the files of the photographs for evaluation."""
    return [_path(name) for name in HELD_OUT]


@functools.cache
def _decode(name: str) -> np.ndarray:
    image, _ = images.read_image(_path(name))
    image.flags.writeable = False
    return image


def _path(name: str) -> Path:
    # Locating the package imports none of its submodules.
    with extras.needs_extra("train", "the source builtin"):
        package = importlib.resources.files("skimage")
    return Path(str(package / "data" / name))
