"""The coding loop: it runs the strips and passes of any context model, in order."""

import dataclasses
import zlib

import numpy as np
from jaxtyping import Float64, Int32

from jaxcorr.bitstream.grid import ReproducibleGrid, UnsafeRounding
from jaxcorr.bitstream.symbol_coders import SymbolCoder
from jaxcorr.context.strips import CodingLayout, Rows
from jaxcorr.errors import UserError
from jaxcorr.model import Model

LatentArray = Float64[np.ndarray, "h16 w16 c"]


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class DecodedLatents:
    """Latents of an image, which are the same in the encoder and in any decoder.

    Attributes:
      side_symbols: Side information minus its medians, rounded.
      symbols: Latents minus their means, rounded.
      latent_hat: Decoded latents, multiples of 1/16384.
      predictions: Predicted means, rounded to the grid, and predicted scales, which may
        differ in the last digits on another machine; None if they were not kept.
    """

    side_symbols: Int32[np.ndarray, "h64 w64 s"]
    symbols: Int32[np.ndarray, "h16 w16 c"]
    latent_hat: LatentArray
    predictions: tuple[LatentArray, LatentArray] | None = None

    @property
    def mean(self) -> LatentArray:
        """Predicted means, rounded to the grid."""
        assert self.predictions is not None
        return self.predictions[0]

    @property
    def scale(self) -> LatentArray:
        """Predicted scales."""
        assert self.predictions is not None
        return self.predictions[1]

    def checksum(self) -> int:
        """Returns the CRC-32 of the arrays that must be the same on every machine."""
        crc = 0
        for array, kind in (
            (self.side_symbols, "<i4"),
            (self.symbols, "<i4"),
            (self.latent_hat, "<f8"),
        ):
            for row in array:  # Copies little at a time.
                values = np.ascontiguousarray(row, np.dtype(kind))
                crc = zlib.crc32(values.tobytes(), crc)
        return crc


def code_latents(
    model: Model,
    features: Rows,
    side_symbols: Int32[np.ndarray, "h64 w64 s"],
    layout: CodingLayout,
    coder: SymbolCoder,
    *,
    keep_predictions: bool = True,
) -> DecodedLatents:
    """Encodes or decodes latents, strip by strip and pass by pass.

    Encoder and decoder share this loop; they differ in `coder` only.

    Args:
      model: Model of the codec.
      features: Features of the side information, on the columns of the canvas.
      side_symbols: Symbols of the side information.
      layout: Sizes of the arrays, and the strips.
      coder: Encodes or decodes the symbols of a pass.
      keep_predictions: Whether to return means and scales, too.

    Raises:
      UserError: If no grid keeps all values of a strip off its boundaries.
    """
    context = model.shared_codec.context
    state = context.begin_coding(features, layout)
    shape = state.latent_hat.shape
    symbols = np.zeros(shape, np.int32)
    predictions = (np.zeros(shape), np.zeros(shape)) if keep_predictions else None

    def code_strip(strip: int, grid: ReproducibleGrid) -> None:
        for index in range(state.num_passes(strip)):
            positions, mean, scale = state.predict(strip, index)
            scale = np.asarray(scale, np.float64)
            mean = grid.round_means(np.asarray(mean, np.float64))
            symbols[positions] = coder.code(positions, mean, grid.classes(scale))
            if predictions is not None:
                predictions[0][positions], predictions[1][positions] = mean, scale
            quantized = symbols[positions] + mean
            positions, refined = state.refine(strip, index, quantized)
            if refined is not quantized:  # Quantized latents are on the grid already.
                refined = grid.round_means(np.asarray(refined, np.float64))
            state.latent_hat[positions] = refined
        coder.finish_strip(state.coded_rows(strip))

    for strip in range(context.num_strips(layout)):
        reason = ""
        for grid in coder.grids(strip):
            try:
                code_strip(strip, grid)
                break
            except UnsafeRounding as unsafe:
                reason = str(unsafe)
        else:
            raise UserError(
                f"the model predicts {reason} quantization steps, which no grid rounds "
                "alike on all machines: its training may have diverged"
            )
    return DecodedLatents(
        side_symbols=side_symbols,
        symbols=symbols,
        latent_hat=state.latent_hat,
        predictions=predictions,
    )
