"""Reads image files."""

import contextlib
import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from jaxcorr import image_files, jpeg_decoder
from jaxcorr.errors import TransientError, UserError
from jaxcorr.images import color, exif, parts, samples
from jaxcorr.images.picture import Metadata, Picture, is_gray
from jaxcorr.paths import AnyPath, as_path, remote_errors
from jaxcorr.storage_errors import may_pass

TIFF_TAGS = (270, 271, 272, 305, 306, 315, 33432, 34665, 34853)
"""Tags that describe the photograph of a TIFF file, and not how it is stored."""
TURNED = "turned upright as its EXIF data says"


def find_images(directory: AnyPath) -> list[AnyPath]:
    """Returns the image files below a directory, sorted by path.

    Raises:
      UserError: If the directory is missing or holds no image file.
    """
    return [as_path(entry.path) for entry in image_files.scan_images(directory)]


def read_image(path: AnyPath) -> tuple[UInt8[np.ndarray, "h w 3"], str | None]:
    """Reads an image as 8-bit RGB in sRGB, upright and laid over white.

    Returns:
      The image, and a note on how it was changed; None if it was not.

    Raises:
      UserError: As in `read`.
    """
    picture = read(path).over()
    return picture.rgb, picture.note(str(path))


def read(
    path: AnyPath, *, page: int | None = None, keep_metadata: bool = False
) -> Picture:
    """Reads an image file.

    Args:
      path: Path of the file.
      page: Number of the page, frame or picture, from 0; by default the largest, or the
        first of several of this size.
      keep_metadata: Whether to keep EXIF data, XMP and the ICC profile. RGB and gray
        images with a profile then stay in their own color space.

    Raises:
      UserError: If the file is missing, damaged, too large or not an image.
    """
    try:
        path = as_path(path)
        with remote_errors(path, "cannot be read as an image"):
            data = path.read_bytes()
    except OSError as error:
        reason = error.strerror or error
        message = f"{path} cannot be read as an image: {reason}"
        kind = TransientError if may_pass(error) else UserError
        raise kind(message) from error
    return decode(data, name=str(path), page=page, keep_metadata=keep_metadata)


def decode(
    data: bytes, *, name: str, page: int | None = None, keep_metadata: bool = False
) -> Picture:
    """Decodes the bytes of an image file; see `read`.

    Args:
      data: Bytes of the file.
      name: Name of the file, for messages.
      page: As in `read`.
      keep_metadata: As in `read`.

    Raises:
      UserError: If the bytes are damaged, too large or not an image.
    """
    with unreadable_is_refused(name):
        if not keep_metadata and page is None:
            pixels = jpeg_decoder.decode(data, _is_plain)
            if pixels is not None:
                return Picture(rgb=pixels, is_gray=is_gray(pixels))
        with parts.open_image(data, name) as image:
            number, changes = choose_page(image, page)
        with parts.open_image(data, name) as image:
            parts.seek(image, number)
            picture = convert(
                image,
                reopen=lambda: parts.seek(parts.open_image(data, name), number),
                changes=changes,
                keep_metadata=keep_metadata,
            )
    return picture


def choose_page(image: Image.Image, page: int | None) -> tuple[int, list[str]]:
    """Returns the number of the page of an opened image, and a note on the choice.

    Args:
      image: The image.
      page: As in `read`.
    """
    number, count, part = parts.choose_part(image)
    if page is not None:
        return page, []
    return number, [f"{part} {number + 1} of {count} taken"] if count > 1 else []


def from_pillow(image: Image.Image, name: str, *, keep_metadata: bool) -> Picture:
    """Converts an image of Pillow, as if its file were read.

    Raises:
      UserError: If its file is damaged, or its values have no known range.
    """
    with unreadable_is_refused(name):
        return convert(image, reopen=None, changes=[], keep_metadata=keep_metadata)


def count_pages(path: AnyPath) -> int:
    """Returns the number of pages, frames or pictures in a file; 1 if it is damaged."""
    with contextlib.suppress(Exception):  # What is wrong is said when it is read.
        data = as_path(path).read_bytes()
        with parts.open_image(data, str(path)) as image:
            return parts.choose_part(image)[1]
    return 1


def limit_megapixels(limit: float) -> None:
    """Sets the size of the largest image that this process reads, in million pixels.

    It is Pillow's limit, which guards against small files that claim to be large.

    Raises:
      UserError: If the limit is not positive.
    """
    if not limit > 0:
        raise UserError(f"the limit of megapixels must be positive, but is {limit:g}")
    # Pillow refuses twice as many pixels as this, and warns of fewer.
    Image.MAX_IMAGE_PIXELS = round(limit * 500_000)
    warnings.simplefilter("ignore", Image.DecompressionBombWarning)


