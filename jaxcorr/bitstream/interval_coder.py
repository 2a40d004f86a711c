"""Range coder in exact integers, for machines that constriction has no wheel for.

The encoder keeps an interval [low, low + width) of 64-bit numbers. An entry of a table
with `count` of the 2**24 counts, and `start` counts before it, narrows the interval:

    scale = width // 2**24
    low   = low + scale * start
    width = scale * count

When the width falls below 2**32, the upper 32 bits of `low` become the next word of the
stream, and `low` and `width` are shifted left by 32 bits. When `low` exceeds 64 bits,
the carry goes to the words before. The decoder keeps the distance of the stream from
`low`; divided by `scale`, it tells the entry. `docs/range_coding.md` defines the stream
to the bit.

It is the stream of constriction's `queue.RangeEncoder`, and the classes have the part
of constriction's interface that `range_coder` uses. The loops over symbols are in
`interval_loops`.

References:
  Pasco, "Source coding algorithms for fast data compression", PhD thesis, Stanford
  University, 1976.
  Martin, "Range encoding: an algorithm for removing redundancy from a digitised
  message", Video & Data Recording Conference, Southampton, 1979.
"""

import functools
from collections.abc import Iterator
from typing import Any

import numpy as np
from jaxtyping import Int32, UInt32

from jaxcorr.bitstream.interval_loops import (
    STATE_MASK,
    WORD_BITS,
    Loops,
    encode_entries,
)
from jaxcorr.entropy.tables import TOTAL_BITS

_BLOCK = 2**16
"""Symbols that are lists of Python integers at a time, which bounds the memory."""


class Categorical:
    """Model of symbols that share a table of probabilities.

    Args:
      counts: Probability of each entry in units of 2**-24; they sum to 2**24.
      loops: Loops of the coders that use the model.
    """

    def __init__(self, counts: UInt32[np.ndarray, " n"], *, loops: Loops):
        edges = np.append(np.uint32(0), counts).cumsum(dtype=np.uint64)
        self._edges = loops.sequence(edges)

    def runs(self, count: int) -> Iterator[tuple[Any, int]]:
        """Yields the edges of the table, with the number of symbols to code at a time.

        Args:
          count: Number of symbols.
        """
        for begin in range(0, count, _BLOCK):
            yield self._edges, min(_BLOCK, count - begin)


class Uniform:
    """Model of equally likely numbers, with a power of 2 below which each of them is.

    Args:
      loops: Loops of the coders that use the model.
    """

    def __init__(self, *, loops: Loops):
        self._loops = loops

    def runs(self, sizes: Int32[np.ndarray, " n"]) -> Iterator[tuple[Any, int]]:
        """Yields the edges of the table of each number, and 1.

        Args:
          sizes: Exclusive bound of each number, from 2 to 2**16.
        """
        for size in sizes.tolist():
            yield _uniform_edges(size, self._loops), 1


class Encoder:
    """Encodes symbols into one stream of words.

    Args:
      loops: The loops over symbols.
    """

    def __init__(self, *, loops: Loops):
        self._loops = loops
        self._state = _begin(0, loops)
        self._words = np.zeros(0, np.uint32)
        self._written = 0

    def encode(
        self,
        symbols: Int32[np.ndarray, " n"],
        model: Categorical | Uniform,
        sizes: Int32[np.ndarray, " n"] | None = None,
    ) -> None:
        """Appends symbols to the stream.

        Args:
          symbols: Entries of the table of a `Categorical`, or numbers of a `Uniform`.
          model: Probabilities of the symbols.
          sizes: With a `Uniform`, exclusive bound of each number.
        """
        begin = 0
        count_or_sizes: Any = symbols.size if sizes is None else sizes
        for edges, count in model.runs(count_or_sizes):
            self._append(edges, symbols[begin : begin + count])
            begin += count

    def get_compressed(self) -> UInt32[np.ndarray, " words"]:
        """Returns the stream so far, with the words that end it; none at first."""
        low, width = map(int, self._state)
        if width == STATE_MASK:
            return self._words[:0]
        # The last word is the upper half of low + 2**32 - 1, which may carry: the loop
        # writes it for an entry of count 1 that begins there, at a scale of 1.
        words = np.append(self._words[: self._written], np.zeros(2, np.uint32))
        edges, state = [2**WORD_BITS - 1, 2**WORD_BITS], [low, 2**TOTAL_BITS]
        encode_entries(edges, [0], state, words, self._written)
        # If the interval ends within the numbers that begin with this word, a word of
        # zeros keeps the stream in the interval, whatever follows it.
        end = ((low + width) & STATE_MASK) >> WORD_BITS
        return words if words[-2] == end else words[:-1]

    def _append(self, edges: Any, entries: Int32[np.ndarray, " n"]) -> None:
        """Encodes entries of the table with the given edges."""
        if self._words.size < self._written + entries.size:
            room = np.zeros(self._words.size + entries.size, np.uint32)
            self._words = np.append(self._words, room)
        entries = self._loops.sequence(entries)
        self._written = self._loops.encode(
            edges, entries, self._state, self._words, self._written
        )


class Decoder:
    """Decodes a stream of an `Encoder`.

    Args:
      words: The stream.
      loops: The loops over symbols.
    """

    def __init__(self, words: UInt32[np.ndarray, " words"], *, loops: Loops):
        self._loops = loops
        self._words = loops.sequence(words)
        first, second = [*words[:2].tolist(), 0, 0][:2]
        self._state = _begin(first << WORD_BITS | second, loops)
        self._read = min(2, words.size)

    def decode(
        self, model: Categorical | Uniform, count_or_sizes: Any
    ) -> Int32[np.ndarray, " n"]:
        """Decodes symbols.

        Args:
          model: Probabilities of the symbols.
          count_or_sizes: Number of symbols, or with a `Uniform`, exclusive bound of
            each number.

        Raises:
          ArithmeticError: If no symbols encode to the words.
        """
        runs = [self._read_entries(*run) for run in model.runs(count_or_sizes)]
        return np.concatenate([np.zeros(0, np.int32), *runs])

    def _read_entries(self, edges: Any, count: int) -> Int32[np.ndarray, " n"]:
        """Decodes a number of entries of the table with the given edges."""
        entries = self._loops.sequence(np.zeros(count, np.int32))
        self._read = self._loops.decode(
            edges, entries, self._state, self._words, self._read
        )
        return np.asarray(entries, np.int32)


def _begin(number: int, loops: Loops) -> Any:
    """Returns the state before the first symbol, with the given first number."""
    return loops.sequence(np.array([number, STATE_MASK], np.uint64))


@functools.cache
def _uniform_edges(size: int, loops: Loops) -> Any:
    """Returns the edges of a table of equally likely entries."""
    step = 2**TOTAL_BITS // size
    return loops.sequence(np.arange(0, 2**TOTAL_BITS + 1, step, dtype=np.uint64))
