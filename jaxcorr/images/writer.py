"""Writes pictures to image files."""

import dataclasses
import importlib
import io
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from io import BufferedIOBase
from typing import Any

import numpy as np
from jaxtyping import UInt8
from PIL import Image, PngImagePlugin, TiffImagePlugin

from jaxcorr import extras, files, image_files
from jaxcorr.errors import UserError
from jaxcorr.images import jpeg_xl
from jaxcorr.images.picture import Metadata, Picture
from jaxcorr.images.png_bands import PngWriter
from jaxcorr.paths import AnyPath, as_path

BEST: dict[str, dict[str, Any]] = {
    "AVIF": {"quality": 100, "subsampling": "4:4:4"},
    "JPEG": {"quality": 100, "subsampling": 0},
    # Three times faster than level 6, the default, for 5 % more bytes.
    "PNG": {"compress_level": 3},
    "TIFF": {"compression": "tiff_lzw"},
    "WEBP": {"lossless": True, "exact": True},
}
"""Settings with which a format loses least, or is written faster."""
LOSSY = {
    "AVIF": "AVIF, which changes pixels a little even at its highest quality",
    "JPEG": "JPEG, which changes pixels a little even at its highest quality",
    "GIF": "GIF, which has 256 colors",
}
"""Formats that lose something, in words."""
WITH_ALPHA = {"AVIF", "JPEG2000", "JXL", "PNG", "TIFF", "WEBP"}
"""Formats that are written with opacity."""
WITH_METADATA = {"AVIF", "JPEG", "PNG", "TIFF", "WEBP"}
"""Formats that are written with EXIF data, XMP and an ICC profile."""
XMP_IN_TIFF = 700
"""Tag of the XMP packet in TIFF."""


def check_suffix(path: AnyPath) -> None:
    """Checks that the extension of a path is a format that can be written.

    Raises:
      UserError: If it is not.
    """
    kind = format_of(path)
    if kind == "JXL":
        with extras.needs_extra("jpegxl", f"writing {path}"):
            importlib.import_module("imagecodecs")
    elif kind not in Image.SAVE:
        raise UserError(
            f"{path} must end like an image that can be written, as in .png"
        )


def write_image(path: AnyPath, image: UInt8[np.ndarray, "h w 3"]) -> None:
    """Writes an 8-bit RGB image, completely or not at all, in the format of its name.

    Raises:
      UserError: If the extension is not an image format, or the file cannot be written.
    """
    write_picture(path, Picture(rgb=image))


def write_picture(path: AnyPath, picture: Picture) -> Picture:
    """Writes a picture, completely or not at all, in the format of its name.

    Formats that lose something are written at their best. What a format cannot hold is
    left out.

    Returns:
      The picture, with what writing it changed.

    Raises:
      UserError: If the extension is not an image format, or the file cannot be written.
    """
    data, picture = encode(picture, path)
    files.write_file(path, data)
    return picture


def encode(picture: Picture, path: AnyPath) -> tuple[bytes, Picture]:
    """Encodes a picture to the bytes of a file; see `write_picture`.

    Args:
      picture: The picture.
      path: Path whose extension says the format.

    Raises:
      UserError: If the extension is not an image format, or the picture cannot be
        written in it.
    """
    check_suffix(path)
    kind = format_of(path) or ""
    if kind not in WITH_ALPHA:
        picture = picture.over()
    if kind not in WITH_METADATA:
        picture = dataclasses.replace(picture.in_srgb(), metadata=Metadata())
    image, metadata = picture.to_pillow(), picture.metadata
    data, _, left_out = _save_fitting(image, kind, metadata, path)
    changes = [*picture.changes]
    if kind in LOSSY and not (kind == "GIF" and image.mode == "L"):
        changes.append(f"written as {LOSSY[kind]}")
    return data, dataclasses.replace(picture, changes=(*changes, *left_out))


