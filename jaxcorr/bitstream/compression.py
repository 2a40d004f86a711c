"""Compresses images in any form to the bytes of files, and decompresses files."""

import os
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any, overload

import numpy as np
from jaxtyping import UInt8
from typing_extensions import deprecated

from jaxcorr import files, images, run_directory
from jaxcorr.bitstream.coding import decode, encode
from jaxcorr.bitstream.container import Arithmetic, Container
from jaxcorr.errors import UserError
from jaxcorr.images import ImageLike
from jaxcorr.model import Model
from jaxcorr.run_directory import DEMO

Data = bytes | bytearray | memoryview | str | os.PathLike[str]
"""Bytes of a file, or its path."""

ModelLike = Model | str | os.PathLike[str]
"""A model, or the path of a model folder or run."""


@overload
def compress(
    image: ImageLike, model: ModelLike = DEMO, *, fast: bool = False
) -> bytes: ...


@overload
def compress(
    image: Sequence[ImageLike], model: ModelLike = DEMO, *, fast: bool = False
) -> list[bytes]: ...


@overload
@deprecated("compress takes the image first: compress(image, model)")
def compress(image: Model, model: ImageLike, *, fast: bool = False) -> bytes: ...


def compress(
    image: Any, model: Any = DEMO, *, fast: bool = False
) -> bytes | list[bytes]:
    """Encodes an image of any size to the bytes of a file.

    Args:
      image: A path, an image of Pillow, or an array of shape [height, width] or
        [height, width, channels] with 1 (gray), 3 (RGB) or 4 channels (RGB and
        opacity, which is laid over white). Arrays hold uint8, uint16, or
        floating-point numbers in [0, 1]. Or a list of images.
      model: Model, or the path of a model folder or run; by default the packaged demo.
        The decoder needs the same model. A model is read once, until its files change.
      fast: Codes in float32, which is faster, but only a similar machine can decode the
        file.

    Returns:
      The bytes of the file, or a list with the bytes for each image.

    Raises:
      TypeError: If an argument has another type.
      UserError: If an image or the model cannot be read, if an array has another shape
        or range, or for the reasons of `encode`.
    """
    if isinstance(image, Model):
        image, model = _image_first("compress(image, model)", image, model)
    opened = open_model(model)
    arithmetic = Arithmetic.FAST if fast else Arithmetic.PORTABLE

    def compress_one(pixels: UInt8[np.ndarray, "h w 3"]) -> bytes:
        return encode(opened, pixels, arithmetic=arithmetic)[0].to_bytes()

    return images.map_images(compress_one, image)


@overload
def decompress(
    data: Data, model: ModelLike | None = None, *, name: str | None = None
) -> UInt8[np.ndarray, "h w 3"]: ...


@overload
def decompress(
    data: Sequence[Data], model: ModelLike | None = None, *, name: str | None = None
) -> list[UInt8[np.ndarray, "h w 3"]]: ...


@overload
@deprecated("decompress takes the data first: decompress(data, model)")
def decompress(
    data: Model, model: Data, *, name: str | None = None
) -> UInt8[np.ndarray, "h w 3"]: ...


def decompress(
    data: Any, model: Any = None, *, name: str | None = None
) -> UInt8[np.ndarray, "h w 3"] | list[UInt8[np.ndarray, "h w 3"]]:
    """Decodes an image from the bytes of a file.

    Args:
      data: Bytes of a file, or its path. Or a list of these.
      model: The model that encoded the image, or the path of its model folder or run.
        By default the packaged demo, if it encoded the image.
      name: Name of the file, for messages.

    Returns:
      An 8-bit RGB image, or a list of images.

    Raises:
      TypeError: If an argument has another type.
      UserError: If a file or the model cannot be read, if the bytes are damaged, or if
        another model encoded the image.
    """
    if isinstance(data, Model):
        data, model = _image_first("decompress(data, model)", data, model)
    opened = None if model is None else open_model(model)
    if isinstance(data, list | tuple):
        count = len(data)
        return [
            _decompress(one, opened, name or f"file {number} of {count}")
            for number, one in enumerate(data, 1)
        ]
    return _decompress(data, opened, name or "the file")


def open_model(model: Any) -> Model:
    """Returns a model, given the model or the path of a model folder or run.

    Raises:
      TypeError: If `model` is neither of these.
      UserError: If the model cannot be read.
    """
    if isinstance(model, Model):
        return model
    if isinstance(model, str | os.PathLike):
        return run_directory.load_once(Path(model))
    raise TypeError(
        "`model` must be a Model or the path of a model folder or run, but is of type "
        f"{type(model).__name__}"
    )


def _decompress(
    data: Any, model: Model | None, name: str
) -> UInt8[np.ndarray, "h w 3"]:
    if isinstance(data, str | os.PathLike):
        name = os.fspath(data)
        data = files.read_file(Path(data))
    if not isinstance(data, bytes | bytearray | memoryview):
        raise TypeError(
            f"{name} must be given by its bytes or its path, but is of type "
            f"{type(data).__name__}"
        )
    container = Container.from_bytes(bytes(data), name)
    if model is None:
        model = run_directory.load_once(DEMO)
        if container.fingerprint != model.fingerprint:
            raise UserError(
                f"{name} was made with model {container.fingerprint.hex()}, which is "
                f"not the demo: give the model, as in decompress(data, model=...)"
            )
    return decode(model, container, name=name)[0]


def _image_first(call: str, model: Model, data: Any) -> tuple[Any, Model]:
    """Swaps arguments in the order of version 0.2, and warns of it."""
    warnings.warn(
        f"the model is the second argument now: {call}",
        DeprecationWarning,
        stacklevel=3,
    )
    return data, model
