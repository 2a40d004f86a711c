"""Reads and writes photographs as RGB arrays."""

import io
import os
from pathlib import Path

import numpy as np
from jaxtyping import UInt8
from PIL import ExifTags, Image, ImageFile, ImageOps

from jaxcorr import files
from jaxcorr.errors import UserError

SUFFIXES = frozenset(
    ".avif .bmp .gif .jp2 .jpeg .jpg .png .ppm .tif .tiff .webp".split()
)
"""File name extensions of images that `find_images` finds, in lower case."""

UNREADABLE = (
    EOFError,
    OSError,
    RuntimeError,
    SyntaxError,
    ValueError,
    Image.DecompressionBombError,
)
"""Exceptions that Pillow raises for a damaged image."""

UPRIGHT = 1
"""EXIF orientation of an image that is stored upright."""

_KINDS = {
    "1": "black and white",
    "L": "gray",
    "LA": "gray",
    "P": "palette",
    "PA": "palette",
    "I": "16-bit gray",
    "RGBA": "RGB",
}


def find_images(directory: Path) -> list[Path]:
    """Returns the image files below a directory, sorted by path.

    Raises:
      UserError: If the directory is missing or holds no image file.
    """
    directory = Path(directory)
    if not directory.is_dir():
        raise UserError(f"{directory} is not a directory")
    paths = sorted(
        path
        for path in directory.rglob("*")
        if path.suffix.lower() in SUFFIXES and path.is_file()
    )
    if not paths:
        suffixes = ", ".join(sorted(SUFFIXES))
        raise UserError(f"{directory} holds no image (looked for {suffixes})")
    return paths


def read_image(path: Path) -> tuple[UInt8[np.ndarray, "h w 3"], str | None]:
    """Reads an image as 8-bit RGB, and turns it upright according to its EXIF data.

    Transparency is laid over white. Gray, palette, CMYK and 16-bit images are converted
    to 8-bit RGB.

    Returns:
      The image, and a note on how it was converted; None if it was not.

    Raises:
      UserError: If the file is missing, damaged or not an image.
    """
    try:
        with Image.open(path) as opened:
            changes = _changes(opened)
            array = np.asarray(_as_rgb(ImageOps.exif_transpose(opened)))
    except Image.UnidentifiedImageError as error:
        kind = "not an image" if os.path.getsize(path) else "empty"
        raise UserError(f"{path} is {kind}") from error
    except UNREADABLE as error:
        reason = getattr(error, "strerror", None) or error
        raise UserError(f"{path} cannot be read as an image: {reason}") from error
    return array, f"{path}: {', '.join(changes)}" if changes else None


def check_suffix(path: Path) -> None:
    """Checks that the extension of a path is a format that can be written.

    Raises:
      UserError: If it is not.
    """
    if _format_of(path) not in Image.SAVE:
        raise UserError(
            f"{path} must end like an image that can be written, as in .png"
        )


def write_image(path: Path, image: UInt8[np.ndarray, "h w 3"]) -> None:
    """Writes an 8-bit RGB image, completely or not at all, in the format of its name.

    Raises:
      UserError: If the extension is not an image format, or the file cannot be written.
    """
    check_suffix(path)
    buffer = io.BytesIO()
    try:
        Image.fromarray(image).save(buffer, format=_format_of(path))
    except UNREADABLE as error:
        raise UserError(f"cannot write {path}: {error}") from error
    files.write_file(path, buffer.getvalue())


def _format_of(path: Path) -> str | None:
    """Returns Pillow's name of the format that a path's extension stands for."""
    suffix = Path(path).suffix.lower()
    return Image.registered_extensions().get(suffix) if suffix in SUFFIXES else None


def _changes(image: ImageFile.ImageFile) -> list[str]:
    """Describes how reading as 8-bit RGB changes an image; reads no pixels."""
    changes = []
    is_16_bit = any(";16" in str(tile) for tile in [image.mode, *image.tile])
    kind = _KINDS.get(image.mode, image.mode)
    if is_16_bit:
        kind = "16-bit RGB" if image.mode.startswith("RGB") else "16-bit gray"
    if kind != "RGB":
        changes.append(f"{kind} converted to 8-bit RGB")
    if _is_transparent(image):
        changes.append("transparency laid over white")
    if image.getexif().get(ExifTags.Base.Orientation, UPRIGHT) != UPRIGHT:
        changes.append("turned upright as its EXIF data says")
    return changes


def _is_transparent(image: Image.Image) -> bool:
    return (
        image.mode in {"LA", "PA", "RGBA", "La", "RGBa"} or "transparency" in image.info
    )


def _as_rgb(image: Image.Image) -> Image.Image:
    """Converts an image of any mode to 8-bit RGB."""
    if image.mode == "F":
        raise ValueError("its values are floating-point numbers of no known range")
    if image.mode.startswith("I"):
        # Pillow's own conversion clips 16-bit values at 255 and does not scale them.
        values = np.asarray(image).astype(np.float64)
        if values.min() < 0 or values.max() > 65535:
            raise ValueError("its values are outside 16 bits")
        image = Image.fromarray(np.round(values * (255 / 65535)).astype(np.uint8))
    if _is_transparent(image):
        opaque = Image.new("RGBA", image.size, "white")
        opaque.alpha_composite(image.convert("RGBA"))
        image = opaque
    return image.convert("RGB")
