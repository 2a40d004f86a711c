"""Strips of rows in which latents are coded, so that memory is bounded.

An image with at most `STRIP` rows of latents is one strip: all its passes run one after
another. Larger images are coded strip by strip, each with all passes. A pass sees
latents of earlier passes a few rows below its own. So its rows begin and end that many
rows above those of the pass before, and nothing that it sees is ever missing: latents,
means and scales are the same for strips of any height. The height decides only the
order of the symbols in a file.
"""

import dataclasses
import itertools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float

from jaxcorr.layers.valid_region import ValidRegion
from jaxcorr.transforms.windows import Window, cut

Piece = Float[Any, "rows columns f"]
"""Rows of features, as an array of JAX or NumPy."""
STRIP = 64
"""Rows of latents in a strip; a part of the file format."""
COLUMNS = 256
"""Columns of latents on which networks run at once in a strip, so that they take little
memory; with `--fast`, a part of the file format."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class CodingLayout:
    """Sizes of the arrays from which an image is coded, all in latents.

    Attributes:
      coded: Rows and columns of the latents that are coded.
      extent: Rows and columns of the features; activations beyond are zeros.
      canvas: Rows and columns of the arrays of compiled programs, if there is a single
        strip; strips have the same columns.
      strip: Rows of a strip; None if there is a single strip.
      is_masked: Whether activations on the canvas beyond `extent` are masked.
    """

    coded: tuple[int, int]
    extent: tuple[int, int]
    canvas: tuple[int, int]
    strip: int | None = None
    is_masked: bool = True

    @classmethod
    def whole(cls, coded: tuple[int, int], canvas: tuple[int, int]) -> "CodingLayout":
        """Returns the layout of a single strip that fills its canvas."""
        return cls(coded=coded, extent=canvas, canvas=canvas, is_masked=False)

    def num_strips(self, skew: int = 0) -> int:
        """Returns the number of strips if the last pass is `skew` rows behind."""
        return 1 if self.strip is None else -(-(self.coded[0] + skew) // self.strip)

    def rows(self, strip: int, skew: int = 0) -> tuple[int, int]:
        """Returns the first coded row of a strip and the row after its last.

        Args:
          strip: Index of the strip.
          skew: Rows by which the strip is moved up, for later passes.
        """
        if self.strip is None:
            return 0, self.coded[0]
        first = self.strip * strip - skew
        start, stop = (
            min(max(row, 0), self.coded[0]) for row in (first, first + self.strip)
        )
        return start, stop

    def window(self, reach: int, first: int) -> tuple[int, int]:
        """Returns start and size of the rows that outputs from row `first` depend on.

        Args:
          reach: Rows above and below that an output depends on.
          first: First row of the outputs, which are those of a strip at most.
        """
        if self.strip is None:
            return 0, self.canvas[0]
        return max(0, first - reach), self.strip + 2 * reach

    def column_windows(self, reach: int) -> tuple[Window, ...]:
        """Returns the windows along the columns on which networks run.

        Args:
          reach: Columns on either side that an output depends on.
        """
        size = self.canvas[1]
        if self.strip is not None and self.is_masked:
            size = min(size, max(COLUMNS, 2 * reach + 2))
        return cut(self.extent[1], size=size, reach=reach)

    def region(self, start: int, size: int, column: Window) -> ValidRegion | None:
        """Returns the valid region of a window of rows and columns."""
        if not self.is_masked:
            return None
        return ValidRegion(
            rows=np.int32(min(self.extent[0] - start, size)),
            columns=np.int32(min(self.extent[1] - column.start, column.size)),
            canvas=(size, column.size),
        )


class Rows:
    """Rows of an array that are computed when they are asked for, from top to bottom.

    Args:
      ends: The row after the last of each piece that is computed at once.
      compute: Returns a piece, given its index.
    """

    def __init__(
        self,
        ends: Sequence[int],
        compute: Callable[[int], Piece],
    ):
        self._ends = [0, *ends]
        self._compute = compute
        self._pieces: dict[int, Piece] = {}
        self._last: tuple[tuple[int, int, slice], Piece] | None = None

    @classmethod
    def of(cls, array: Piece) -> "Rows":
        """Returns the rows of an array."""
        return cls([array.shape[0]], lambda _: array)

    def map(self, function: Callable[[Piece], Piece]) -> "Rows":
        """Returns the rows with a function applied to every piece."""
        return Rows(self._ends[1:], lambda index: function(self._compute(index)))

    def window(self, start: int, size: int, columns: slice = slice(None)) -> Piece:
        """Returns `size` rows from `start`, with zeros after the last.

        Args:
          start: First row.
          size: Number of rows.
          columns: Columns to return, all that there are.
        """
        key = start, size, columns
        if self._last is None or self._last[0] != key:
            self._last = None  # Frees it first.
            self._last = key, self._join(start, size, columns)
        return self._last[1]

    def _join(self, start: int, size: int, columns: slice) -> Piece:
        parts = []
        for index, (first, end) in enumerate(itertools.pairwise(self._ends)):
            if end <= start or first >= start + size:
                continue
            if index not in self._pieces:
                self._pieces[index] = self._compute(index)
            whole = self._pieces[index]
            if (first, end) == (start, start + size) and columns == slice(None):
                return whole
            piece = np.asarray(whole)[:, columns]
            parts.append(piece[max(start - first, 0) : start + size - first])
        joined = np.concatenate(parts)
        missing = size - joined.shape[0]
        return np.pad(joined, [(0, missing), (0, 0), (0, 0)]) if missing else joined

    def forget(self, row: int) -> None:
        """Frees the pieces that end above a row."""
        for index in list(self._pieces):
            if self._ends[index + 1] <= row:
                del self._pieces[index]
