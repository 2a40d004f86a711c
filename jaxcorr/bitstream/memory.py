"""The memory that coding takes, and the windows that fit into a budget."""

import math

from jaxcorr import system_memory
from jaxcorr.codec import TransformConfig
from jaxcorr.errors import UserError
from jaxcorr.transforms.base import LATENT_STRIDE
from jaxcorr.transforms.canvas import canvas_side, smallest_window
from jaxcorr.windowed_codec import WINDOW_PIXELS

BASE = 480 * 2**20
"""Bytes of Python, JAX and its compiled programs, without arrays."""
PER_PIXEL = 6
"""Bytes of an image and of what is read from it or written to it, for each pixel."""
BUFFERED_ROWS = 1024
"""Rows of an image that are in memory if it is read or written by rows, about."""
PER_LATENT = 16
"""Bytes of a latent before quantization, its symbol, and the decoded latent."""
PER_FEATURE = 100
"""Bytes of a channel of the latents at a position of a strip, for features and what the
networks compute from them in float64."""
STRIP_ROWS = 80
"""Rows of latents of a strip, with those that it depends on."""
LARGEST_WINDOW = WINDOW_PIXELS
"""Pixels of a window, unless the networks reach so far that each must be larger."""


def window_pixels(
    transforms: TransformConfig,
    size: tuple[int, int],
    memory: int | None,
    *,
    name: str = "an image",
    bytes_held: int | None = None,
) -> int:
    """Returns the pixels of the largest window with which coding an image fits.

    Args:
      transforms: Settings of the transforms.
      size: Height and width of the image, in pixels.
      memory: Bytes that the process may take; None for half of what is free, and all
        of it if that does not suffice.
      name: Name of the file, for messages.
      bytes_held: Bytes of an image that is read or written by rows, beside the rows; by
        default those of an image in memory.

    Raises:
      UserError: If that does not suffice.
    """
    free = system_memory.free_memory()
    budget = free // 2 if memory is None else memory
    arrays = _arrays(transforms, size, bytes_held)
    smallest = _smallest_window(transforms, size)
    least = max(_strip(transforms, size), smallest * transforms.bytes_per_pixel)
    _check(arrays + round(least), size, memory, free, name)
    left = budget - arrays
    fitting = LARGEST_WINDOW
    while fitting > smallest and fitting * transforms.bytes_per_pixel > left:
        fitting //= 2
    return fitting


def is_large(size: tuple[int, int]) -> bool:
    """Returns whether an image takes several windows; also if its size is zeros."""
    return not 0 < size[0] * size[1] <= LARGEST_WINDOW


def _check(
    needed: int, size: tuple[int, int], limit: int | None, free: int, name: str
) -> None:
    """Checks that an image fits into a limit, or into what is free.

    Raises:
      UserError: If it does not.
    """
    most = free + BASE if limit is None else limit  # The base is taken already.
    if needed > most and limit is None:
        system_memory.return_freed_memory()  # It counts as taken.
        most = system_memory.free_memory() + BASE
    if needed > most:
        have, gigabytes = f"{most / 1e9:.1f} GB", f"{math.ceil(needed / 1e8) / 10:.1f}"
        problem = f"the memory is limited to {have}: give"
        if limit is None:
            problem = f"only {have} are left: end other programs, or try it with"
        raise UserError(
            f"{name} of {size[1]} x {size[0]} pixels needs {gigabytes} GB with this "
            f"model, but {problem} --memory {gigabytes}GB"
        )


def coding_bytes(transforms: TransformConfig, size: tuple[int, int]) -> int:
    """Returns the bytes that coding an image takes with the largest useful window.

    Args:
      transforms: Settings of the transforms.
      size: Height and width of the image, in pixels.
    """
    pixels = canvas_side(size[0]) * canvas_side(size[1])
    largest = max(LARGEST_WINDOW, _smallest_window(transforms, size))
    window = min(pixels, largest) * transforms.bytes_per_pixel
    arrays = _arrays(transforms, size) - BASE
    return arrays + round(max(window, _strip(transforms, size)))


def _arrays(
    transforms: TransformConfig, size: tuple[int, int], bytes_held: int | None = None
) -> int:
    """Returns the bytes of Python, and of an image and its latents."""
    pixels = size[0] * size[1]
    latents = pixels // LATENT_STRIDE**2 * transforms.channels
    image = PER_PIXEL * pixels
    if bytes_held is not None:
        rows = PER_PIXEL * min(BUFFERED_ROWS, size[0]) * size[1]
        image = min(image, bytes_held + rows)
    return BASE + image + PER_LATENT * latents


def _smallest_window(transforms: TransformConfig, size: tuple[int, int]) -> int:
    """Returns the pixels of the smallest window of analysis and synthesis."""
    reach = max(transforms.reach.analysis, transforms.reach.synthesis)
    return smallest_window(size, reach, transforms.reach.align)


def _strip(transforms: TransformConfig, size: tuple[int, int]) -> int:
    """Returns the bytes that the networks take on a strip of latents."""
    rows, columns = (-(-side // LATENT_STRIDE) for side in size)
    return PER_FEATURE * min(STRIP_ROWS, rows) * columns * transforms.channels
