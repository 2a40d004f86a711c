"""Decodes JPEG files by simplejpeg if it is installed: the same pixels in less time.

Pillow and simplejpeg contain the same library, libjpeg-turbo. Pillow stores four bytes
for each pixel and then copies three of them to an array.
"""

import importlib
from typing import Any

import numpy as np
from jaxtyping import UInt8
from PIL import ExifTags, ImageFile

try:
    simplejpeg: Any = importlib.import_module("simplejpeg")
except ModuleNotFoundError:
    simplejpeg = None

UPRIGHT = 1
"""EXIF orientation of an image that is stored upright."""


def decode(opened: ImageFile.ImageFile) -> UInt8[np.ndarray, "h w 3"] | None:
    """Decodes an RGB image in a JPEG file that is stored upright.

    Args:
      opened: Image that Pillow has opened and not yet read.

    Returns:
      The image, or None if Pillow must read it: simplejpeg is not installed, the file
      is of another kind, or it is damaged.
    """
    if simplejpeg is None or (opened.format, opened.mode) != ("JPEG", "RGB"):
        return None
    if orientation(opened) != UPRIGHT:
        return None
    assert opened.fp is not None
    opened.fp.seek(0)
    try:
        return simplejpeg.decode_jpeg(opened.fp.read())
    except ValueError:
        return None


def orientation(opened: ImageFile.ImageFile) -> int:
    """Returns the EXIF orientation of an image that Pillow has opened."""
    return opened.getexif().get(ExifTags.Base.Orientation, UPRIGHT)
