"""Encodes 8-bit images to the content of files, and decodes it."""

from typing import Literal

import jax
import numpy as np
from jaxtyping import Array, Float, Float32, Int32, UInt8, UInt16

from jaxcorr.bitstream import coding_loop, networks
from jaxcorr.bitstream.coding_loop import DecodedLatents
from jaxcorr.bitstream.container import (
    UNMASKED_VERSION,
    VERSION,
    Arithmetic,
    Container,
)
from jaxcorr.bitstream.grid import OFFSETS, ReproducibleGrid, UnsafeRounding
from jaxcorr.bitstream.range_coder import CodingError, RangeDecoder, RangeEncoder
from jaxcorr.errors import UserError
from jaxcorr.layers.valid_region import ValidRegion
from jaxcorr.model import Model
from jaxcorr.transforms.base import LATENT_STRIDE, SIDE_STRIDE, side_across
from jaxcorr.transforms.canvas import (
    canvas_side,
    check_size,
    place_on_canvas,
    valid_region,
)

SYMBOL_LIMIT = 2**30
"""Exclusive bound of the magnitude of symbols, far beyond those of a sound codec."""
BEYOND_IMAGE: Literal["constant", "edge"] = "edge"
"""Latents that the synthesis sees beyond the image: the last are repeated, as the codec
does by `repeat_last_latents`; in format 1 they are zeros."""


def encode(
    model: Model,
    image: UInt8[np.ndarray, "h w 3"],
    *,
    arithmetic: Arithmetic = Arithmetic.PORTABLE,
    version: int = VERSION,
) -> tuple[Container, DecodedLatents]:
    """Encodes an image of any size.

    Args:
      model: Model to encode with; the decoder needs the same model.
      image: 8-bit RGB.
      arithmetic: Arithmetic of the networks that feed the range coder: portable, or
        faster and for similar machines only.
      version: Version of the file format.

    Returns:
      The content of the file, and the latents that a decoder will have.

    Raises:
      UserError: If the image is too large, or the model computes values that are not
        finite.
    """
    height, width = image.shape[:2]
    region = _valid_region((height, width), version)
    y, z = networks.analyze(model.shared_codec, place_on_canvas(image), region)
    # Indexing an array of JAX would compile a program of its own.
    y, z = np.asarray(y)[0], np.asarray(z)[0]
    rows, columns = side_across(height), side_across(width)
    side_symbols = _round_to_symbols(z[:rows, :columns] - model.median)
    side_coder = RangeEncoder()
    channels = _channel_indices(side_symbols.shape)
    side_coder.encode(side_symbols.ravel(), channels, model.side_tables)
    coder, latents, offset = _encode_latents(
        model, y, side_symbols, (height, width), arithmetic, region
    )
    container = Container(
        version=version,
        arithmetic=arithmetic,
        offset=offset,
        fingerprint=model.fingerprint,
        width=width,
        height=height,
        z_payload=side_coder.get_bytes(),
        y_payload=coder.get_bytes(),
        symbols_checksum=latents.checksum(),
    )
    return container, latents


def decode(
    model: Model, container: Container, *, name: str = "the file"
) -> tuple[UInt8[np.ndarray, "h w 3"], DecodedLatents]:
    """Decodes an image.

    Args:
      model: The model that encoded the image.
      container: Content of the file.
      name: Name of the file, for messages.

    Returns:
      The 8-bit RGB image, and its decoded latents.

    Raises:
      UserError: If another model encoded the image, if the image is too large, or if
        this device decodes other symbols than were encoded.
    """
    if container.fingerprint != model.fingerprint:
        raise UserError(
            f"{name} was made with model {container.fingerprint.hex()}, but this is "
            f"{model.fingerprint.hex()}"
        )
    check_size(container.height, container.width)
    try:
        latents = _decode_latents(model, container)
        if latents.checksum() != container.symbols_checksum:
            raise CodingError("the checksum of the symbols differs")
    except CodingError as error:
        raise UserError(
            f"{name} is undamaged but decodes differently on this device, so it is not "
            f"shown ({error}); it was coded with {container.arithmetic.name.lower()} "
            "arithmetic"
        ) from error
    size = container.height, container.width
    return reconstruct(model, latents, *size, version=container.version), latents


def reconstruct(
    model: Model,
    latents: DecodedLatents,
    height: int,
    width: int,
    *,
    version: int = VERSION,
) -> UInt8[np.ndarray, "h w 3"]:
    """Returns the 8-bit RGB image that a decoder computes from decoded latents.

    Args:
      model: The model that encoded the image.
      latents: Latents of the image, from `encode` or `decode`.
      height: Height of the image.
      width: Width of the image.
      version: Version of the file format.
    """
    size = height, width
    region = _valid_region(size, version)
    mode = "constant" if region is None else BEYOND_IMAGE
    y_hat = latents.latent_hat.astype(np.float32)
    canvas = _pad_to_canvas(y_hat, size, LATENT_STRIDE, mode=mode)
    image = networks.synthesize(model.shared_codec, canvas, region)
    return np.asarray(image)[0, :height, :width]


