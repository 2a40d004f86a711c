"""Integer probability tables: what the range coder codes with.

Tables are built once, when a model folder is written, and stored there. A decoder reads
them and never builds them, so a last digit of `ndtr` or `log` that differs between two
machines cannot make two tables of one model.
"""

import dataclasses
import math
from collections.abc import Sequence

import numpy as np
import scipy.special
from jaxtyping import Float, Float64, Int, Int32, UInt8, UInt32

TOTAL_BITS = 24
"""Every table's counts sum to `2**TOTAL_BITS`."""

SCALES = np.geomspace(0.11, 256.0, 64)
"""Scale of each class of latents, in quantization steps."""

ESCAPE_PROBABILITY = 2.0**-20
"""Least probability of the escape; reserving it costs 1.4e-6 bits a symbol."""

TAIL_PROBABILITY = 1e-9
"""What a channel's table may leave out at either end."""

GAUSSIAN_REACH = 6.0
"""Support of a Gaussian table in scales: 2e-9 of the probability is beyond."""

GAUSSIAN_MARGIN = 4
"""Symbols added at either end: latents have heavier tails than Gaussians."""


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class IntegerTables:
    """Probabilities of the symbols of some classes, in units of `2**-TOTAL_BITS`.

    Compares and hashes by identity, so that what is derived from tables can be cached.

    Attributes:
      lowest: Lowest symbol of each class.
      length: Number of entries of each class: its symbols, then one escape, which
        stands for every symbol that is not in the table.
      counts: Probability of each entry, at least 1; zeros follow where a class has
        fewer entries than the longest.

    Raises:
      ValueError: If a row has no symbol, an entry that cannot be coded, or another sum.
    """

    lowest: Int32[np.ndarray, " n"]
    length: Int32[np.ndarray, " n"]
    counts: UInt32[np.ndarray, "n longest"]

    def __post_init__(self):
        """Refuses what could not be coded with."""
        entry = np.arange(self.counts.shape[1])
        used = entry < self.length[:, None]
        total = self.counts.sum(axis=1, dtype=np.int64)
        end = self.lowest.astype(np.int64) + self.length
        rules = {
            "have 2 entries or more": (self.length >= 2)
            & (self.length <= self.counts.shape[1]),
            "count at least 1 for each entry, 0 after the last": np.all(
                (self.counts > 0) == used, axis=1
            ),
            f"sum to 2**{TOTAL_BITS}": total == 2**TOTAL_BITS,
            "hold symbols of 32 bits": end <= 2**31,
        }
        for rule, holds in rules.items():
            if not holds.all():
                raise ValueError(
                    f"each table must {rule}; table {np.argmin(holds)} does not."
                )

    @property
    def escape(self) -> Int32[np.ndarray, " n"]:
        """Entry of each class that stands for the symbols outside the table."""
        return self.length - np.int32(1)


def from_probabilities(
    lowest: Sequence[int] | Int[np.ndarray, " n"],
    probabilities: Sequence[Float64[np.ndarray, " _"]],
) -> IntegerTables:
    """Rounds probabilities to counts, in proportion, none below 1.

    Args:
      lowest: Lowest symbol of each class.
      probabilities: For each class, the probability of `lowest` and of each symbol
        after it. What their sum lacks to 1 is the probability of the escape, which
        gets `ESCAPE_PROBABILITY` at least.

    Raises:
      ValueError: If a probability is negative or not finite, or a sum is 0.
    """
    rows = [_counts(index, row) for index, row in enumerate(probabilities)]
    length = np.array([row.size for row in rows], np.int32)
    counts = np.zeros((len(rows), length.max(initial=0)), np.uint32)
    for row, padded in zip(rows, counts, strict=True):
        padded[: row.size] = row
    return IntegerTables(
        lowest=np.asarray(lowest, np.int32), length=length, counts=counts
    )


def gaussian_tables() -> IntegerTables:
    """Tables of rounded residuals (latent less mean), one per scale in `SCALES`.

    The probability of symbol k is that of a Gaussian within 1/2 of k.
    """
    reach = [math.ceil(GAUSSIAN_REACH * s) + GAUSSIAN_MARGIN for s in SCALES]
    return from_probabilities(
        [-end for end in reach],
        [_gaussian(scale, end) for scale, end in zip(SCALES, reach, strict=True)],
    )


def channel_tables(
    probabilities: Float64[np.ndarray, "n k"], *, lowest: int
) -> IntegerTables:
    """Tables of rounded side information (z less its median), one per channel.

    Args:
      probabilities: Probability of each symbol from `lowest` on, for each channel. Each
        channel's table keeps the symbols between its tails.
      lowest: Symbol of the first column.

    Raises:
      ValueError: As `from_probabilities`.
    """
    below = np.cumsum(probabilities, axis=1) <= TAIL_PROBABILITY
    above = np.cumsum(probabilities[:, ::-1], axis=1) <= TAIL_PROBABILITY
    # At least one symbol stays, also of a row that `from_probabilities` will refuse.
    last = probabilities.shape[1] - 1
    first = np.minimum(below.sum(axis=1), last)
    end = np.maximum(last + 1 - above.sum(axis=1), first + 1)
    return from_probabilities(
        lowest + first,
        [row[i:j] for row, i, j in zip(probabilities, first, end, strict=True)],
    )


def scale_position(scale: Float[np.ndarray, "*n"]) -> Float64[np.ndarray, "*n"]:
    """Where scales lie between those of `SCALES`: `SCALES[i]` lies at i.

    On this logarithmic axis the boundary between two classes, the geometric mean of
    their scales, lies half way.

    Args:
      scale: In quantization steps; positive.
    """
    first, last = math.log(SCALES[0]), math.log(SCALES[-1])
    step = (last - first) / (SCALES.size - 1)
    return (np.log(scale, dtype=np.float64) - first) / step


def position_class(position: Float64[np.ndarray, "*n"]) -> UInt8[np.ndarray, "*n"]:
    """Class whose table codes a latent with this `scale_position`: the nearest."""
    return np.clip(np.rint(position), 0, SCALES.size - 1).astype(np.uint8)


def _counts(index: int, symbols: Float64[np.ndarray, " k"]) -> Int[np.ndarray, " k+1"]:
    """Counts of one table, escape last."""
    if not (np.isfinite(symbols).all() and (symbols >= 0).all() and symbols.any()):
        raise ValueError(
            "each table's probabilities must be finite, 0 or more, and not all 0; "
            f"those of table {index} are not."
        )
    escape = max(ESCAPE_PROBABILITY, 1.0 - math.fsum(symbols))
    entries = np.append(symbols, escape)
    # One for each entry, the rest in proportion, what rounding down leaves over to the
    # largest fractions, the earlier entry first where two are equal.
    share = entries * ((2**TOTAL_BITS - entries.size) / math.fsum(entries))
    counts = 1 + np.floor(share).astype(np.int64)
    left_over = 2**TOTAL_BITS - counts.sum()
    largest = np.argsort(np.floor(share) - share, kind="stable")[:left_over]
    counts[largest] += 1
    return counts


def _gaussian(scale: float, end: int) -> Float64[np.ndarray, " k"]:
    """Probability that a Gaussian of mean 0 rounds to each of -end … end."""
    distance = np.abs(np.arange(-end, end + 1))
    # Both terms are of the lower tail: near 1, `ndtr` has no digits left to subtract.
    upper = scipy.special.ndtr((0.5 - distance) / scale)
    return upper - scipy.special.ndtr((-0.5 - distance) / scale)
