"""Encodes 8-bit images to the content of files, and decodes it."""

from collections.abc import Iterator

import jax
import numpy as np
from jaxtyping import Array, Float, Int32, UInt8, UInt16

from jaxcorr import programs, system_memory, windowed_codec
from jaxcorr.bitstream import coding_loop, networks, pictures
from jaxcorr.bitstream.coding_loop import DecodedLatents
from jaxcorr.bitstream.container import VERSION, Arithmetic, Container
from jaxcorr.bitstream.memory import is_large, window_pixels
from jaxcorr.bitstream.planes import Planes
from jaxcorr.bitstream.range_coder import CodingError, RangeDecoder, RangeEncoder
from jaxcorr.bitstream.symbol_coders import (
    SymbolCoder,
    SymbolDecoder,
    SymbolEncoder,
    round_to_symbols,
)
from jaxcorr.context.strips import Rows
from jaxcorr.errors import UserError
from jaxcorr.images import Picture, PictureRows
from jaxcorr.model import Model
from jaxcorr.transforms.canvas import check_size
from jaxcorr.transforms.windows import Plan, Window, read_padded


def encode(
    model: Model,
    image: UInt8[np.ndarray, "h w 3"] | PictureRows,
    *,
    arithmetic: Arithmetic = Arithmetic.PORTABLE,
    version: int = VERSION,
    keep_predictions: bool = True,
    memory: int | None = None,
) -> tuple[Container, DecodedLatents]:
    """Encodes an image of any size.

    Args:
      model: Model to encode with; the decoder needs the same model.
      image: 8-bit RGB, or rows, which are read once.
      arithmetic: Arithmetic of the networks that feed the range coder: portable, or
        faster and for similar machines only.
      version: Version of the file format.
      keep_predictions: Whether the latents are to have their means and scales.
      memory: Memory that coding may take, in bytes; by default half of what is free.

    Returns:
      The content of the file, and the latents that a decoder will have.

    Raises:
      UserError: If the image is too large, or the model computes values that are not
        finite.
    """
    if isinstance(image, np.ndarray):
        image = PictureRows.of(Picture(rgb=image))
    height, width = image.size
    check_size(height, width)
    held = image.bytes_held
    planes = _planes(model, (height, width), version, memory, bytes_held=held)
    with programs.kept_for((model.config, planes.canvas), "encode"):
        y = pictures.analyze(model, image, planes)
        image.close()
        _return_freed_memory(image.size)  # That of windows of the image.
        z = pictures.analyze_latents(model, y, planes)
        side_symbols = round_to_symbols(z - model.median)
        side_coder = RangeEncoder()
        channels = _channel_indices(side_symbols.shape)
        side_coder.encode(side_symbols.ravel(), channels, model.side_tables)
        coder = SymbolEncoder(model, y, is_guarded=arithmetic == Arithmetic.PORTABLE)
        latents = _code_latents(
            model, side_symbols, planes, coder, arithmetic, keep_predictions
        )
    offset, *later_offsets = coder.offsets
    container = Container(
        version=version,
        arithmetic=arithmetic,
        offset=offset,
        fingerprint=model.fingerprint,
        width=width,
        height=height,
        z_payload=side_coder.get_bytes(),
        y_payload=bytes(later_offsets) + coder.coder.get_bytes(),
        symbols_checksum=latents.checksum(),
    )
    return container, latents


def decode(
    model: Model,
    container: Container,
    *,
    name: str = "the file",
    keep_predictions: bool = True,
    memory: int | None = None,
) -> tuple[UInt8[np.ndarray, "h w 3"], DecodedLatents]:
    """Decodes an image.

    Args:
      model: The model that encoded the image.
      container: Content of the file.
      name: Name of the file, for messages.
      keep_predictions: Whether the latents are to have their means and scales.
      memory: Memory that decoding may take, in bytes; by default half of what is free.

    Returns:
      The 8-bit RGB image, and its decoded latents.

    Raises:
      UserError: If another model encoded the image, if the image is too large, or if
        this device decodes other symbols than were encoded.
    """
    latents, planes = _checked_latents(model, container, name, keep_predictions, memory)
    return _reconstruct(model, latents, planes), latents


def decode_rows(
    model: Model,
    container: Container,
    *,
    name: str = "the file",
    memory: int | None = None,
) -> Iterator[UInt8[np.ndarray, "rows w 3"]]:
    """Decodes an image, and returns its rows in bands from the top; see `decode`.

    The latents are decoded and checked before it returns, and the pixels of a band when
    it is asked for.
    """
    size = container.height, container.width
    _return_freed_memory(size)  # That of an image before it.
    latents, planes = _checked_latents(
        model, container, name, False, memory, bytes_held=0
    )
    latent_hat = latents.latent_hat
    del latents  # Its symbols take half as much.
    _return_freed_memory(size)
    return pictures.synthesize(model, latent_hat, planes)


