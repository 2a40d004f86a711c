"""Brings the samples of an image of any mode and depth to 8 bits."""

import dataclasses
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
from jaxtyping import UInt8, UInt16
from PIL import ExifTags, Image

Reopen = Callable[[], Image.Image]
"""Opens the same page of the same file again, without decoding it."""

WITH_ALPHA = {"LA", "La", "PA", "RGBA", "RGBa"}
"""Modes with opacity; those in small letters are multiplied by it."""
GRAY = {"1", "L", "LA", "La"}
WHITE_IS_ZERO = 0
"""Photometric interpretation of TIFF in which larger values are darker."""
CHANNELS_FIRST = 2
"""Planar configuration of TIFF that Pillow reads wrongly in 16 bits."""
UNSIGNED = 1
"""Sample format of TIFF."""
COPIED_AT_ONCE = 2**20
"""Pixels that are copied from Pillow at once."""


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Samples:
    """An image in 8 bits, in its own color space.

    Attributes:
      color: Image of mode L, RGB, CMYK or LAB.
      alpha: Opacity; None if the image has none.
      bits: Bits of a sample in the file, if more than 8.
    """

    color: Image.Image
    alpha: UInt8[np.ndarray, "h w"] | None = None
    bits: int = 8


def read_samples(image: Image.Image, reopen: Reopen | None = None) -> Samples:
    """Decodes an image to 8 bits, with rounding.

    Args:
      image: An opened image.
      reopen: Opens it again, which 16-bit colors need: Pillow keeps 8 bits of them.

    Raises:
      ValueError: If the values have no known range, or parts of a TIFF file are
        missing, which Pillow would leave black.
    """
    _check_parts(image)
    bits = _check_range(image)
    if image.mode.startswith("I"):
        return _read_deep_gray(image, bits)
    rawmode = _rawmode(image)
    if reopen is not None and ";16" in rawmode:
        return _read_deep_color(image, rawmode, reopen)
    return _read_8_bits(image)


def _check_parts(image: Image.Image) -> None:
    """Checks that the strips or tiles of a TIFF file cover all of it.

    Raises:
      ValueError: If they do not.
    """
    parts = [tile for tile in getattr(image, "tile", ()) if tile[1] is not None]
    if image.format != "TIFF" or not parts:
        return
    tags: dict[int, Any] = getattr(image, "tag_v2", {})
    is_planar = tags.get(ExifTags.Base.PlanarConfiguration) == CHANNELS_FIRST
    planes = 1
    if is_planar and parts[0][0] != "libtiff":
        planes = tags.get(ExifTags.Base.SamplesPerPixel, 1)
    covered = sum(
        (part[1][2] - part[1][0]) * (part[1][3] - part[1][1]) for part in parts
    )
    if covered < image.width * image.height * planes:
        raise ValueError("some of its strips or tiles are missing")


def in_mode(image: Image.Image, mode: str) -> Image.Image:
    """Returns an image in a mode, without a copy if it has this mode."""
    return image if image.mode == mode else image.convert(mode)