def _encode_latents(
    model: Model,
    y: Float32[np.ndarray, "h16 w16 c"],
    side_symbols: Int32[np.ndarray, "h64 w64 s"],
    size: tuple[int, int],
    arithmetic: Arithmetic,
    region: ValidRegion | None,
) -> tuple[RangeEncoder, DecodedLatents, int]:
    """Encodes latents with the first offset that keeps them off all boundaries."""
    guarded = arithmetic == Arithmetic.PORTABLE
    with networks.coding_arithmetic(arithmetic) as dtype:
        features = _predict_features(model, side_symbols.astype(dtype), size, region)
        reason = ""
        for offset in range(OFFSETS):
            coder = RangeEncoder()

            def code_symbols(positions, mean, classes, coder=coder):
                symbols = _round_to_symbols(y[positions].astype(np.float64) - mean)
                coder.encode(symbols.ravel(), classes.ravel(), model.latent_tables)
                return symbols

            grid = ReproducibleGrid(offset=offset, guarded=guarded)
            try:
                latents = coding_loop.code_latents(
                    model, features, side_symbols, size, grid, code_symbols, region
                )
            except UnsafeRounding as unsafe:
                reason = str(unsafe)
                continue
            return coder, latents, offset
    raise UserError(
        f"the model predicts {reason} quantization steps, which no grid rounds alike "
        "on all machines: its training may have diverged"
    )


def _decode_latents(model: Model, container: Container) -> DecodedLatents:
    """Decodes the latents that `_encode_latents` encoded."""
    size = (container.height, container.width)
    region = _valid_region(size, container.version)
    rows, columns = side_across(size[0]), side_across(size[1])
    shape = (rows, columns, model.median.size)
    side_coder = RangeDecoder(container.z_payload)
    side_symbols = side_coder.decode(_channel_indices(shape), model.side_tables)
    side_symbols = side_symbols.reshape(shape)
    coder = RangeDecoder(container.y_payload)

    def code_symbols(positions, mean, classes):
        del positions
        symbols = coder.decode(classes.ravel(), model.latent_tables)
        return symbols.reshape(mean.shape)

    with networks.coding_arithmetic(container.arithmetic) as dtype:
        features = _predict_features(model, side_symbols.astype(dtype), size, region)
        grid = ReproducibleGrid(offset=container.offset)
        return coding_loop.code_latents(
            model, features, side_symbols, size, grid, code_symbols, region
        )


def _valid_region(size: tuple[int, int], version: int) -> ValidRegion | None:
    """Returns the valid region of the canvas of an image; None for early versions."""
    if version <= UNMASKED_VERSION:
        return None
    height, width = size
    canvas = canvas_side(height), canvas_side(width)
    return valid_region((np.int32(height), np.int32(width)), canvas)


def _predict_features(
    model: Model,
    side_symbols: Float[np.ndarray, "h64 w64 s"],
    size: tuple[int, int],
    region: ValidRegion | None,
) -> Array:
    """Returns features on the canvas, in the precision of the side information."""
    z_hat = side_symbols + model.median.astype(side_symbols.dtype)
    padded = _pad_to_canvas(z_hat, size, SIDE_STRIDE)
    codec = model.shared_codec
    features = np.asarray(networks.predict_features(codec, padded, region))[0]
    if not np.isfinite(features).all():
        raise UserError("the model predicts values that are not finite")
    return jax.device_put(features)


def _pad_to_canvas(
    grid: Float[np.ndarray, "rows columns c"],
    size: tuple[int, int],
    stride: int,
    *,
    mode: Literal["constant", "edge"] = "constant",
) -> Float[np.ndarray, "1 h w c"]:
    """Pads a grid, by default with zeros, to the canvas of an image of a size."""
    sides = [canvas_side(pixels) // stride for pixels in size]
    margins = [(0, side - n) for side, n in zip(sides, grid.shape[:2], strict=True)]
    return np.pad(grid, [*margins, (0, 0)], mode=mode)[None]


def _round_to_symbols(residual: Float[np.ndarray, "..."]) -> Int32[np.ndarray, "..."]:
    """Rounds residuals, which are differences from the centers."""
    rounded = np.rint(residual)
    if not np.all(np.abs(rounded) < SYMBOL_LIMIT):
        raise UserError("the model gives latents that are not finite")
    return rounded.astype(np.int32)


def _channel_indices(shape: tuple[int, ...]) -> UInt16[np.ndarray, " n"]:
    """Returns the channel of every element, which is its class in the range coder."""
    channels = np.arange(shape[-1], dtype=np.uint16)
    return np.broadcast_to(channels, shape).ravel()
