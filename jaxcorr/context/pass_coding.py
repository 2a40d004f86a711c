"""The state of coding with a context model whose passes are a fixed schedule.

Networks run on a strip of rows, and on a window of its columns at a time, so the memory
that they take grows with neither side of an image.
"""

import dataclasses
import functools
from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np
from jaxtyping import Array, Float, Float64
from typing_extensions import override

from jaxcorr.context.base import CodingState, Positions
from jaxcorr.context.parameters import MeanAndScale
from jaxcorr.context.strips import CodingLayout, Piece, Rows
from jaxcorr.layers.valid_region import ValidRegion, masking
from jaxcorr.programs import forgotten
from jaxcorr.transforms.windows import Window


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class PassCodingState(CodingState):
    """State of coding with a `PassContext`.

    Attributes:
      context: The context model.
      prepared: Input that all passes share.
      layout: Sizes of the arrays, and the strips.
      latent_hat: Decoded latents.
      quantized: Quantized latents, if rounding errors are predicted.
    """

    context: Any
    prepared: Rows
    layout: CodingLayout
    latent_hat: Float64[np.ndarray, "h16 w16 c"]
    quantized: Float64[np.ndarray, "*shape"]

    @override
    def num_passes(self, strip):
        return len(self.context.schedule)

    @override
    def coded_rows(self, strip):
        return self._rows(strip, self.context.skew(self.num_passes(strip) - 1))[1]

    @override
    def predict(self, strip, index):
        if index == 0:
            above = self.context.skew(len(self.context.schedule)) + self.context.reach
            self.prepared.forget(self.layout.rows(strip)[0] - above)
        rows = self._rows(strip, self.context.skew(index))
        positions = self._positions(rows, index)
        if rows[0] == rows[1]:  # Later passes alone have rows in the last strip.
            return positions, self.latent_hat[positions], self.latent_hat[positions]
        start, size = self.layout.window(self.context.reach, rows[0])
        network = functools.partial(_predict, index=index)
        prediction = self._run(network, start, size, self.latent_hat)
        return positions, *(self._take(x, rows, index, start) for x in prediction)

    @override
    def refine(self, strip, index, quantized):
        skew = self.context.skew(index)
        positions = self._positions(self._rows(strip, skew), index)
        if not self.context.refines:
            return positions, quantized
        self.quantized[positions] = quantized
        rows = self._rows(strip, skew + self.context.reach)
        start, size = self.layout.window(self.context.reach, rows[0])
        quantized = self.context.schedule[index].take(self.quantized)
        network = functools.partial(_refine, index=index)
        (refined,) = self._run(network, start, size, self.latent_hat, quantized)
        taken = self._take(refined, rows, index, start)
        return self._positions(rows, index), taken

    def _run(
        self,
        network: Callable[..., Sequence[Array]],
        start: int,
        size: int,
        *latents: np.ndarray,
    ) -> Sequence[Float[np.ndarray, "1 size columns d"]]:
        """Runs networks on rows, on a window of columns at a time.

        Args:
          network: The networks of a pass.
          start: First row.
          size: Number of rows.
          *latents: Latents that the networks see.
        """
        parts = []
        for window in self.layout.column_windows(self.context.reach):
            columns = slice(window.start, window.start + window.size)
            if window.size == self.layout.canvas[1]:
                columns = slice(None)
            prepared = self.prepared.window(start, size, columns)
            prepared = _widened(prepared, window.size)
            seen = [
                _place(
                    part[start : start + size, window.start :],
                    (size, window.size),
                    prepared.dtype,
                )
                for part in latents
            ]
            region = self.layout.region(start, size, window)
            outputs = network(self.context, prepared[None], *seen, region)
            first, last = (column - window.start for column in window.keep)
            spread = [_spread(np.asarray(x), window) for x in outputs]
            parts.append([x[:, :, first:last] for x in spread])
        if len(parts) == 1:
            return parts[0]
        return [np.concatenate(x, axis=2) for x in zip(*parts, strict=True)]

    def _rows(self, strip: int, skew: int) -> tuple[int, int]:
        return self.layout.rows(strip, skew)

    def _positions(self, rows: tuple[int, int], index: int) -> Positions:
        return self.context.schedule[index].positions(rows, self.layout.coded[1])

    def _take(
        self, output: np.ndarray, rows: tuple[int, int], index: int, start: int
    ) -> np.ndarray:
        """Returns an output of the networks on a window at the positions of a pass."""
        down, right, _ = self._positions(rows, index)
        if isinstance(down, slice):
            return output[0][rows[0] - start : rows[1] - start, right]
        assert start % 2 == 0, "the pass would have the other parity"
        return output[0][down - start, right]


def _place(
    part: np.ndarray, size: tuple[int, int], dtype: np.dtype
) -> Float[np.ndarray, "1 rows columns c"]:
    """Returns latents at the top left of a window, with zeros beyond them."""
    part = part[:, : size[1]]
    window = np.zeros((1, *size, part.shape[-1]), dtype)
    window[0, : part.shape[0], : part.shape[1]] = part
    return window


def _spread(
    output: np.ndarray, window: Window
) -> Float[np.ndarray, "1 rows columns d"]:
    """Returns an output for all columns, if it is one for every other, as of `pack`."""
    if output.shape[2] == window.size:
        return output
    assert window.start % 2 == 0, "the pass would have the other parity"
    return np.repeat(output, 2, axis=2)


def _widened(rows: Piece, columns: int) -> Float[Any, "rows columns2 f"]:
    """Returns rows with zeros after the last column."""
    missing = columns - rows.shape[1]
    return np.pad(rows, [(0, 0), (0, missing), (0, 0)]) if missing else rows


@forgotten
@jax.jit
def prepare(
    context: Any, features: Float[Array, "h16 w16 f"]
) -> Float[Array, "h16 w16 p"]:
    """Returns the input that all passes share; see `PassContext.prepare`."""
    return context.prepare(features[None])[0]


@forgotten
@functools.partial(jax.jit, static_argnames="index")
def _predict(
    context: Any,
    prepared: Array,
    latent_hat: Array,
    region: ValidRegion | None,
    index: int,
) -> MeanAndScale:
    with masking(region):
        inputs = context.network_inputs(prepared, latent_hat, index)
        return context.predict_packed(inputs, index)


@forgotten
@functools.partial(jax.jit, static_argnames="index")
def _refine(
    context: Any,
    prepared: Array,
    latent_hat: Array,
    quantized: Array,
    region: ValidRegion | None,
    index: int,
) -> tuple[Array]:
    with masking(region):
        inputs = context.network_inputs(prepared, latent_hat, index)
        return (context.refine(inputs, quantized, index),)
