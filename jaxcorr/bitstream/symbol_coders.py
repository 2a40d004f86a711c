"""Encoder and decoder of the symbols of an image, strip by strip."""

from collections.abc import Iterable
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float, Float32, Float64, Int32, UInt8
from typing_extensions import override

from jaxcorr import system_memory
from jaxcorr.bitstream.container import Container
from jaxcorr.bitstream.grid import OFFSETS, ReproducibleGrid
from jaxcorr.bitstream.range_coder import CodingError, RangeDecoder, RangeEncoder
from jaxcorr.context.base import Positions
from jaxcorr.errors import UserError
from jaxcorr.model import Model

SYMBOL_LIMIT = 2**30
"""Exclusive bound of the magnitude of symbols, far beyond those of a sound codec."""


@runtime_checkable
class SymbolCoder(Protocol):
    """Encodes or decodes the symbols of an image, strip by strip."""

    def grids(self, strip: int) -> Iterable[ReproducibleGrid]:
        """Yields the grids to code a strip with: the next if one is not safe."""
        ...

    def code(
        self,
        positions: Positions,
        mean: Float64[np.ndarray, "..."],
        classes: UInt8[np.ndarray, "..."],
    ) -> Int32[np.ndarray, "..."]:
        """Codes the symbols of a pass, given means and scale classes."""
        ...

    def finish_strip(self, coded_rows: int) -> None:
        """Is called when all passes of a strip are coded.

        Args:
          coded_rows: Rows of latents, from the top, of which all are coded.
        """
        ...


class SymbolEncoder(SymbolCoder):
    """Encodes symbols, each strip with the first offset that is safe for all of it.

    Args:
      model: Model of the codec.
      y: Latents before quantization, of which coded rows are discarded.
      is_guarded: Whether values close to a boundary are unsafe.

    Attributes:
      coder: Range coder.
      offsets: Offset of every strip.
    """

    def __init__(
        self, model: Model, y: Float32[np.ndarray, "h16 w16 c"], *, is_guarded: bool
    ):
        self.coder = RangeEncoder()
        self.offsets: list[int] = []
        self._model = model
        self._y = y
        self._is_guarded = is_guarded
        self._passes: list[tuple[np.ndarray, np.ndarray]] = []

    @override
    def grids(self, strip):
        for offset in range(OFFSETS):
            self.offsets[strip:] = [offset]
            self._passes.clear()
            yield ReproducibleGrid(offset=offset, guarded=self._is_guarded)

    @override
    def code(self, positions, mean, classes):
        symbols = round_to_symbols(self._y[positions].astype(np.float64) - mean)
        self._passes.append((symbols, classes))
        return symbols

    @override
    def finish_strip(self, coded_rows):
        for symbols, classes in self._passes:
            tables = self._model.latent_tables
            self.coder.encode(symbols.ravel(), classes.ravel(), tables)
        self._passes.clear()
        if coded_rows < len(self._y):  # After the last strip, y is freed as a whole.
            system_memory.discard_rows(self._y, coded_rows)


class SymbolDecoder(SymbolCoder):
    """Decodes the symbols that `SymbolEncoder` encoded.

    Args:
      model: Model of the codec.
      container: Content of the file.
      num_strips: Number of strips.
    """

    def __init__(self, model: Model, container: Container, num_strips: int):
        later, payload = (
            container.y_payload[: num_strips - 1],
            container.y_payload[num_strips - 1 :],
        )
        if len(later) < num_strips - 1:
            raise CodingError("the payload ends in the offsets of strips")
        self._offsets = [container.offset, *later]
        self._coder = RangeDecoder(payload)
        self._tables = model.latent_tables

    @override
    def grids(self, strip):
        yield ReproducibleGrid(offset=self._offsets[strip])

    @override
    def code(self, positions, mean, classes):
        symbols = self._coder.decode(classes.ravel(), self._tables)
        return symbols.reshape(mean.shape)

    @override
    def finish_strip(self, coded_rows):
        pass


def round_to_symbols(residual: Float[np.ndarray, "..."]) -> Int32[np.ndarray, "..."]:
    """Rounds residuals, which are differences from the centers."""
    rounded = np.rint(residual)
    if not np.all(np.abs(rounded) < SYMBOL_LIMIT):
        raise UserError("the model gives latents that are not finite")
    return rounded.astype(np.int32)
