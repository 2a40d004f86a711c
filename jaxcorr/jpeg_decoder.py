"""Decodes JPEG files by simplejpeg if it is installed: the same pixels in less time.

Pillow and simplejpeg contain the same library, libjpeg-turbo. Pillow stores four bytes
for each pixel and then copies three of them to an array.
"""

import importlib
import io
from collections.abc import Callable
from typing import Any

import numpy as np
from jaxtyping import UInt8
from PIL import Image

try:
    simplejpeg: Any = importlib.import_module("simplejpeg")
except ModuleNotFoundError:
    simplejpeg = None

START = b"\xff\xd8\xff"
"""First bytes of a JPEG file."""

SCAN, METADATA = b"\xff\xda", {b"\xff\xe1", b"\xff\xe2"}
"""Marker of coded pixels, and those of metadata before them: EXIF data, XMP, an ICC
profile, or a list of further pictures."""


def decode(
    data: bytes, is_plain: Callable[[Image.Image], bool]
) -> UInt8[np.ndarray, "h w 3"] | None:
    """Decodes an RGB image in a JPEG file.

    Args:
      data: Contents of the file.
      is_plain: Returns whether the metadata of an opened image ask for no change of its
        pixels.

    Returns:
      The image, or None if Pillow must read it: simplejpeg is not installed, or the
      file is of another kind, not plain, very large or damaged.
    """
    if simplejpeg is None or not data.startswith(START):
        return None
    try:
        height, width, colors, _ = simplejpeg.decode_jpeg_header(data)
        # Pillow warns of more pixels, and refuses twice as many.
        if height * width > (Image.MAX_IMAGE_PIXELS or height * width):
            return None
        if colors not in ("YCbCr", "RGB"):
            return None
        if not _is_plain(data, is_plain):
            return None
        return simplejpeg.decode_jpeg(data)
    except ValueError:
        return None


def _is_plain(data: bytes, is_plain: Callable[[Image.Image], bool]) -> bool:
    """Returns whether a JPEG file is plain, as one without metadata is."""
    position = 2
    while (marker := data[position : position + 2]) not in {SCAN, *METADATA}:
        if marker[:1] != SCAN[:1]:
            break  # Pillow decides what this is.
        position += 2 + int.from_bytes(data[position + 2 : position + 4])
    if marker == SCAN:
        return True
    with Image.open(io.BytesIO(data)) as image:
        return is_plain(image)
