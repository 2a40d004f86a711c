"""Decodes JPEG files by simplejpeg if it is installed: the same pixels in less time.

Pillow and simplejpeg contain the same library, libjpeg-turbo. Pillow stores four bytes
for each pixel and then copies three of them to an array.
"""

import importlib
import io
from typing import Any

import numpy as np
from jaxtyping import UInt8
from PIL import ExifTags, Image

try:
    simplejpeg: Any = importlib.import_module("simplejpeg")
except ModuleNotFoundError:
    simplejpeg = None

START = b"\xff\xd8\xff"
"""First bytes of a JPEG file."""

SCAN, METADATA = b"\xff\xda", b"\xff\xe1"
"""Markers of coded pixels, and of EXIF or XMP data before them."""

UPRIGHT = 1
"""EXIF orientation of an image that is stored upright."""


def decode(data: bytes) -> UInt8[np.ndarray, "h w 3"] | None:
    """Decodes an RGB image in a JPEG file that is stored upright.

    Args:
      data: Contents of the file.

    Returns:
      The image, or None if Pillow must read it: simplejpeg is not installed, or the
      file is of another kind, very large or damaged.
    """
    if simplejpeg is None or not data.startswith(START):
        return None
    try:
        height, width, colors, _ = simplejpeg.decode_jpeg_header(data)
        # Pillow warns of more pixels, and refuses twice as many.
        if height * width > (Image.MAX_IMAGE_PIXELS or height * width):
            return None
        if colors not in ("YCbCr", "RGB") or not _is_upright(data):
            return None
        return simplejpeg.decode_jpeg(data)
    except ValueError:
        return None


def orientation(image: Image.Image) -> int:
    """Returns the EXIF orientation of an image that Pillow has opened."""
    return image.getexif().get(ExifTags.Base.Orientation, UPRIGHT)


def _is_upright(data: bytes) -> bool:
    """Returns whether Pillow leaves the image of a JPEG file as it is stored."""
    position = 2
    while (marker := data[position : position + 2]) not in (SCAN, METADATA):
        if marker[:1] != METADATA[:1]:
            break  # Pillow decides what this is.
        position += 2 + int.from_bytes(data[position + 2 : position + 4])
    if marker == SCAN:
        return True
    with Image.open(io.BytesIO(data)) as image:
        return orientation(image) == UPRIGHT
