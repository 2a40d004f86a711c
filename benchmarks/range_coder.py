"""Times the range coder, from scales and symbols to bytes and back.

    python benchmarks/range_coder.py

Codes as many symbols as a Kodak image has latents at 320 channels, with scales in all
64 classes, and compares with constriction alone, which gets entries grouped by class.
The best of several runs counts.
"""

import functools
import time
from collections.abc import Callable

import numpy as np

from jaxcorr.bitstream import range_coder
from jaxcorr.entropy import tables

SYMBOLS = 491_520
REPEATS = 20


def main() -> None:
    """Prints the table of times."""
    rng = np.random.default_rng(0)
    scales = np.exp(rng.normal(np.log(0.7), 1.5, SYMBOLS))
    symbols = np.rint(rng.normal(0, scales)).astype(np.int32)
    table = tables.gaussian_tables()

    def classes() -> np.ndarray:
        return tables.position_class(tables.scale_position(scales))

    def encode() -> bytes:
        encoder = range_coder.RangeEncoder()
        encoder.encode(symbols, classes(), table)
        return encoder.get_bytes()

    data = encode()

    def decode() -> np.ndarray:
        return range_coder.RangeDecoder(data).decode(classes(), table)

    if not np.array_equal(decode(), symbols):
        raise RuntimeError("the decoded symbols differ from the encoded symbols")

    entries = group(symbols, classes(), table)
    words = encode_groups(entries, table)
    sizes = [values.size for values in entries]
    used = sum(size > 0 for size in sizes)
    print(f"{SYMBOLS} symbols, {used} classes, {len(data)} bytes, ms encode / decode")
    alone = functools.partial(encode_groups, entries, table)
    report("constriction alone", alone, lambda: decode_groups(words, sizes, table))
    report("jaxcorr", encode, decode)
    print(f"of which classes from scales: {milliseconds(classes):.1f}")


def group(
    symbols: np.ndarray, classes: np.ndarray, table: tables.IntegerTables
) -> list[np.ndarray]:
    """Returns the table entries of each class; rare symbols outside are clipped."""
    return [
        np.clip(symbols[classes == k] - low, 0, escape).astype(np.int32)
        for k, (low, escape) in enumerate(zip(table.lowest, table.escape, strict=True))
    ]


def encode_groups(entries: list[np.ndarray], table: tables.IntegerTables) -> np.ndarray:
    """Encodes grouped entries with constriction."""
    coder = range_coder.stream.queue.RangeEncoder()
    for values, model in zip(entries, models(table), strict=True):
        coder.encode(values, model)
    return coder.get_compressed()


def decode_groups(
    words: np.ndarray, sizes: list[int], table: tables.IntegerTables
) -> None:
    """Decodes grouped entries with constriction."""
    coder = range_coder.stream.queue.RangeDecoder(words)
    for size, model in zip(sizes, models(table), strict=True):
        coder.decode(model, size)


@functools.lru_cache
def models(table: tables.IntegerTables) -> list:
    """Returns constriction's model of each class."""
    return [
        range_coder.stream.model.Categorical(counts[:length] - 1.0, perfect=False)
        for counts, length in zip(table.counts, table.length, strict=True)
    ]


def report(name: str, encode: Callable, decode: Callable) -> None:
    """Prints one row."""
    print(f"{name:20}{milliseconds(encode):6.1f} /{milliseconds(decode):6.1f}")


def milliseconds(call: Callable) -> float:
    """Returns the shortest time of a call."""
    best = float("inf")
    for _ in range(REPEATS):
        start = time.perf_counter()
        call()
        best = min(best, time.perf_counter() - start)
    return 1e3 * best


if __name__ == "__main__":
    main()
