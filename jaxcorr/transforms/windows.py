"""Windows on large arrays: networks compute on one at a time, so memory is bounded.

A network with a finite reach gives the same values on a window as on the whole array,
but for a margin of its reach along the sides of the window that are not sides of the
array. Neighboring windows overlap by two margins, and each keeps what lies within.
"""

import dataclasses
import itertools
from collections.abc import Callable, Iterator
from typing import Any, Literal

import numpy as np
from jaxtyping import Float, Shaped

from jaxcorr import ops
from jaxcorr.layers.valid_region import ValidRegion

Network = Callable[[np.ndarray, ValidRegion | None], Any]
"""Maps an array of shape [1, rows, columns, c] to another resolution."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Window:
    """A window along one axis.

    Attributes:
      start: Its first position.
      size: Its positions; the last may lie beyond the array.
      keep: First position whose output is kept, and the position after the last.
    """

    start: int
    size: int
    keep: tuple[int, int]


def cut(extent: int, *, size: int, reach: int) -> tuple[Window, ...]:
    """Cuts an axis into windows of one size.

    Args:
      extent: Positions along the axis.
      size: Positions of a window. If they are enough there is a single window.
      reach: Positions on either side that an output depends on, at most; less than half
        of `size` unless there is a single window.
    """
    step = size - 2 * reach
    starts = range(0, max(extent - 2 * reach, 1), step) if extent > size else [0]
    bounds = [0, *(start + reach for start in starts[1:]), extent]
    return tuple(
        Window(start=start, size=size, keep=keep)
        for start, keep in zip(starts, itertools.pairwise(bounds), strict=True)
    )


@dataclasses.dataclass(frozen=True, kw_only=True)
class Plan:
    """Describes how a network runs on windows of an array.

    All lengths are in units: the positions of the coarser of input and output.

    Attributes:
      extent: Rows and columns of the array; zeros lie beyond.
      windows: Windows along the rows, and along the columns.
      unit: Positions of the input in a unit, and of the output.
      is_masked: Whether the part of a window beyond the array is masked.
    """

    extent: tuple[int, int]
    windows: tuple[tuple[Window, ...], tuple[Window, ...]]
    unit: tuple[int, int]
    is_masked: bool = True

    def region(self, row: Window, column: Window) -> ValidRegion | None:
        """Returns the part of a window that lies on the array."""
        if not self.is_masked:
            return None
        rows, columns = self.extent
        return ValidRegion(
            rows=np.int32(min(rows - row.start, row.size)),
            columns=np.int32(min(columns - column.start, column.size)),
            canvas=(row.size, column.size),
        )

    def inputs(self, row: Window, column: Window) -> tuple[slice, slice]:
        """Returns rows and columns of the input of a window."""
        scale = self.unit[0]
        first, second = (
            slice(window.start * scale, (window.start + window.size) * scale)
            for window in (row, column)
        )
        return first, second

    def kept(self, row: Window, column: Window) -> tuple[slice, slice]:
        """Returns rows and columns of the output that a window is kept for."""
        scale = self.unit[1]
        first, second = (
            slice(*(n * scale for n in window.keep)) for window in (row, column)
        )
        return first, second

    def run(
        self,
        network: Network,
        read: Callable[[slice, slice], Float[np.ndarray, "h w c"]],
    ) -> Iterator[tuple[tuple[slice, slice], np.ndarray]]:
        """Runs a network on all windows, row by row.

        Args:
          network: The network.
          read: Returns the input at some rows and columns.

        Yields:
          Rows and columns of the output, and the values there.
        """
        for pair in itertools.product(*self.windows):
            values = network(read(*self.inputs(*pair))[None], self.region(*pair))
            kept = self.kept(*pair)
            yield kept, np.asarray(values)[0][self.within(*pair)]

    def within(self, row: Window, column: Window) -> tuple[slice, slice]:
        """Returns the rows and columns of a window's output that are kept."""
        scale = self.unit[1]
        first, second = (
            slice(*((n - window.start) * scale for n in window.keep))
            for window in (row, column)
        )
        return first, second


def best_sizes(
    extent: tuple[int, int], *, reach: int, align: int, limit: int
) -> tuple[int, int]:
    """Returns sides of windows that compute least, and hold `limit` units at most.

    Args:
      extent: Rows and columns of the array, in units.
      reach: Units on either side that an output depends on.
      align: Sides are multiples of this many units.
      limit: Largest number of units in a window; the smallest windows may exceed it.
    """
    smallest = ops.round_up(4 * reach + 1, align)
    counts = [
        {
            side: len(cut(length, size=side, reach=reach))
            for side in (*range(smallest, whole, align), whole)
        }
        for length in extent
        for whole in [ops.round_up(length, align)]
    ]

    def computed(pair: tuple[int, int]) -> tuple[int, int]:
        windows = counts[0][pair[0]] * counts[1][pair[1]]
        return windows * pair[0] * pair[1], windows

    pairs = itertools.product(counts[0], counts[1])
    fitting = [pair for pair in pairs if pair[0] * pair[1] <= limit]
    return min(fitting, key=computed, default=(min(counts[0]), min(counts[1])))


def read_padded(
    array: Shaped[np.ndarray, "h w c"],
    rows: slice,
    columns: slice,
    mode: Literal["constant", "edge"],
) -> Shaped[np.ndarray, "_ _ c"]:
    """Returns rows and columns of an array that may lie beyond its end.

    Args:
      array: The array.
      rows: Rows to return.
      columns: Columns to return.
      mode: `constant` for zeros beyond the end, `edge` for the last values.
    """
    margins = []
    for axis, part in enumerate((rows, columns)):
        # At least one position, for the last values to be repeated.
        start = min(part.start, array.shape[axis] - 1)
        found = array.shape[axis] - start
        margins.append((0, max(part.stop - part.start - found, 0)))
    part = array[rows, columns]
    if not any(after for _, after in margins):
        return part
    return np.pad(part, [*margins, (0, 0)], mode=mode)
