"""Measures how far a reconstruction shifts the colors of an image.

Noise and lost texture average out over a block of pixels; a cast does not. All figures
are differences of 8-bit values, reconstruction minus original.
"""

import numpy as np
from jaxtyping import Float, UInt8

BLOCK = 32
"""Side of a block, in pixels."""

Picture = UInt8[np.ndarray, "h w 3"]


def channel_differences(
    image: Picture, reconstruction: Picture
) -> Float[np.ndarray, "3"]:
    """Returns the mean difference of red, green and blue."""
    return np.mean(reconstruction - image.astype(np.float64), axis=(0, 1))


def block_casts(image: Picture, reconstruction: Picture) -> Float[np.ndarray, "_ _"]:
    """Returns the cast of every whole block.

    A block's cast is the largest difference of a channel's mean from the mean of all
    three channels: 0 where a block only becomes brighter or darker.
    """
    rows, columns = (side // BLOCK for side in image.shape[:2])
    difference = (reconstruction - image.astype(np.float64))[
        : rows * BLOCK, : columns * BLOCK
    ]
    means = difference.reshape(rows, BLOCK, columns, BLOCK, 3).mean(axis=(1, 3))
    return np.abs(means - means.mean(axis=-1, keepdims=True)).max(axis=-1)


def largest_cast(image: Picture, reconstruction: Picture) -> float:
    """Returns the cast of the worst block."""
    return float(block_casts(image, reconstruction).max())


def worst_crop(
    image: Picture, reconstruction: Picture, *, side: int
) -> tuple[slice, slice]:
    """Returns the rows and columns of a crop around the block with the largest cast.

    Args:
      image: The image, no smaller than the crop.
      reconstruction: Its reconstruction.
      side: Side of the crop, in pixels.
    """
    casts = block_casts(image, reconstruction)
    block = np.unravel_index(casts.argmax(), casts.shape)
    starts = [
        int(np.clip(index * BLOCK + BLOCK // 2 - side // 2, 0, length - side))
        for index, length in zip(block, image.shape[:2], strict=True)
    ]
    rows, columns = (slice(start, start + side) for start in starts)
    return rows, columns
