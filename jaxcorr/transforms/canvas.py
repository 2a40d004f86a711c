"""The canvas: the padded image on which coding computes.

Few canvas sizes exist, so photographs of many sizes share a few compiled programs.
"""

import functools
import math
from typing import Any

import numpy as np
from jaxtyping import Float, Int, UInt8

from jaxcorr import ops
from jaxcorr.errors import UserError
from jaxcorr.layers.valid_region import ValidRegion
from jaxcorr.transforms.base import LATENT_STRIDE, SIDE_STRIDE
from jaxcorr.transforms.windows import Window, best_sizes, cut

SMALLEST_CANVAS = 128
SIDES_PER_OCTAVE = 4
PIXELS_LIMIT = 2**28
"""Largest canvas, in pixels: the size in a file's header may not fit into memory."""


def canvas_side(pixels: int) -> int:
    """Returns the side of a canvas: 128, 256, 384, 512, 640, 768, 896, 1024, 1280, ….

    There are four sides from a power of two to the next.

    Args:
      pixels: Side of the image.
    """
    octave = 1 << (pixels - 1).bit_length()
    step = max(SMALLEST_CANVAS, octave // (2 * SIDES_PER_OCTAVE))
    return ops.round_up(pixels, step)


def check_size(height: int, width: int) -> None:
    """Checks that an image, or the image that a file claims to hold, is not too large.

    Raises:
      UserError: If the canvas has more than `PIXELS_LIMIT` pixels.
    """
    if canvas_side(height) * canvas_side(width) > PIXELS_LIMIT:
        raise UserError(
            f"an image of {width} x {height} pixels is too large: on its canvas it may "
            f"have {PIXELS_LIMIT} at most"
        )


def pad_to_canvas(image: UInt8[np.ndarray, "h w 3"]) -> UInt8[np.ndarray, "H W 3"]:
    """Repeats the last pixels of an image up to the canvas.

    Raises:
      UserError: If the image is too large.
    """
    height, width = image.shape[:2]
    check_size(height, width)
    margins = canvas_side(height) - height, canvas_side(width) - width
    return np.pad(image, [(0, margins[0]), (0, margins[1]), (0, 0)], mode="edge")


def place_on_canvas(
    image: UInt8[np.ndarray, "h w 3"],
) -> Float[np.ndarray, "1 H W 3"]:
    """Pads an 8-bit image to the canvas, and scales it to [0, 1].

    Raises:
      UserError: If the image is too large.
    """
    return pad_to_canvas(image)[None].astype(np.float32) / np.float32(255)


def valid_region(
    size: tuple[Int[Any, "*b"], Int[Any, "*b"]], canvas: tuple[int, ...]
) -> ValidRegion:
    """Returns the part of a canvas that is valid: the image, padded to multiples of 64.

    Networks compute on it as if there were no canvas; see `ValidRegion`.

    Args:
      size: Height and width of the image in pixels, or of each image of a batch.
      canvas: Height and width of the canvas in pixels, multiples of 64.
    """
    rows, columns = (-(-pixels // SIDE_STRIDE) for pixels in size)
    height, width = (side // SIDE_STRIDE for side in canvas)
    return ValidRegion(rows=rows, columns=columns, canvas=(height, width))


def image_windows(
    extent: tuple[int, int],
    canvas: tuple[int, int],
    reach: int,
    align: int,
    pixels: int,
) -> tuple[tuple[Window, ...], tuple[Window, ...]]:
    """Returns windows of latents along both axes: the canvas if it is small.

    Args:
      extent: Rows and columns of the latents that networks see.
      canvas: Height and width of the canvas, in pixels.
      reach: Latents on either side that an output depends on.
      align: Windows start at multiples of this many latents.
      pixels: Pixels of the largest window.
    """
    rows, columns = (side // LATENT_STRIDE for side in canvas)
    limit = pixels // LATENT_STRIDE**2
    if rows * columns > limit:
        rows, columns = _window_sides(extent, reach, align, limit)
    return (
        cut(extent[0], size=rows, reach=reach),
        cut(extent[1], size=columns, reach=reach),
    )


def smallest_window(size: tuple[int, int], reach: int, align: int) -> int:
    """Returns the pixels of the smallest window on an image.

    Args:
      size: Height and width of the image, in pixels.
      reach: Latents on either side that an output depends on.
      align: Windows start at multiples of this many latents.
    """
    rows, columns = (canvas_side(side) // LATENT_STRIDE for side in size)
    sides = _window_sides((rows, columns), reach, align, limit=0)
    return math.prod(sides) * LATENT_STRIDE**2


@functools.cache
def _window_sides(
    extent: tuple[int, int], reach: int, align: int, limit: int
) -> tuple[int, int]:
    align = math.lcm(align, SMALLEST_CANVAS // LATENT_STRIDE)
    return best_sizes(extent, reach=reach, align=align, limit=limit)
