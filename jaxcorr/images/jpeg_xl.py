"""Reads and writes JPEG XL by imagecodecs, which the extra `jpegxl` installs."""

import importlib

import numpy as np
from PIL import Image

from jaxcorr import extras

SUFFIX = ".jxl"
STARTS = (b"\xff\x0a", b"\0\0\0\x0cJXL \r\n\x87\n")
"""First bytes of a codestream, and of a container."""


def is_jpeg_xl(data: bytes) -> bool:
    """Returns whether data is a JPEG XL file."""
    return data.startswith(STARTS)


def decode(data: bytes, name: str) -> Image.Image:
    """Decodes a JPEG XL file to 8 bits, in the color space of the file.

    Raises:
      UserError: If imagecodecs is not installed.
    """
    with extras.needs_extra("jpegxl", f"{name} is a JPEG XL image: reading it"):
        imagecodecs = importlib.import_module("imagecodecs")
    pixels = np.asarray(imagecodecs.jpegxl_decode(data))
    if pixels.ndim == 4:
        pixels = pixels[0]
    if pixels.dtype == np.uint16:
        pixels = ((pixels.astype(np.uint32) + 128) // 257).astype(np.uint8)
    if pixels.dtype != np.uint8:
        raise ValueError(f"its values are {pixels.dtype}, of no known range")
    return Image.fromarray(pixels[..., 0] if pixels.shape[2:] == (1,) else pixels)


def encode(image: Image.Image) -> bytes:
    """Encodes an image of mode L, LA, RGB or RGBA without loss."""
    imagecodecs = importlib.import_module("imagecodecs")
    return bytes(imagecodecs.jpegxl_encode(np.asarray(image), lossless=True))