def to_array(image: Image.Image) -> UInt8[np.ndarray, "h w 3"]:
    """Returns the pixels of a gray or RGB image.

    Those of a large image are copied little by little, since Pillow makes a copy of
    what it converts, and another of what it gives to NumPy.
    """
    width, height = image.size
    if width * height <= COPIED_AT_ONCE:
        return np.asarray(in_mode(image, "RGB"))
    pixels = np.empty((height, width, 3), np.uint8)
    step = max(1, COPIED_AT_ONCE // width)
    for first in range(0, height, step):
        last = min(first + step, height)
        band = image.crop((0, first, width, last))
        pixels[first:last] = np.asarray(in_mode(band, "RGB"))
    return pixels


def _check_range(image: Image.Image) -> int:
    """Returns the bits of a sample, after checking that black and white are known."""
    if image.mode == "F":
        raise ValueError("its values are floating-point numbers of no known range")
    tags = getattr(image, "tag_v2", {})
    formats = tags.get(ExifTags.Base.SampleFormat, UNSIGNED)
    if {*np.atleast_1d(formats)} != {UNSIGNED}:
        raise ValueError("its values are signed numbers of no known range")
    bits = max(np.atleast_1d(tags.get(ExifTags.Base.BitsPerSample, 16)))
    planes = tags.get(ExifTags.Base.PlanarConfiguration)
    if bits > 8 and planes == CHANNELS_FIRST:
        raise ValueError("its channels of 16 bits are stored one after another")
    if bits > 16:
        raise ValueError(f"its values are {bits}-bit numbers of no known range")
    return int(bits)


def _read_deep_gray(image: Image.Image, bits: int) -> Samples:
    values = np.asarray(image)
    highest = 2**bits - 1
    if values.min() < 0 or values.max() > highest:
        raise ValueError(f"its values are outside {bits} bits")
    tags = getattr(image, "tag_v2", {})
    if tags.get(ExifTags.Base.PhotometricInterpretation) == WHITE_IS_ZERO:
        values = highest - values
    alpha = None
    transparent = image.info.get("transparency")
    if isinstance(transparent, int):
        alpha = np.where(values == transparent, 0, 255).astype(np.uint8)
    gray = (values.astype(np.uint32) * 255 + highest // 2) // highest
    color = Image.fromarray(gray.astype(np.uint8))
    return Samples(color=color, alpha=alpha, bits=bits)


def _read_deep_color(image: Image.Image, rawmode: str, reopen: Reopen) -> Samples:
    """Reads 16-bit colors, of which Pillow keeps the high byte.

    The low byte is what Pillow keeps of the same file in the other order of bytes.
    """
    base, order = rawmode.split(";16")
    if base == "LA":
        pairs = _decode_as(reopen, "RGBA")
        values = _combine(pairs[..., 0::2], pairs[..., 1::2])
        gray, opacity = values[..., :1], values[..., 1]
        values = np.dstack([gray, opacity])
    else:
        if order == "N":
            order = "L" if sys.byteorder == "little" else "B"
        raw = base.upper() if base == "RGBa" else base
        other = "B" if order == "L" else "L"
        values = _combine(
            _decode_as(reopen, f"{raw};16{order}"),
            _decode_as(reopen, f"{raw};16{other}"),
        )
    alpha = None
    transparent = image.info.get("transparency")
    if image.mode == "RGBA":
        deep_alpha, values = values[..., -1], values[..., :-1]
        alpha = _round_16(deep_alpha)
        if base == "RGBa":
            opacity = np.maximum(deep_alpha, 1).astype(np.uint32)[..., None]
            values = np.minimum(values * np.uint32(65535) // opacity, 65535)
    elif isinstance(transparent, tuple):
        is_transparent = (values == np.array(transparent, np.uint16)).all(axis=-1)
        alpha = np.where(is_transparent, 0, 255).astype(np.uint8)
    rounded = _round_16(values.astype(np.uint16))
    if rounded.shape[-1] == 1:
        rounded = rounded[..., 0]
    mode = "CMYK" if image.mode == "CMYK" else None
    color = Image.fromarray(rounded)
    if mode:
        color = Image.frombytes(mode, color.size, rounded.tobytes())
    return Samples(color=color, alpha=alpha, bits=16)


def _read_8_bits(image: Image.Image) -> Samples:
    if image.mode in ("CMYK", "LAB"):
        image.load()
        return Samples(color=image)
    is_gray = image.mode in GRAY
    has_alpha = image.mode in WITH_ALPHA or "transparency" in image.info
    if not has_alpha:
        image.load()
        return Samples(color=in_mode(image, "L" if is_gray else "RGB"))
    if image.mode == "La":
        image = image.convert("LA")
    image = image.convert("RGBA")
    alpha = np.asarray(image.getchannel("A"))
    color = image.getchannel("R") if is_gray else image.convert("RGB")
    return Samples(color=color, alpha=alpha)


def _rawmode(image: Image.Image) -> str:
    """Returns how Pillow unpacks the samples of a file; empty if it is decoded."""
    for tile in getattr(image, "tile", []):
        arguments = tile[3]
        return str(arguments if isinstance(arguments, str) else arguments[0])
    return ""


def _decode_as(reopen: Reopen, rawmode: str) -> UInt8[np.ndarray, "h w c"]:
    """Decodes a file whose samples are unpacked in another way."""
    with reopen() as image:
        opened: Any = image  # Only images in files have tiles.
        tiles = []
        for tile in opened.tile:
            is_alone = isinstance(tile[3], str)
            arguments = rawmode if is_alone else (rawmode, *tile[3][1:])
            tiles.append(type(tile)(*tile[:3], arguments))
        opened.tile = tiles
        return np.asarray(opened)


def _combine(
    high: UInt8[np.ndarray, "h w c"], low: UInt8[np.ndarray, "h w c"]
) -> UInt16[np.ndarray, "h w c"]:
    return (high.astype(np.uint16) << 8) | low


def _round_16(values: UInt16[np.ndarray, "*s"]) -> UInt8[np.ndarray, "*s"]:
    return ((values.astype(np.uint32) + 128) // 257).astype(np.uint8)