@contextlib.contextmanager
def unreadable_is_refused(name: str) -> Iterator[None]:
    """Raises a `UserError` for an image that cannot be decoded in the block.

    Decoders raise errors of any type for damaged files.
    """
    try:
        yield
    except (UserError, MemoryError):
        raise
    except Image.DecompressionBombError as error:
        limit = 2 * (Image.MAX_IMAGE_PIXELS or 0) / 1e6
        raise UserError(
            f"{name} has more than {limit:g} megapixels, the limit that guards "
            "against small files that claim to be large: give --max-megapixels, or in "
            "Python set PIL.Image.MAX_IMAGE_PIXELS"
        ) from error
    except Exception as error:
        reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
        reason = str(reason).splitlines()[0]
        raise UserError(f"{name} cannot be read as an image: {reason}") from error


def _is_plain(image: Image.Image) -> bool:
    """Returns whether the pixels of a JPEG file need no change."""
    exif_data, xmp = metadata_of(image)
    return (
        parts.count_parts(image)[0] == 1
        and exif.orientation(exif_data, xmp) == exif.UPRIGHT
        and color.is_srgb(image.info.get("icc_profile") or b"")
    )


def convert(
    image: Image.Image,
    *,
    reopen: samples.Reopen | None,
    changes: list[str],
    keep_metadata: bool,
) -> Picture:
    """Decodes an opened image.

    Args:
      image: The image.
      reopen: As in `samples.read_samples`.
      changes: What choosing the image changed, in words.
      keep_metadata: As in `read`.
    """
    turn = getattr(image, "tag_v2", {}).get(exif.ORIENTATION)
    if "sizes" in image.info and len(image.info["sizes"]) > 1:
        changes = [*changes, f"the largest of {len(image.info['sizes'])} sizes taken"]
    read = samples.read_samples(image, reopen)
    pixels, alpha, icc = read.color, read.alpha, image.info.get("icc_profile") or b""
    if read.bits > 8:
        changes = [*changes, f"{read.bits} bits rounded to 8"]
    keeps_profile = keep_metadata and icc and pixels.mode in ("L", "RGB")
    if not keeps_profile:
        pixels, change = color.to_srgb(pixels, icc)
        changes = [*changes, *([change] if change else [])]
        icc = b""
    if alpha is not None and alpha.min() == 255:
        alpha = None
    exif_data, xmp = metadata_of(image)
    if image.format != "TIFF":  # Pillow turns TIFF when it decodes it.
        turn = exif.orientation(exif_data, xmp)
        if turn != exif.UPRIGHT:
            pixels = pixels.transpose(exif.TURNS[turn])
            if alpha is not None:
                turned = Image.fromarray(alpha).transpose(exif.TURNS[turn])
                alpha = np.asarray(turned)
    if turn in exif.TURNS:
        changes = [*changes, TURNED]
    grays = pixels.mode == "L"
    rgb = samples.to_array(pixels)
    if "gamma" in image.info and not icc and image.format == "PNG":
        rgb, changes = _from_gamma(rgb, image, changes)
    if alpha is not None and not alpha.all():
        rgb = np.where(alpha[..., None] == 0, np.uint8(255), rgb)
    metadata = Metadata()
    if keep_metadata:
        metadata = Metadata(
            exif=exif.reset_exif(exif_data), xmp=exif.reset_xmp(xmp), icc=icc
        )
    return Picture(
        rgb=rgb,
        alpha=alpha,
        is_gray=grays or is_gray(rgb),
        metadata=metadata,
        changes=tuple(changes),
    )


def _from_gamma(
    rgb: UInt8[np.ndarray, "h w 3"], image: Image.Image, changes: list[str]
) -> tuple[UInt8[np.ndarray, "h w 3"], list[str]]:
    """Converts a PNG image with a gamma to sRGB, unless it says that it is in sRGB."""
    if "srgb" in image.info or "icc_profile" in image.info:
        return rgb, changes
    described = image.info.get("gamma"), image.info.get("chromaticity")
    converted = color.from_gamma(rgb, *described)
    if converted is None:
        return rgb, changes
    return converted, [*changes, "colors converted from its gAMA and cHRM to sRGB"]


def metadata_of(image: Image.Image) -> tuple[bytes, bytes]:
    """Returns EXIF data and the XMP packet of an image; empty where there is none."""
    info: dict[Any, Any] = image.info
    exif_data = info.get("exif") or b""
    with contextlib.suppress(ValueError, AttributeError):
        if not exif_data and "Raw profile type exif" in info:  # Of ImageMagick.
            lines = info["Raw profile type exif"].split("\n")[3:]
            exif_data = bytes.fromhex("".join(lines))
    if image.format == "TIFF":
        with contextlib.suppress(Exception):  # Entries of wrong types.
            kept, given = Image.Exif(), image.getexif()
            for tag in TIFF_TAGS:
                if tag in given:
                    kept[tag] = given[tag] if tag < 34000 else given.get_ifd(tag)
            exif_data = kept.tobytes() if len(kept) else b""
    xmp = info.get("xmp") or info.get("XML:com.adobe.xmp") or b""
    xmp = xmp.encode() if isinstance(xmp, str) else xmp
    return bytes(exif_data), bytes(xmp) if isinstance(xmp, bytes | bytearray) else b""
