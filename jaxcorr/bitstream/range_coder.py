"""Range coding of integers with tables of integer probabilities.

The format of a payload. Each call codes

1. the entry of each symbol in the table of its class, class by class in ascending
   order, and within a class in the order given; the last entry of a table, the escape,
   stands for a symbol that the table does not hold;
2. the escaped symbols, in the same order: first the width in bits of each symbol after
   zigzag coding (0, -1, 1, -2, … become 0, 1, 2, 3, …), one of 33 that are equally
   likely; then bits 16 and up of each symbol that has them; then its bits 0 to 15.

Calls follow each other in one stream: that of `constriction`'s `queue.RangeEncoder`, as
32-bit words in little-endian bytes. `docs/range_coding.md` defines it. constriction
writes and reads it where it is installed, and `interval_coder` elsewhere
(`coder_implementations`).
"""

import functools

import numpy as np
from jaxtyping import Int32, Integer

from jaxcorr.bitstream import coder_implementations
from jaxcorr.bitstream.coder_implementations import CoderImplementation
from jaxcorr.entropy.tables import TOTAL_BITS, IntegerTables
from jaxcorr.errors import UserError

WIDTH_COUNTS = np.full(33, 2**TOTAL_BITS // 33, np.uint32)
"""Count of each width in bits of an escaped symbol; the last gets the remainder."""
WIDTH_COUNTS[-1] += 2**TOTAL_BITS % 33
_WORD = np.dtype("<u4")


class CodingError(UserError):
    """Bytes that no `RangeEncoder` writes with the same classes and tables."""


def implementation() -> str:
    """Returns what codes: "constriction 0.5.0", "numba 0.68.1" or "python".

    All write the same bytes. `coder_implementations.choose` says which is chosen.
    """
    return coder_implementations.choose().name


class RangeEncoder:
    """Encodes arrays of symbols, one call after another, into one stream of bytes."""

    def __init__(self):
        self._implementation = coder_implementations.choose()
        self._coder = self._implementation.encoder()

    def encode(
        self,
        symbols: Int32[np.ndarray, " n"],
        classes: Integer[np.ndarray, " n"],
        tables: IntegerTables,
    ) -> None:
        """Appends symbols to the stream.

        Args:
          symbols: Symbols of any value.
          classes: Index of the table of each symbol; uint8 is the fastest.
          tables: Probabilities of the symbols of each class.

        Raises:
          ValueError: If a class has no table.
        """
        order, counts = _group(classes, tables.length.size)
        symbols = symbols[order]
        lowest = np.repeat(tables.lowest, counts)
        escape = np.repeat(tables.escape, counts)
        # Symbols below the table wrap around to large numbers, so that one comparison
        # finds both ends, even if the difference has more than 32 bits.
        entry = (symbols - lowest).view(np.uint32)
        entries = np.minimum(entry, escape.view(np.uint32)).view(np.int32)

        models, start = _models(tables, self._implementation), 0
        for index in np.flatnonzero(counts):
            end = start + counts[index]
            self._coder.encode(entries[start:end], models[index])
            start = end
        escaped = symbols[entries == escape]
        if escaped.size:
            self._encode_escaped(escaped)

    def get_bytes(self) -> bytes:
        """Returns the stream so far: a multiple of 4 bytes, none without symbols."""
        return self._coder.get_compressed().astype(_WORD).tobytes()

    def _encode_escaped(self, symbols: Int32[np.ndarray, " n"]) -> None:
        zigzag = ((symbols << 1) ^ (symbols >> 31)).view(np.uint32)
        # A float64 holds 32 bits exactly, and its exponent is their width.
        width = np.frexp(zigzag.astype(np.float64))[1].astype(np.int32)
        self._coder.encode(width, self._implementation.categorical(WIDTH_COUNTS))
        for shift in (16, 0):
            size, present = _half_size(width, shift)
            half = ((zigzag >> np.uint32(shift)) & np.uint32(0xFFFF)).view(np.int32)
            self._coder.encode(
                half[present], self._implementation.uniform, size[present]
            )


class RangeDecoder:
    """Decodes the stream of a `RangeEncoder`, call by call in the same order.

    Args:
      data: Bytes of the stream.

    Raises:
      CodingError: If `data` is not a whole number of words.
    """

    def __init__(self, data: bytes):
        if len(data) % _WORD.itemsize:
            raise CodingError(
                f"coded symbols come in {_WORD.itemsize}-byte words, not {len(data)} "
                "bytes"
            )
        words = np.frombuffer(data, _WORD).astype(np.uint32)
        self._implementation = coder_implementations.choose()
        self._coder = self._implementation.decoder(words)

    def decode(
        self, classes: Integer[np.ndarray, " n"], tables: IntegerTables
    ) -> Int32[np.ndarray, " n"]:
        """Decodes one symbol for each of `classes`.

        A range decoder decodes symbols from most bytes, so it rarely detects damage.
        Verify data with checksums.

        Args:
          classes: Index of the table of each symbol, as when it was encoded.
          tables: Probabilities of the symbols of each class.

        Raises:
          CodingError: If no symbols encode to the bytes.
          ValueError: If a class has no table.
        """
        order, counts = _group(classes, tables.length.size)
        entries = np.empty(classes.size, np.int32)
        models, start = _models(tables, self._implementation), 0
        for index in np.flatnonzero(counts):
            end = start + counts[index]
            entries[start:end] = self._read(models[index], int(counts[index]))
            start = end

        grouped = entries + np.repeat(tables.lowest, counts)
        escaped = np.flatnonzero(entries == np.repeat(tables.escape, counts))
        if escaped.size:
            grouped[escaped] = self._decode_escaped(escaped.size)
        symbols = np.empty_like(grouped)
        symbols[order] = grouped
        return symbols

    def _decode_escaped(self, count: int) -> Int32[np.ndarray, " n"]:
        width = self._read(self._implementation.categorical(WIDTH_COUNTS), count)
        zigzag = np.zeros(count, np.uint32)
        for shift in (16, 0):
            size, present = _half_size(width, shift)
            half = self._read(self._implementation.uniform, size[present])
            zigzag[present] |= half.astype(np.uint32) << np.uint32(shift)
        sign = -(zigzag & np.uint32(1)).astype(np.int32)
        return (zigzag >> np.uint32(1)).view(np.int32) ^ sign

    def _read(self, model, count_or_parameters: int | Int32[np.ndarray, " n"]):
        """Decodes a number of symbols, or one for each parameter of the model."""
        try:
            return self._coder.decode(model, count_or_parameters)
        except self._implementation.impossible as error:
            raise CodingError("the coded symbols are damaged") from error


def _half_size(
    width: Int32[np.ndarray, " n"], shift: int
) -> tuple[Int32[np.ndarray, " n"], np.ndarray]:
    """Returns the number of values of 16 bits from `shift`, and where these exist."""
    bits = np.clip(width - shift, 0, 16)
    return np.int32(1) << bits, bits > 0


def _group(
    classes: Integer[np.ndarray, " n"], tables: int
) -> tuple[Integer[np.ndarray, " n"], Integer[np.ndarray, " {tables}"]]:
    """Returns a stable order by class, and the number of symbols of each class."""
    if classes.size and not 0 <= classes.min() <= classes.max() < tables:
        raise ValueError(
            f"`classes` must be from 0 to {tables - 1}, the last table, but are from "
            f"{classes.min()} to {classes.max()}."
        )
    # NumPy's stable sort is a radix sort, four times as fast, up to 16 bits.
    keys = classes.astype(np.min_scalar_type(tables), copy=False)
    return np.argsort(keys, kind="stable"), np.bincount(keys, minlength=tables)


@functools.lru_cache(maxsize=16)
def _models(tables: IntegerTables, implementation: CoderImplementation) -> list:
    """Returns the model of each table."""
    return [
        implementation.categorical(row[:length])
        for row, length in zip(tables.counts, tables.length, strict=True)
    ]
