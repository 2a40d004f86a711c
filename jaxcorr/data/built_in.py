"""Photographs that scikit-image packages: something to train on without a download."""

import functools
import importlib.resources
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from jaxcorr import images
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
"""All that a camera took and that has 256 pixels or more on a side, but `HELD_OUT`."""

HELD_OUT = ("chelsea.png", "coffee.png")
"""Photographs that are never trained on."""


class BuiltInPhotographs:
    """Packaged photographs that a crop fits into, decoded once and kept."""

    def __init__(self, names: Sequence[str], *, crop_size: int):
        """Decodes them.

        Raises:
          UserError: If a crop fits into none of them.
        """
        decoded = [_decode(name) for name in names]
        largest = max(min(image.shape[:2]) for image in decoded)
        if crop_size > largest:
            raise UserError(
                f"data.crop-size must be at most {largest} with the built-in "
                f"photographs, but is {crop_size}"
            )
        self._images = [x for x in decoded if min(x.shape[:2]) >= crop_size]

    def __len__(self) -> int:
        """How many a crop fits into."""
        return len(self._images)

    def __getitem__(self, index: int) -> UInt8[np.ndarray, "h w 3"]:
        """A photograph; read-only, as others share it."""
        return self._images[index]


def held_out_paths() -> list[Path]:
    """Files of the photographs that are never trained on."""
    return [_path(name) for name in HELD_OUT]


@functools.cache
def _decode(name: str) -> np.ndarray:
    image, _ = images.read_image(_path(name))
    image.flags.writeable = False
    return image


def _path(name: str) -> Path:
    # Locates the package, which loads none of its submodules.
    return Path(str(importlib.resources.files("skimage") / "data" / name))
