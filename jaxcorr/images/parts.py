"""Opens image files, and chooses among the pages, frames or pictures in one."""

import contextlib
import importlib
import io

from PIL import Image

from jaxcorr import extras
from jaxcorr.errors import TransientError, UserError
from jaxcorr.images import jpeg_xl
from jaxcorr.paths import AnyPath, as_path, open_start
from jaxcorr.storage_errors import describe_error, may_pass

PARTS = {
    "AVIF": "frame",
    "GIF": "frame",
    "HEIF": "picture",
    "MPO": "picture",
    "PNG": "frame",
    "TIFF": "page",
    "WEBP": "frame",
}
"""Name of the parts of which a file of each format may hold several."""
OF_SEVERAL_SIZES = {"MPO", "TIFF"}
"""Formats whose parts may have several sizes, such as thumbnails."""
HEIF_BRANDS = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"}
"""Kinds of files, after the letters `ftyp`, that Pillow does not read by itself."""


def open_image(data: bytes, name: str) -> Image.Image:
    """Opens an image without decoding it.

    Raises:
      UserError: If it is of no known kind, or the reader of its kind is not installed.
    """
    if data[4:8] == b"ftyp" and data[8:12] in HEIF_BRANDS:
        with extras.needs_extra("heif", f"{name} is a HEIC image: reading it"):
            pillow_heif = importlib.import_module("pillow_heif")
        pillow_heif.register_heif_opener()
    if jpeg_xl.is_jpeg_xl(data):
        return jpeg_xl.decode(data, name)
    try:
        return Image.open(io.BytesIO(data))
    except Image.UnidentifiedImageError as error:
        kind = "not an image" if data else "empty"
        raise UserError(f"{name} is {kind}") from error


def count_parts(image: Image.Image) -> tuple[int, str]:
    """Returns the number of parts in a file, and what they are."""
    part = PARTS.get(image.format or "")
    if part is None:
        return 1, ""
    try:
        return max(getattr(image, "n_frames", 1), 1), part
    except Exception:  # A damaged later page.
        return 1, part


def part_sizes(image: Image.Image) -> list[tuple[int, int]]:
    """Returns the sizes of all parts, up to the first that is damaged."""
    sizes = []
    with contextlib.suppress(Exception):
        for number in range(count_parts(image)[0]):
            sizes.append(seek(image, number).size)
    return sizes or [image.size]


def choose_part(image: Image.Image) -> tuple[int, int, str]:
    """Returns the number of the largest part, how many there are, and what they are."""
    count, part = count_parts(image)
    number = image.tell() if count > 1 else 0
    if count > 1 and image.format in OF_SEVERAL_SIZES:
        areas = [width * height for width, height in part_sizes(image)]
        number = areas.index(max(areas))
    return number, count, part


def seek(image: Image.Image, number: int) -> Image.Image:
    """Goes to a part of a file, and returns the image."""
    if image.tell() != number:
        image.seek(number)
    return image


def read_size(path: str | AnyPath) -> tuple[int, int]:
    """Returns width and height of an image by its headers, or zeros if it is damaged.

    Pages that are turned have the size as it is stored.

    Raises:
      TransientError: If a disk or a bucket fails.
    """
    path = as_path(path)
    try:
        return _read_size(path)
    except Exception as error:  # Decoders raise errors of any type.
        if may_pass(error):
            reason = describe_error(error)
            raise TransientError(f"{path} cannot be read: {reason}") from error
        return 0, 0


def _read_size(path: AnyPath) -> tuple[int, int]:
    try:
        with open_start(path) as file, Image.open(file) as image:
            if count_parts(image)[0] == 1:
                return image.size
            sizes = part_sizes(image)
        return max(sizes, key=lambda size: size[0] * size[1])
    except Image.UnidentifiedImageError:
        with open_image(path.read_bytes(), str(path)) as image:
            return image.size
