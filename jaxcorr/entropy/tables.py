"""Integer probability tables for the range coder.

Tables are built once, when a model folder is written, and stored in it. A decoder reads
the tables and never builds them. So one model has the same tables on every machine,
even if the last digit of `ndtr` or `log` differs between machines.
"""

import dataclasses
import math
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Float64, Int, Int32, UInt8, UInt32

TOTAL_BITS = 24
"""Precision of the probabilities: the counts of each table sum to `2**TOTAL_BITS`."""

SCALES = np.geomspace(0.11, 256.0, 64)
"""Scale of each class of latents, in quantization steps."""

ESCAPE_PROBABILITY = 2.0**-20
"""Smallest probability of the escape symbol; it costs 1.4e-6 bits per symbol."""

TAIL_PROBABILITY = 1e-9
"""Largest probability that the table of a channel may omit at either end."""

GAUSSIAN_REACH = 6.0
"""Half the support of a Gaussian table, in scales: it omits 2e-9 of the probability."""

GAUSSIAN_MARGIN = 4
"""Symbols added at either end, since latents have heavier tails than Gaussians."""


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class IntegerTables:
    """One probability table per class of symbols, in units of `2**-TOTAL_BITS`.

    Instances compare and hash by identity, so that values derived from them can be
    cached.

    Attributes:
      lowest: Lowest symbol of each class.
      length: Number of entries of each class: its symbols, then one escape entry for
        all symbols that are not in the table.
      counts: Probability of each entry, at least 1. Rows with fewer entries than the
        longest row are padded with zeros.

    Raises:
      ValueError: If a row has no symbol, has an entry that cannot be coded, or does
        not sum to `2**TOTAL_BITS`.
    """

    lowest: Int32[np.ndarray, " n"]
    length: Int32[np.ndarray, " n"]
    counts: UInt32[np.ndarray, "n longest"]

    def __post_init__(self):
        """Checks that the range coder can code with every table."""
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
        """Index of the escape entry of each class."""
        return self.length - np.int32(1)


def from_probabilities(
    lowest: Sequence[int] | Int[np.ndarray, " n"],
    probabilities: Sequence[Float64[np.ndarray, " _"]],
) -> IntegerTables:
    """Rounds probabilities to proportional integer counts of at least 1.

    Args:
      lowest: Lowest symbol of each class.
      probabilities: For each class, the probability of `lowest` and of each symbol
        after it. The escape gets the remaining probability, but at least
        `ESCAPE_PROBABILITY`.

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
    """Returns the tables of rounded latents minus their means, one per scale.

    The scales are `SCALES`. The probability of symbol k is that of the interval from
    k - 1/2 to k + 1/2 under a Gaussian of mean 0.
    """
    highest = [math.ceil(GAUSSIAN_REACH * s) + GAUSSIAN_MARGIN for s in SCALES]
    return from_probabilities(
        [-symbol for symbol in highest],
        [
            _gaussian_probabilities(scale, symbol)
            for scale, symbol in zip(SCALES, highest, strict=True)
        ],
    )


def channel_tables(
    probabilities: Float64[np.ndarray, "n k"], *, lowest: int
) -> IntegerTables:
    """Returns the tables of rounded z minus its median, one per channel.

    Args:
      probabilities: For each channel, the probability of `lowest` and of each symbol
        after it. The table of a channel keeps the symbols between its tails.
      lowest: Symbol of the first column.

    Raises:
      ValueError: As in `from_probabilities`.
    """
    below = np.cumsum(probabilities, axis=1) <= TAIL_PROBABILITY
    above = np.cumsum(probabilities[:, ::-1], axis=1) <= TAIL_PROBABILITY
    # At least one symbol stays, even in a row that `from_probabilities` rejects.
    last = probabilities.shape[1] - 1
    first = np.minimum(below.sum(axis=1), last)
    end = np.maximum(last + 1 - above.sum(axis=1), first + 1)
    return from_probabilities(
        lowest + first,
        [row[i:j] for row, i, j in zip(probabilities, first, end, strict=True)],
    )


def scale_position(scale: Float[np.ndarray, "*n"]) -> Float64[np.ndarray, "*n"]:
    """Returns the positions of scales on a logarithmic axis with `SCALES[i]` at i.

    The boundary between two classes is the geometric mean of their scales, which is
    halfway between them on this axis.

    Args:
      scale: Predicted scales in quantization steps; positive.
    """
    first, last = math.log(SCALES[0]), math.log(SCALES[-1])
    step = (last - first) / (SCALES.size - 1)
    return (np.log(scale, dtype=np.float64) - first) / step


def position_class(position: Float64[np.ndarray, "*n"]) -> UInt8[np.ndarray, "*n"]:
    """Returns the class, and so the table, that is nearest to each scale position."""
    return np.clip(np.rint(position), 0, SCALES.size - 1).astype(np.uint8)


def _counts(index: int, symbols: Float64[np.ndarray, " k"]) -> Int[np.ndarray, " k+1"]:
    """Returns the counts of one table, with the escape last."""
    if not (np.isfinite(symbols).all() and (symbols >= 0).all() and symbols.any()):
        raise ValueError(
            "each table's probabilities must be finite, 0 or more, and not all 0; "
            f"those of table {index} are not."
        )
    escape = max(ESCAPE_PROBABILITY, 1.0 - math.fsum(symbols))
    entries = np.append(symbols, escape)
    # Every entry gets 1 count plus its share, rounded down. The counts that rounding
    # leaves over go to the entries with the largest fractions (the first, in a tie).
    share = entries * ((2**TOTAL_BITS - entries.size) / math.fsum(entries))
    counts = 1 + np.floor(share).astype(np.int64)
    left_over = 2**TOTAL_BITS - counts.sum()
    largest = np.argsort(np.floor(share) - share, kind="stable")[:left_over]
    counts[largest] += 1
    return counts


def _gaussian_probabilities(scale: float, highest: int) -> Float64[np.ndarray, " k"]:
    """Returns the probability that a Gaussian rounds to each of -highest … highest."""
    import scipy.special  # Imported late: coding needs no new tables.

    distance = np.abs(np.arange(-highest, highest + 1))
    # Both terms are taken from the lower tail: the difference of two values of `ndtr`
    # close to 1 would be inaccurate.
    upper = scipy.special.ndtr((0.5 - distance) / scale)
    return upper - scipy.special.ndtr((-0.5 - distance) / scale)