def writes_rows(path: AnyPath) -> bool:
    """Returns whether `write_rows` writes the format of a path's extension."""
    return format_of(path) == "PNG"


def write_rows(
    file: BufferedIOBase, path: AnyPath, height: int, bands: Iterable[Picture]
) -> tuple[str, ...]:
    """Writes a picture in bands of rows, of which few are in memory at once.

    Args:
      file: File to write to.
      path: Path whose extension says the format, one that `writes_rows`.
      height: Rows of the picture.
      bands: The picture in bands from the top, all with the same metadata.

    Returns:
      What writing changed, in words.

    Raises:
      UserError: If the picture cannot be written in this format.
    """
    writer, pending, changes = None, None, ()
    with ThreadPoolExecutor(1) as pool:  # Compresses a band while the next is made.
        for band in bands:
            image, metadata = band.to_pillow(), band.metadata
            if writer is None:
                corner = image.crop((0, 0, 1, 1))
                _, metadata, changes = _save_fitting(corner, "PNG", metadata, path)
                options = _options("PNG", metadata)
                level = options.pop("compress_level")
                writer = PngWriter(file, height, level, options)
            image.info = {}
            if pending is not None:
                pending.result()
            pending = pool.submit(writer.write, image)
        if pending is not None and writer is not None:
            pending.result()
            writer.close()
    return tuple(changes)


def _save_fitting(
    image: Image.Image, kind: str, metadata: Metadata, path: AnyPath
) -> tuple[bytes, Metadata, list[str]]:
    """Returns the bytes of a file, its metadata, and what of these does not fit.

    Raises:
      UserError: If the image cannot be written in the format.
    """
    changes: list[str] = []
    reason = None
    for left_out in ("", "exif", "xmp"):
        if left_out:
            if not getattr(metadata, left_out):
                continue
            metadata = dataclasses.replace(metadata, **{left_out: b""})
            changes.append(f"{left_out.upper()} data left out, which do not fit")
        try:
            return _save(image, kind, metadata), metadata, changes
        except Exception as error:  # Encoders raise errors of any type.
            reason = error
    raise UserError(f"cannot write {path}: {reason}") from reason


def format_of(path: AnyPath) -> str | None:
    """Returns the name of the format that a path's extension stands for.

    It is Pillow's name, or `JXL`; None if images do not end like this.
    """
    suffix = as_path(path).suffix.lower()
    if suffix == jpeg_xl.SUFFIX:
        return "JXL"
    known = suffix in image_files.SUFFIXES
    return Image.registered_extensions().get(suffix) if known else None


def _save(image: Image.Image, kind: str, metadata: Metadata) -> bytes:
    """Returns the bytes of a file, with the metadata that it can hold."""
    if kind == "JXL":
        return jpeg_xl.encode(image)
    # Pillow would write what the image was opened with.
    image.info = {}
    buffer = io.BytesIO()
    image.save(buffer, format=kind, **_options(kind, metadata))
    return buffer.getvalue()


def _options(kind: str, metadata: Metadata) -> dict[str, Any]:
    """Returns the arguments of `Image.save` for a format and metadata."""
    options = dict(BEST.get(kind, {}))
    kept = {"exif": metadata.exif, "icc_profile": metadata.icc}
    if kind == "PNG" and metadata.xmp:
        options["pnginfo"] = PngImagePlugin.PngInfo()
        options["pnginfo"].add_itxt("XML:com.adobe.xmp", metadata.xmp.decode())
    elif kind == "TIFF":
        tags = TiffImagePlugin.ImageFileDirectory_v2()
        tags[XMP_IN_TIFF] = metadata.xmp
        options["tiffinfo"] = tags if metadata.xmp else {}
        exif = Image.Exif()
        exif.load(metadata.exif)
        kept["exif"] = exif.tobytes() if metadata.exif else b""
    else:
        kept["xmp"] = metadata.xmp
    return options | {key: value for key, value in kept.items() if value}
