"""The coding loop: it runs the passes of any context model, in order."""

import dataclasses
import zlib
from collections.abc import Callable

import numpy as np
from jaxtyping import Array, Float, Float64, Int32, UInt8

from jaxcorr.bitstream.grid import ReproducibleGrid
from jaxcorr.context.base import Positions
from jaxcorr.layers.valid_region import ValidRegion
from jaxcorr.model import Model
from jaxcorr.transforms.base import latents_across

CodeSymbols = Callable[
    [Positions, Float64[np.ndarray, "..."], UInt8[np.ndarray, "..."]],
    Int32[np.ndarray, "..."],
]
"""Codes the symbols of a pass, given positions, means and scale classes."""


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class DecodedLatents:
    """Latents of an image, which are the same in the encoder and in any decoder.

    Attributes:
      side_symbols: Side information minus its medians, rounded.
      symbols: Latents minus their means, rounded.
      latent_hat: Decoded latents, multiples of 1/16384.
      mean: Predicted means, rounded to the grid.
      scale: Predicted scales; on another machine they may differ in the last digits.
    """

    side_symbols: Int32[np.ndarray, "h64 w64 s"]
    symbols: Int32[np.ndarray, "h16 w16 c"]
    latent_hat: Float64[np.ndarray, "h16 w16 c"]
    mean: Float64[np.ndarray, "h16 w16 c"]
    scale: Float64[np.ndarray, "h16 w16 c"]

    def checksum(self) -> int:
        """Returns the CRC-32 of the arrays that must be the same on every machine."""
        crc = 0
        for array, kind in (
            (self.side_symbols, "<i4"),
            (self.symbols, "<i4"),
            (self.latent_hat, "<f8"),
        ):
            crc = zlib.crc32(np.ascontiguousarray(array).astype(kind).tobytes(), crc)
        return crc


def code_latents(
    model: Model,
    features: Float[Array, "h16 w16 f"],
    side_symbols: Int32[np.ndarray, "h64 w64 s"],
    size: tuple[int, int],
    grid: ReproducibleGrid,
    code_symbols: CodeSymbols,
    region: ValidRegion | None = None,
) -> DecodedLatents:
    """Encodes or decodes latents, pass by pass.

    Encoder and decoder share this loop; they differ in `code_symbols` only.

    Args:
      model: Model of the codec.
      features: Features of the side information, on the canvas.
      side_symbols: Symbols of the side information.
      size: Height and width of the image, in pixels.
      grid: Rounds means and scales so that all machines agree.
      code_symbols: Encodes or decodes the symbols of a pass.
      region: Part of the canvas that is valid; None for all of it.

    Raises:
      UnsafeRounding: If the grid is guarded and a value lies close to a boundary.
    """
    context = model.shared_codec.context
    rows, columns = latents_across(size[0]), latents_across(size[1])
    shape = (rows, columns, model.config.transforms.channels)
    symbols = np.zeros(shape, np.int32)
    latent_hat, means, scales = (np.zeros(shape) for _ in range(3))
    state = context.begin_coding(features, (rows, columns), region)
    for index in range(context.num_passes(rows, columns)):
        positions, mean, scale = state.predict(index)
        scale = np.asarray(scale, np.float64)
        mean = grid.round_means(np.asarray(mean, np.float64))
        symbols[positions] = code_symbols(positions, mean, grid.classes(scale))
        quantized = symbols[positions] + mean
        refined = np.asarray(state.refine(index, quantized), np.float64)
        if refined is not quantized:  # Quantized latents are on the grid already.
            refined = grid.round_means(refined)
        latent_hat[positions] = refined
        means[positions], scales[positions] = mean, scale
        state.update(index, refined)
    return DecodedLatents(
        side_symbols=side_symbols,
        symbols=symbols,
        latent_hat=latent_hat,
        mean=means,
        scale=scales,
    )
