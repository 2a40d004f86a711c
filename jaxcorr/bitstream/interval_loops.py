"""The loops over symbols of the range coder in `interval_coder`.

They are written once: Numba compiles them where it is installed, and elsewhere they run
as plain Python. All their numbers are integers from 0 to 2**64 - 1, on any machine.
"""

import bisect
import functools
import typing
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from jaxcorr.entropy.tables import TOTAL_BITS

WORD_BITS = 32
STATE_MASK = 2**64 - 1
"""Mask of 64 bits, and the width of the interval before the first symbol."""


# Numba computes a uint64 plus or times a small constant, which is an int64, in float64.
# So constants only shift, mask and compare 64-bit numbers; the mask itself is a uint64.
@typing.no_type_check  # Numba cannot compile the wrappers that check types in tests.
def encode_entries(edges, entries, state, words, written):
    """Encodes entries of one table, and carries into earlier words.

    Args:
      edges: Sum of the counts before each entry, and 2**24.
      entries: The entries.
      state: Low end and width of the interval, which change.
      words: Words of the stream, with room for one more per entry.
      written: Number of words in the stream.

    Returns:
      The number of words after the last entry.
    """
    low, width = state[0], state[1]
    for entry in entries:
        start = edges[entry]
        scale = width >> TOTAL_BITS
        width = scale * (edges[entry + 1] - start)
        before, low = low, (low + scale * start) & STATE_MASK
        if low < before:
            last = written - 1
            while words[last] == 2**WORD_BITS - 1:
                words[last] = 0
                last -= 1
            words[last] += 1
        if width < 2**WORD_BITS:
            words[written] = low >> WORD_BITS
            written += 1
            low = (low << WORD_BITS) & STATE_MASK
            width = width << WORD_BITS
    state[0], state[1] = low, width
    return written


@typing.no_type_check
def decode_entries(edges, entries, state, words, read):
    """Decodes entries of one table.

    Args:
      edges: Sum of the counts before each entry, and 2**24.
      entries: Sequence that the entries are written to.
      state: Distance of the stream from the low end of the interval, and width of the
        interval, which change.
      words: Words of the stream, which zeros follow.
      read: Number of words read.

    Returns:
      The number of words read after the last entry.

    Raises:
      ArithmeticError: If the stream is in the part of no entry.
    """
    distance, width = state[0], state[1]
    for index in range(len(entries)):
        scale = width >> TOTAL_BITS
        quantile = distance // scale
        if quantile >= 2**TOTAL_BITS:
            raise ArithmeticError("the stream is in the part of no entry")
        entry = bisect.bisect_right(edges, quantile) - 1
        start = edges[entry]
        distance -= scale * start
        width = scale * (edges[entry + 1] - start)
        if width < 2**WORD_BITS:
            distance = distance << WORD_BITS
            width = width << WORD_BITS
            if read < len(words):
                distance |= words[read]
                read += 1
        entries[index] = entry
    state[0], state[1] = distance, width
    return read


class Loops(NamedTuple):
    """The loops over symbols, in plain Python or compiled.

    Attributes:
      encode: `encode_entries`.
      decode: `decode_entries`.
      sequence: Makes sequences of integers that the loops index quickly.
    """

    encode: Callable[..., int]
    decode: Callable[..., int]
    sequence: Callable[[np.ndarray], Any]


PYTHON = Loops(encode_entries, decode_entries, np.ndarray.tolist)


@functools.cache
def compiled_loops() -> Loops:
    """Returns loops that Numba compiles when they are first called, or earlier.

    Raises:
      ImportError: If Numba is not installed or does not support this NumPy.
    """
    import numba  # pyright: ignore  # Optional.
    from numba import extending  # pyright: ignore

    @extending.overload(bisect.bisect_right)
    def _(edges, quantile):
        return lambda edges, quantile: np.searchsorted(edges, quantile, side="right")

    def compiled(loop: Callable[..., int]) -> Callable[..., int]:
        try:
            return numba.njit(cache=True)(loop)
        except RuntimeError:  # No folder for compiled code can be written to.
            return numba.njit(loop)

    return Loops(compiled(encode_entries), compiled(decode_entries), np.asarray)
