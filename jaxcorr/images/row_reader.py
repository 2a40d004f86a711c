"""Reads image files as rows, so that large ones take little memory.

A large PNG or TIFF file is cut into bands that are files of their own, so the rows are
those that reading the whole gives. Other large files are decoded as a whole by Pillow,
which takes 1 to 4 bytes a pixel, and converted band by band.
"""

import contextlib
import dataclasses
import io
from collections.abc import Iterable, Iterator
from io import BufferedIOBase
from typing import Any, NamedTuple

from PIL import Image

from jaxcorr.errors import UserError
from jaxcorr.images import exif, parts, png_bands, reader, tiff_bands
from jaxcorr.images.picture import Metadata, Picture
from jaxcorr.images.rows import PictureRows
from jaxcorr.paths import AnyPath, as_path, is_remote, remote_errors

WHOLE_PIXELS = 2**21
"""Pixels up to which an image is read as a whole."""
BAND_PIXELS = 2**20
"""Pixels of a band, about."""
DECODED_AT_ONCE = {"BMP", "JPEG", "MPO", "PNG", "PPM", "WEBP"}
"""Formats of which Pillow decodes 8-bit images that need nothing of the file later."""
FOR_BANDS = {"icc_profile", "transparency"}
"""Information of a decoded image that its bands need."""


def is_large(size: tuple[int, int]) -> bool:
    """Returns whether an image of this height and width is read and written by rows."""
    return size[0] * size[1] > WHOLE_PIXELS


class UnreadableImage(UserError):
    """An image file that cannot be read to its end."""


def read_rows(
    path: AnyPath, *, page: int | None = None, keep_metadata: bool = False
) -> PictureRows:
    """Reads an image file as rows; see `reader.read`.

    Args:
      path: Path of the file.
      page: As in `reader.read`.
      keep_metadata: As in `reader.read`.

    Raises:
      UserError: As in `reader.read`. If the file is damaged, reading the rows may raise
        `UnreadableImage`.
    """
    try:
        path = as_path(path)
        with remote_errors(path, "cannot be read as an image"):
            file = io.BytesIO(path.read_bytes()) if is_remote(path) else path.open("rb")
    except OSError as error:
        reason = error.strerror or error
        raise UserError(f"{path} cannot be read as an image: {reason}") from error
    return decode_rows(file, name=str(path), page=page, keep_metadata=keep_metadata)


def decode_rows(
    file: BufferedIOBase,
    *,
    name: str,
    page: int | None = None,
    keep_metadata: bool = False,
) -> PictureRows:
    """Decodes an image file as rows; see `read_rows`.

    Args:
      file: The file at its start, which closing the rows closes.
      name: Name of the file, for messages.
      page: As in `reader.read`.
      keep_metadata: As in `reader.read`.
    """
    with contextlib.ExitStack() as stack:
        stack.enter_context(file)
        with reader.unreadable_is_refused(name):
            found = _cut(file, name, page, keep_metadata)
        if found is not None:
            return PictureRows(
                found.size,
                _checked(found, name),
                metadata=found.metadata,
                changes=tuple(found.changes),
                bytes_held=found.bytes_held,
                close=stack.pop_all().close,
            )
        file.seek(0)
        data = file.read()
    picture = reader.decode(data, name=name, page=page, keep_metadata=keep_metadata)
    return PictureRows.of(picture)


class _Bands(NamedTuple):
    """An image in bands; see `PictureRows`.

    Attributes:
      size: Height and width, in pixels.
      bands: The image in bands of rows.
      metadata: What is kept of the file on request.
      changes: What choosing the image changed, in words.
      bytes_held: Bytes of the decoded image, if it is decoded as a whole.
    """

    size: tuple[int, int]
    bands: Iterable[Picture]
    metadata: Metadata
    changes: list[str]
    bytes_held: int


def _cut(
    file: BufferedIOBase, name: str, page: int | None, keep_metadata: bool
) -> _Bands | None:
    """Returns the bands of a large file; None if it is read as a whole."""
    opened: Any = file  # Typed otherwise by Pillow.
    try:
        image: Any = Image.open(opened)
    except Image.UnidentifiedImageError:
        return None
    if not is_large(image.size):
        return None
    number, changes = reader.choose_page(image, page)
    parts.seek(image, number)
    rows = max(1, BAND_PIXELS // image.width)
    files, bytes_held = None, 0
    exif_data, xmp = reader.metadata_of(image)
    is_upright = exif.orientation(exif_data, xmp) == exif.UPRIGHT
    file.seek(0)
    with contextlib.suppress(Exception):  # Pillow may read files that are damaged.
        if image.format == "PNG" and is_upright:
            files = png_bands.read_bands(file, rows)
        elif image.format == "TIFF":
            files = tiff_bands.read_bands(file, rows, number)
    if files is not None:
        size = image.height, image.width
        bands = (
            reader.decode(data, name=name, keep_metadata=keep_metadata)
            for data in files
        )
    elif image.format in DECODED_AT_ONCE and _is_plain(image):
        image.load()
        exif_data, xmp = reader.metadata_of(image)
        turn = exif.orientation(exif_data, xmp)
        upright = image.transpose(exif.TURNS[turn]) if turn in exif.TURNS else image
        size = upright.height, upright.width
        bytes_held = size[0] * size[1] * (1 if image.mode in ("1", "L", "P") else 4)
        turned = (reader.TURNED,) if turn in exif.TURNS else ()
        bands = _bands_of(upright, rows, turned, keep_metadata)
    else:
        return None
    metadata = Metadata()
    if keep_metadata:
        metadata = Metadata(exif=exif.reset_exif(exif_data), xmp=exif.reset_xmp(xmp))
    return _Bands(size, bands, metadata, changes, bytes_held)


def _is_plain(image: Any) -> bool:
    """Returns whether samples have 8 bits, and mean what they mean in any format."""
    is_deep = image.mode.startswith(("I", "F")) or any(
        "16" in str(tile[3]) for tile in image.tile
    )
    return not is_deep and "gamma" not in image.info


def _bands_of(
    image: Image.Image, rows: int, changes: tuple[str, ...], keep_metadata: bool
) -> Iterator[Picture]:
    """Yields bands of a decoded image, each converted by itself."""
    info: dict[Any, Any] = {
        key: image.info[key] for key in FOR_BANDS & image.info.keys()
    }
    for first in range(0, image.height, rows):
        last = min(first + rows, image.height)
        band = image.crop((0, first, image.width, last))
        band.info = dict(info)
        picture = reader.convert(
            band, reopen=None, changes=[], keep_metadata=keep_metadata
        )
        yield dataclasses.replace(picture, changes=(*picture.changes, *changes))


def _checked(found: _Bands, name: str) -> Iterator[Picture]:
    """Yields bands, after checking their sizes.

    Raises:
      UnreadableImage: If the file is damaged.
    """
    end, (height, width) = 0, found.size
    try:
        with reader.unreadable_is_refused(name):
            for band in found.bands:
                end += band.rgb.shape[0]
                if end > height or band.rgb.shape[1] != width:
                    raise ValueError("its parts have other sizes than the whole")
                yield band
            if end < height:
                raise ValueError("its parts end early")
    except UserError as error:
        raise UnreadableImage(str(error)) from error
