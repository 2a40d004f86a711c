"""Converts images in any form, such as arrays and images of Pillow, to pictures."""

import contextlib
import os
from collections.abc import Callable
from typing import Any, Protocol, TypeVar, runtime_checkable

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from jaxcorr.errors import UserError
from jaxcorr.images import reader, row_reader
from jaxcorr.images.picture import Picture
from jaxcorr.images.rows import PictureRows
from jaxcorr.paths import as_path

Result = TypeVar("Result")


@runtime_checkable  # For `to_picture`, and since tests check types.
class ArrayLike(Protocol):
    """An array of NumPy or JAX, or anything that NumPy converts to an array."""

    def __array__(self, *arguments: Any, **options: Any) -> Any:
        """Returns a NumPy array."""
        ...


ImageLike = str | os.PathLike[str] | Image.Image | ArrayLike
"""An image in any form that `to_picture` takes."""


def to_rgb(image: Any, *, name: str = "the image") -> UInt8[np.ndarray, "h w 3"]:
    """Converts an image in any form to 8-bit RGB, with transparency laid over white.

    Args:
      image: As in `to_picture`.
      name: Name of an image that is not a path, for messages.

    Raises:
      TypeError: As in `to_picture`.
      UserError: As in `to_picture`.
    """
    return to_picture(image, name=name).over().rgb


def to_picture(
    image: Any, *, name: str = "the image", keep_metadata: bool = False
) -> Picture:
    """Converts an image in any form to 8 bits.

    Args:
      image: A path, an image of Pillow, or an array of shape [height, width] or
        [height, width, channels] with 1 (gray), 3 (RGB) or 4 channels (RGB and
        opacity). Arrays hold uint8, uint16, or floating-point numbers in [0, 1].
      name: Name of an image that is not a path, for messages.
      keep_metadata: As in `read`.

    Raises:
      TypeError: If `image` is neither of these.
      UserError: If a file cannot be read, or an array has another shape, another type
        or values outside [0, 1].
    """
    if isinstance(image, str | os.PathLike):
        return reader.read(as_path(image), keep_metadata=keep_metadata)
    if isinstance(image, Image.Image):
        return reader.from_pillow(image, name, keep_metadata=keep_metadata)
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
    return reader.from_pillow(Image.fromarray(array), name, keep_metadata=False)


def map_images(
    function: Callable[[PictureRows, str], Result],
    image: Any,
    *,
    keep_metadata: bool = False,
) -> Result | list[Result]:
    """Calls a function with the rows of an image, or of each image of a list.

    Args:
      function: The function, which takes rows and the name of their image for messages.
      image: Image as in `to_picture`, or a list or tuple of images.
      keep_metadata: As in `read`.

    Returns:
      The result of the function, or a list of results.

    Raises:
      TypeError: As in `to_picture`.
      UserError: As in `to_picture`.
    """

    def call(one: Any, name: str) -> Result:
        if isinstance(one, str | os.PathLike):
            rows = row_reader.read_rows(as_path(one), keep_metadata=keep_metadata)
            with contextlib.closing(rows):
                return function(rows, os.fspath(one))
        picture = to_picture(one, name=name, keep_metadata=keep_metadata)
        return function(PictureRows.of(picture), name)

    if not isinstance(image, list | tuple):
        return call(image, "the image")
    count = len(image)
    return [call(one, f"image {i} of {count}") for i, one in enumerate(image, 1)]


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
