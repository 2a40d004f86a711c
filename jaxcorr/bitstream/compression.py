"""Compresses images in any form to the bytes of files, and decompresses files."""

import os
import warnings
from collections.abc import Sequence
from typing import Any, Literal, get_args, overload

import numpy as np
from jaxtyping import UInt8
from PIL import Image
from typing_extensions import deprecated

from jaxcorr import files, images
from jaxcorr.bitstream import model_choice, rate_target, side_sections
from jaxcorr.bitstream.coding import decode
from jaxcorr.bitstream.container import Arithmetic, Container
from jaxcorr.bitstream.sections import unpack_model_name
from jaxcorr.errors import UserError
from jaxcorr.images import ImageLike, Picture, PictureRows
from jaxcorr.model import Model
from jaxcorr.model_set import ModelSet, ModelsLike
from jaxcorr.paths import as_path
from jaxcorr.run_directory import DEMO

Data = bytes | bytearray | memoryview | str | os.PathLike[str]
"""Bytes of a file, or its path."""
MetadataChoice = Literal["drop", "keep"]
"""Whether a file keeps EXIF data, XMP and the ICC profile of an image."""


@overload
def compress(
    image: ImageLike,
    model: ModelsLike = DEMO,
    *,
    fast: bool = False,
    bpp: float | int | None = None,
    psnr: float | int | None = None,
    size: float | int | str | None = None,
    memory: int | str | None = None,
    background: str | None = None,
    metadata: MetadataChoice = "drop",
    with_model_name: bool = True,
) -> bytes: ...


@overload
def compress(
    image: Sequence[ImageLike],
    model: ModelsLike = DEMO,
    *,
    fast: bool = False,
    bpp: float | int | None = None,
    psnr: float | int | None = None,
    size: float | int | str | None = None,
    memory: int | str | None = None,
    background: str | None = None,
    metadata: MetadataChoice = "drop",
    with_model_name: bool = True,
) -> list[bytes]: ...


@overload
@deprecated("compress takes the image first: compress(image, model)")
def compress(image: Model, model: ImageLike, *, fast: bool = False) -> bytes: ...


def compress(
    image: Any,
    model: Any = DEMO,
    *,
    fast: bool = False,
    bpp: float | int | None = None,
    psnr: float | int | None = None,
    size: float | int | str | None = None,
    memory: int | str | None = None,
    background: str | None = None,
    metadata: MetadataChoice = "drop",
    with_model_name: bool = True,
) -> bytes | list[bytes]:
    """Encodes an image of any size to the bytes of a file.

    With `bpp`, `psnr` or `size`, each image is coded with the best of several models:
    the one with the highest PSNR of those whose files are small enough, or the one with
    the smallest file of those whose PSNR is high enough.

    Args:
      image: A path, an image of Pillow, or an array of shape [height, width] or
        [height, width, channels] with 1 (gray), 3 (RGB) or 4 channels (RGB and
        opacity). Arrays hold uint8, uint16, or floating-point numbers in [0, 1]. Or a
        list of images. Colors are converted to sRGB; opacity is kept without loss.
      model: Model, or the path of a model folder or run; by default the packaged demo.
        The decoder needs the same model. A model is read once, until its files change.
        For a target, a sweep, a folder of model folders, or a list of models and paths.
      fast: Codes in float32, which is faster, but only a similar machine can decode the
        file.
      bpp: Target: the highest bits per pixel of a file.
      psnr: Target: the lowest PSNR of a decoded 8-bit image, in dB.
      size: Target: the highest size of a file, in bytes or as in "20KB".
      memory: Memory that coding may take, in bytes or as in "2GB"; by default half of
        what is free. Files do not depend on it.
      background: Color over which a transparent image is laid, such as "white" or
        "#ffcc00"; None keeps the opacity.
      metadata: "keep" stores EXIF data, XMP and the ICC profile of files and images of
        Pillow. Colors then stay in their own color space.
      with_model_name: Whether the file says the name of the model, the last part of its
        path, to those who lack the model. It takes at most 29 bytes.

    Returns:
      The bytes of the file, or a list with the bytes for each image.

    Raises:
      TypeError: If an argument has another type.
      UserError: If an image or a model cannot be read, if an array has another shape
        or range, if no model meets the target, or for the reasons of `encode`.
    """
    if isinstance(image, Model):
        image, model = _image_first("compress(image, model)", image, model)
    target = rate_target.make_target(bpp=bpp, psnr=psnr, size=size)
    models = model_choice.read_models(ModelSet(model), target)
    arithmetic = Arithmetic.FAST if fast else Arithmetic.PORTABLE
    limit = rate_target.memory_limit(memory)
    color = None if background is None else images.parse_color(background)
    keep_metadata = keeps_metadata(metadata)

    def compress_one(rows: PictureRows, name: str) -> bytes:
        rows = rows if color is None else rows.over(color)
        return model_choice.encode(
            models,
            rows,
            target,
            arithmetic=arithmetic,
            memory=limit,
            sections=lambda: side_sections.pack(rows),
            with_model_name=with_model_name,
            name=name,
        ).data

    return images.map_images(compress_one, image, keep_metadata=keep_metadata)


