"""Photographs on disk, as RGB arrays and back."""

import io
from pathlib import Path

import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageOps

from jaxcorr import files
from jaxcorr.errors import UserError

SUFFIXES = frozenset(
    ".avif .bmp .gif .jp2 .jpeg .jpg .png .ppm .tif .tiff .webp".split()
)
"""Endings of the files that a folder is searched for, in lower case."""

DIRECT_MODES = frozenset({"RGB"})


def find_images(directory: Path) -> list[Path]:
    """Files below `directory` that end like images, sorted by path.

    Raises:
      UserError: If `directory` is missing or holds no such file.
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
        raise UserError(f"{directory} holds no image (looked for {_endings()})")
    return paths


def read_image(path: Path) -> tuple[UInt8[np.ndarray, "h w 3"], str | None]:
    """Reads an image as 8-bit RGB, turned upright as its EXIF data says.

    Returns:
      The image, and what was converted to get it, None if nothing was: transparency is
      laid over white; grey, palette, CMYK and 16-bit images become 8-bit RGB.

    Raises:
      UserError: If the file is missing, is no image, or is damaged.
    """
    try:
        with Image.open(path) as opened:
            mode = opened.mode
            upright = ImageOps.exif_transpose(opened)
            array = np.asarray(_as_rgb(upright))
    except FileNotFoundError as error:
        raise UserError(f"{path} does not exist") from error
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise UserError(f"{path} is not an image that can be read: {error}") from error
    note = None if mode in DIRECT_MODES else f"{path}: {mode} converted to 8-bit RGB"
    return array, note


def write_image(path: Path, image: UInt8[np.ndarray, "h w 3"]) -> None:
    """Writes an 8-bit RGB image, whole or not at all, in the format its name ends with.

    Raises:
      UserError: If the name ends like no format, or the file cannot be written.
    """
    kind = Image.registered_extensions().get(Path(path).suffix.lower())
    if kind is None or kind not in Image.SAVE:
        raise UserError(
            f"{path} must end like an image that can be written, as in .png"
        )
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, format=kind)
    files.write_file(path, buffer.getvalue())


def _as_rgb(image: Image.Image) -> Image.Image:
    """Converts any mode of Pillow's to 8-bit RGB."""
    if image.mode.startswith("I") or image.mode == "F":
        # Pillow's own conversion clips 16-bit values at 255 instead of scaling them.
        values = np.asarray(image).astype(np.float64) * (255 / 65535)
        image = Image.fromarray(np.clip(np.round(values), 0, 255).astype(np.uint8))
    if image.mode in {"LA", "PA", "RGBA", "La", "RGBa"} or "transparency" in image.info:
        opaque = Image.new("RGBA", image.size, "white")
        opaque.alpha_composite(image.convert("RGBA"))
        image = opaque
    return image.convert("RGB")


def _endings() -> str:
    return ", ".join(sorted(SUFFIXES))
