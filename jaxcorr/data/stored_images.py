"""Images in records: encoded, or as the file that they come from."""

import io

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from jaxcorr import images
from jaxcorr.paths import AnyPath

LARGEST_WEBP_SIDE = 16383
"""Largest side that a WebP file can have, in pixels."""
LARGEST_JPEG_SIDE = 65500
"""Largest side of a JPEG file that libjpeg writes, in pixels."""


def encode(image: UInt8[np.ndarray, "h w 3"], *, jpeg: int = 0) -> bytes:
    """Encodes an image: as WebP without loss, unless a quality of JPEG is given.

    An image that is too large for WebP becomes PNG. As WebP, tiles of photographs take
    a sixth fewer bytes than as PNG, and less time to encode and to decode. WebP with
    less effort than this does not exist.

    Args:
      image: The image.
      jpeg: Quality of JPEG, which is faster to decode, from 50 to 100; 0 encodes
        without loss.
    """
    buffer = io.BytesIO()
    picture = Image.fromarray(image)
    if jpeg and max(image.shape[:2]) <= LARGEST_JPEG_SIDE:
        picture.save(buffer, format="JPEG", quality=jpeg, subsampling=0)
    elif max(image.shape[:2]) > LARGEST_WEBP_SIDE:
        picture.save(buffer, format="PNG")
    else:
        picture.save(buffer, format="WEBP", lossless=True, method=0, quality=0)
    return buffer.getvalue()


def decode(encoded: bytes, *, name: str) -> UInt8[np.ndarray, "h w 3"]:
    """Decodes an image of a record as upright 8-bit RGB.

    Args:
      encoded: The image as the contents of a file.
      name: Name of the image for messages.

    Raises:
      UserError: If it is damaged.
    """
    return images.decode(encoded, name=name).over().rgb


def read_file(path: AnyPath) -> tuple[UInt8[np.ndarray, "h w 3"], bytes | None]:
    """Reads an image file, and its bytes if every reader decodes them to the same.

    Args:
      path: The image file.

    Returns:
      The image, and the bytes of the file if it is a JPEG or PNG file of upright 8-bit
      RGB. None in their place stands for all other files.

    Raises:
      UserError: If the file cannot be read.
    """
    image, change = images.read_image(path)  # Decodes all of it, to detect damage.
    if change is not None:
        return image, None
    encoded = path.read_bytes()
    with Image.open(io.BytesIO(encoded)) as file:
        is_portable = file.format in {"JPEG", "PNG"} and file.mode == "RGB"
    return image, encoded if is_portable else None