def reconstruct(
    model: Model,
    latents: DecodedLatents,
    height: int,
    width: int,
    *,
    version: int = VERSION,
    memory: int | None = None,
) -> UInt8[np.ndarray, "h w 3"]:
    """Returns the 8-bit RGB image that a decoder computes from decoded latents.

    Args:
      model: The model that encoded the image.
      latents: Latents of the image, from `encode` or `decode`.
      height: Height of the image.
      width: Width of the image.
      version: Version of the file format.
      memory: Memory that decoding may take, in bytes; by default half of what is free.
    """
    planes = _planes(model, (height, width), version, memory)
    return _reconstruct(model, latents, planes)


def _reconstruct(
    model: Model, latents: DecodedLatents, planes: Planes
) -> UInt8[np.ndarray, "h w 3"]:
    bands = pictures.synthesize(model, latents.latent_hat, planes)
    return windowed_codec.join_rows(bands, planes.size, np.uint8)


def _checked_latents(
    model: Model,
    container: Container,
    name: str,
    keep_predictions: bool,
    memory: int | None,
    bytes_held: int | None = None,
) -> tuple[DecodedLatents, Planes]:
    """Decodes the latents, and checks that they are those that were encoded."""
    if container.fingerprint != model.fingerprint:
        raise UserError(
            f"{name} was made with model {container.fingerprint.hex()}, but this is "
            f"{model.fingerprint.hex()}"
        )
    check_size(container.height, container.width)
    size = container.height, container.width
    planes = _planes(model, size, container.version, memory, name, bytes_held)
    try:
        latents = _decode_latents(model, container, planes, keep_predictions)
        if latents.checksum() != container.symbols_checksum:
            raise CodingError("the checksum of the symbols differs")
    except CodingError as error:
        raise UserError(
            f"{name} is undamaged but decodes differently on this device, so it is not "
            f"shown ({error}); it was coded with {container.arithmetic.name.lower()} "
            "arithmetic"
        ) from error
    return latents, planes


def _decode_latents(
    model: Model,
    container: Container,
    planes: Planes,
    keep_predictions: bool,
) -> DecodedLatents:
    """Decodes the latents that `encode` encoded."""
    shape = (*planes.coded_side, model.median.size)
    side_coder = RangeDecoder(container.z_payload)
    side_symbols = side_coder.decode(_channel_indices(shape), model.side_tables)
    side_symbols = side_symbols.reshape(shape)
    num_strips = model.shared_codec.context.num_strips(planes.layout)
    coder = SymbolDecoder(model, container, num_strips)
    arithmetic = container.arithmetic
    with programs.kept_for((model.config, planes.canvas), "decode"):
        return _code_latents(
            model, side_symbols, planes, coder, arithmetic, keep_predictions
        )


def _code_latents(
    model: Model,
    side_symbols: Int32[np.ndarray, "h64 w64 s"],
    planes: Planes,
    coder: SymbolCoder,
    arithmetic: Arithmetic,
    keep_predictions: bool,
) -> DecodedLatents:
    with networks.coding_arithmetic(arithmetic) as dtype:
        z_hat = side_symbols.astype(dtype) + model.median.astype(dtype)
        features = _predict_features(model, z_hat, planes.hyper_synthesis)
        return coding_loop.code_latents(
            model,
            features,
            side_symbols,
            planes.layout,
            coder,
            keep_predictions=keep_predictions,
        )


def _return_freed_memory(size: tuple[int, int]) -> None:
    """Returns freed memory to the system if an image is large: others reuse it."""
    if is_large(size):
        system_memory.return_freed_memory()


def _planes(
    model: Model,
    size: tuple[int, int],
    version: int,
    memory: int | None,
    name: str = "an image",
    bytes_held: int | None = None,
) -> Planes:
    transforms = model.config.transforms
    return Planes(
        size=size,
        reach=transforms.reach,
        window_pixels=window_pixels(
            transforms, size, memory, name=name, bytes_held=bytes_held
        ),
        version=version,
    )


def _predict_features(
    model: Model, z_hat: Float[np.ndarray, "h64 w64 s"], plan: Plan
) -> Rows:
    """Returns features, in the precision of the side information."""
    rows, columns = plan.windows
    is_whole = len(rows) == 1

    def run(row: Window, column: Window) -> np.ndarray:
        part = read_padded(z_hat, *plan.inputs(row, column), "constant")[None]
        region = plan.region(row, column)
        output = networks.predict_features(model.shared_codec, part, region)
        features = np.asarray(output)[0]
        if not np.isfinite(features).all():
            raise UserError("the model predicts values that are not finite")
        kept_rows, kept_columns = plan.within(row, column)
        if len(columns) > 1:
            features = features[:, kept_columns]
        return features if is_whole else features[kept_rows]

    def predict(index: int) -> Array:
        parts = [run(rows[index], column) for column in columns]
        return jax.device_put(parts[0] if len(parts) == 1 else np.hstack(parts))

    ends = [row.size if is_whole else row.keep[1] for row in rows]
    return Rows([end * plan.unit[1] for end in ends], predict)


def _channel_indices(shape: tuple[int, ...]) -> UInt16[np.ndarray, " n"]:
    """Returns the channel of every element, which is its class in the range coder."""
    channels = np.arange(shape[-1], dtype=np.uint16)
    return np.broadcast_to(channels, shape).ravel()
