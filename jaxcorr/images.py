"""Reads and writes photographs as RGB arrays."""

import contextlib
import io
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Protocol, TypeVar, runtime_checkable

import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageFile, ImageOps

from jaxcorr import files, image_files, jpeg_decoder
from jaxcorr.errors import UserError

Result = TypeVar("Result")


@runtime_checkable  # For `to_rgb`, and since tests check types.
class ArrayLike(Protocol):
    """An array of NumPy or JAX, or anything that NumPy converts to an array."""

    def __array__(self, *arguments: Any, **options: Any) -> Any:
        """Returns a NumPy array."""
        ...


ImageLike = str | os.PathLike[str] | Image.Image | ArrayLike
"""An image in any form that `to_rgb` takes."""

UNREADABLE = (
    EOFError,
    OSError,
    RuntimeError,
    SyntaxError,
    ValueError,
    Image.DecompressionBombError,
)
"""Exceptions that Pillow raises for a damaged image."""

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
    return [Path(entry.path) for entry in image_files.scan_images(directory)]


def read_image(path: Path) -> tuple[UInt8[np.ndarray, "h w 3"], str | None]:
    """Reads an image as 8-bit RGB, and turns it upright according to its EXIF data.

    Transparency is laid over white. Gray, palette, CMYK and 16-bit images are converted
    to 8-bit RGB.

    Returns:
      The image, and a note on how it was converted; None if it was not.

    Raises:
      UserError: If the file is missing, damaged or not an image.
    """
    with _unreadable_is_refused(str(path)):
        data = Path(path).read_bytes()
        if (array := jpeg_decoder.decode(data)) is not None:
            return array, None
        try:
            with Image.open(io.BytesIO(data)) as opened:
                changes = _changes(opened)
                array = np.asarray(_as_rgb(ImageOps.exif_transpose(opened)))
        except Image.UnidentifiedImageError as error:
            kind = "not an image" if data else "empty"
            raise UserError(f"{path} is {kind}") from error
    return array, f"{path}: {', '.join(changes)}" if changes else None


def to_rgb(image: Any, *, name: str = "the image") -> UInt8[np.ndarray, "h w 3"]:
    """Converts an image in any form to 8-bit RGB.

    Transparency is laid over white, and 16-bit values are converted to 8 bits.

    Args:
      image: A path, an image of Pillow, or an array of shape [height, width] or
        [height, width, channels] with 1 (gray), 3 (RGB) or 4 channels (RGB and
        opacity). Arrays hold uint8, uint16, or floating-point numbers in [0, 1].
      name: Name of an image that is not a path, for messages.

    Raises:
      TypeError: If `image` is neither of these.
      UserError: If a file cannot be read, or an array has another shape, another type
        or values outside [0, 1].
    """
    if isinstance(image, str | os.PathLike):
        return read_image(Path(image))[0]
    if isinstance(image, Image.Image):
        with _unreadable_is_refused(name):
            return np.asarray(_as_rgb(ImageOps.exif_transpose(image)))
    if not isinstance(image, ArrayLike):
        raise TypeError(
            f"{name} must be a path, an image of Pillow or an array, but is of type "
            f"{type(image).__name__}"
        )
    array = _to_8_bits(np.asarray(image), name)
    if array.ndim == 3 and array.shape[2] == 1:
        array = array[:, :, 0]
    if not (array.ndim == 2 or (array.ndim == 3 and array.shape[2] in (3, 4))):
        batch = "; give a batch as a list of images" if array.ndim == 4 else ""
        raise UserError(
            f"{name} must have shape [height, width] or [height, width, channels] with "
            f"1, 3 or 4 channels, but has shape {list(np.shape(image))}{batch}"
        )
    if not array.size:
        raise UserError(f"{name} has no pixels: its shape is {list(np.shape(image))}")
    return np.asarray(_as_rgb(Image.fromarray(array)))


def map_images(
    function: Callable[[UInt8[np.ndarray, "h w 3"], str], Result], image: Any
) -> Result | list[Result]:
    """Calls a function with an image as 8-bit RGB, or with each image of a list.

    Args:
      function: The function, which takes an image and its name for messages.
      image: Image as in `to_rgb`, or a list or tuple of images.

    Returns:
      The result of the function, or a list of results.

    Raises:
      TypeError: As in `to_rgb`.
      UserError: As in `to_rgb`.
    """

    def call(one: Any, name: str) -> Result:
        name = os.fspath(one) if isinstance(one, str | os.PathLike) else name
        return function(to_rgb(one, name=name), name)

    if not isinstance(image, list | tuple):
        return call(image, "the image")
    count = len(image)
    return [call(one, f"image {i} of {count}") for i, one in enumerate(image, 1)]


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


@contextlib.contextmanager
def _unreadable_is_refused(name: str) -> Iterator[None]:
    """Raises a UserError for an image that Pillow cannot read in the block."""
    try:
        yield
    except UserError:
        raise
    except UNREADABLE as error:
        reason = getattr(error, "strerror", None) or error
        raise UserError(f"{name} cannot be read as an image: {reason}") from error


def _to_8_bits(array: np.ndarray, name: str) -> np.ndarray:
    """Converts values to uint8: 16-bit ones, and floating-point ones in [0, 1]."""
    if array.dtype == np.uint8:
        return array
    if array.dtype == np.uint16:
        return np.rint(array * (255 / 65535)).astype(np.uint8)
    # NumPy does not count bfloat16, which JAX adds to it, among its floating types.
    if array.dtype.kind != "f" and "float" not in array.dtype.name:
        raise UserError(
            f"{name} must hold uint8, uint16 or floating-point numbers in [0, 1], but "
            f"holds {array.dtype}: convert it, for example by image.astype(np.uint8)"
        )
    values = array.astype(np.float64)
    if values.size and not (values.min() >= 0 and values.max() <= 1):
        raise UserError(
            f"{name} holds floating-point numbers, which must lie in [0, 1], but they "
            f"lie in [{values.min():g}, {values.max():g}]: divide by 255, or clip"
        )
    return np.rint(values * 255).astype(np.uint8)


def _format_of(path: Path) -> str | None:
    """Returns Pillow's name of the format that a path's extension stands for."""
    suffix = Path(path).suffix.lower()
    return (
        Image.registered_extensions().get(suffix)
        if suffix in image_files.SUFFIXES
        else None
    )


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
    if jpeg_decoder.orientation(image) != jpeg_decoder.UPRIGHT:
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