def keeps_metadata(choice: str) -> bool:
    """Returns whether metadata are kept.

    Raises:
      UserError: If the choice is neither "drop" nor "keep".
    """
    if choice not in get_args(MetadataChoice):
        raise UserError(f"metadata must be drop or keep, but is {choice!r}")
    return choice == "keep"


@overload
def decompress(
    data: Data,
    model: ModelsLike | None = None,
    *,
    name: str | None = None,
    memory: int | str | None = None,
    as_pillow: Literal[False] = False,
) -> UInt8[np.ndarray, "h w 3"]: ...


@overload
def decompress(
    data: Data,
    model: ModelsLike | None = None,
    *,
    name: str | None = None,
    memory: int | str | None = None,
    as_pillow: Literal[True],
) -> Image.Image: ...


@overload
def decompress(
    data: Sequence[Data],
    model: ModelsLike | None = None,
    *,
    name: str | None = None,
    memory: int | str | None = None,
    as_pillow: Literal[False] = False,
) -> list[UInt8[np.ndarray, "h w 3"]]: ...


@overload
def decompress(
    data: Sequence[Data],
    model: ModelsLike | None = None,
    *,
    name: str | None = None,
    as_pillow: Literal[True],
) -> list[Image.Image]: ...


@overload
@deprecated("decompress takes the data first: decompress(data, model)")
def decompress(
    data: Model, model: Data, *, name: str | None = None
) -> UInt8[np.ndarray, "h w 3"]: ...


def decompress(
    data: Any,
    model: Any = None,
    *,
    name: str | None = None,
    memory: int | str | None = None,
    as_pillow: bool = False,
) -> Any:
    """Decodes an image from the bytes of a file.

    Args:
      data: Bytes of a file, or its path. Or a list of these.
      model: The model that encoded the image, or the path of its model folder or run.
        Or several models, as in `compress`, of which one encoded the image. By default
        it is found in the store by its fingerprint, which holds the demo and what
        `jaxcorr models add` added.
      name: Name of the file, for messages.
      memory: Memory that decoding may take, as in `compress`.
      as_pillow: Whether to return an image of Pillow, of mode L, LA, RGB or RGBA as it
        was compressed, with the metadata that the file keeps.

    Returns:
      An 8-bit image in sRGB, laid over white if it is transparent, or an image of
      Pillow. Or a list of images.

    Raises:
      TypeError: If an argument has another type.
      UserError: If a file or the model cannot be read, if the bytes are damaged, or if
        another model encoded the image.
    """
    if isinstance(data, Model):
        data, model = _image_first("decompress(data, model)", data, model)
    models = decoding_models(model)
    limit = rate_target.memory_limit(memory)
    if isinstance(data, list | tuple):
        count = len(data)
        pictures = [
            _decompress(one, models, name or f"file {number} of {count}", limit)
            for number, one in enumerate(data, 1)
        ]
        return [_give(picture, as_pillow) for picture in pictures]
    return _give(_decompress(data, models, name or "the file", limit), as_pillow)


def decoding_models(model: Any = None, *, checkpoint: str = "best") -> ModelSet:
    """Returns the models among which files find theirs; by default those of the store.

    Args:
      model: A model or path, or a list of these, as in `ModelSet`.
      checkpoint: Checkpoint of runs, as in `ModelSet`.

    Raises:
      TypeError: As in `ModelSet`.
      UserError: As in `ModelSet`.
    """
    with_store = model is None
    models = DEMO if with_store else model
    return ModelSet(models, checkpoint=checkpoint, with_store=with_store)


def _give(picture: Picture, as_pillow: bool) -> Any:
    return picture.to_pillow() if as_pillow else picture.in_srgb().over().rgb


def _decompress(data: Any, models: ModelSet, name: str, memory: int | None) -> Picture:
    if isinstance(data, str | os.PathLike):
        name = os.fspath(data)
        data = files.read_file(as_path(data))
    if not isinstance(data, bytes | bytearray | memoryview):
        raise TypeError(
            f"{name} must be given by its bytes or its path, but is of type "
            f"{type(data).__name__}"
        )
    container = Container.from_bytes(bytes(data), name)
    called = unpack_model_name(container.sections)
    model = models.find(container.fingerprint, name, called=called)
    pixels, _ = decode(
        model, container, name=name, memory=memory, keep_predictions=False
    )
    return side_sections.unpack(container.sections, pixels, name)


def _image_first(call: str, model: Model, data: Any) -> tuple[Any, Model]:
    """Swaps arguments in the order of version 0.2, and warns of it."""
    warnings.warn(
        f"the model is the second argument now: {call}",
        DeprecationWarning,
        stacklevel=3,
    )
    return data, model
