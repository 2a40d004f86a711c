"""Tiles of photographs: how photographs are made smaller, cut and stored."""

import dataclasses
import itertools
from collections.abc import Iterator

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from jaxcorr.errors import UserError


@dataclasses.dataclass(frozen=True, kw_only=True)
class TileConfig:
    """Describes how photographs are made smaller, cut and stored.

    Attributes:
      tile: Largest side of a tile, in pixels. 0 keeps photographs whole.
      min_side: Smallest side of a photograph that is used, in pixels, after it was
        made smaller.
      downscale: Range of the divisor of a photograph's sides, from 1. The divisor of
        each photograph is uniform in it.
      seed: Seed of the divisors.
      jpeg: Quality of tiles as JPEG with chroma at full resolution. 0 stores tiles
        without loss.
    """

    tile: int = 512
    min_side: int = 256
    downscale: tuple[float, float] = (1.0, 1.0)
    seed: int = 0
    jpeg: int = 0

    def __post_init__(self):
        """Checks the range of the numbers, which are flags of `jaxcorr prepare`."""
        least, most = self.downscale
        rules = {
            f"--tile must be 0 or from 64, but is {self.tile}": (
                self.tile == 0 or self.tile >= 64
            ),
            f"--min-side must be at least 1, but is {self.min_side}": (
                self.min_side >= 1
            ),
            f"--downscale must be from 1 to 64 and ascend, but is {least:g} {most:g}": (
                1 <= least <= most <= 64
            ),
            f"--seed must be in [0, 2**32), but is {self.seed}": (
                0 <= self.seed < 2**32
            ),
            f"--jpeg must be 0 or from 50 to 100, but is {self.jpeg}": (
                self.jpeg == 0 or 50 <= self.jpeg <= 100
            ),
        }
        for message, holds in rules.items():
            if not holds:
                raise UserError(message)

    def divisor(self, number: int) -> float:
        """Returns the divisor of the sides of a photograph.

        Args:
          number: Number of the photograph among all, from 0.
        """
        least, most = self.downscale
        if least == most:
            return least
        return np.random.default_rng([self.seed, number]).uniform(least, most)


def shrink(image: UInt8[np.ndarray, "h w 3"], divisor: float) -> np.ndarray:
    """Divides the sides of an image by a number from 1, by the Lanczos filter.

    Returns:
      The smaller image, with sides rounded to whole pixels; the image itself if the
      divisor is 1.
    """
    if divisor == 1:
        return image
    height, width = (max(1, round(side / divisor)) for side in image.shape[:2])
    resized = Image.fromarray(image).resize((width, height), Image.Resampling.LANCZOS)
    return np.asarray(resized)


def cut(
    image: UInt8[np.ndarray, "h w 3"], tile: int
) -> Iterator[UInt8[np.ndarray, "_ _ 3"]]:
    """Yields the tiles of an image from left to right, row by row.

    Each side is divided into the fewest parts of at most `tile` pixels, which differ by
    at most one pixel. So every pixel is in exactly one tile, and no side that is cut
    has parts shorter than half a tile.

    Args:
      image: The image.
      tile: Largest side of a tile, in pixels; 0 yields the image.
    """
    rows, columns = (_edges(side, tile) for side in image.shape[:2])
    for top, bottom in itertools.pairwise(rows):
        for left, right in itertools.pairwise(columns):
            yield image[top:bottom, left:right]


def _edges(side: int, tile: int) -> list[int]:
    """Returns where the parts of a side begin, and its end."""
    parts = -(-side // tile) if tile else 1
    return [side * part // parts for part in range(parts + 1)]
