"""Random symbols and damaged streams for range coders."""

import importlib.util
from typing import NamedTuple

import numpy as np
import pytest

from jaxcorr.bitstream import coder_implementations, range_coder
from jaxcorr.entropy import tables
from jaxcorr.entropy.tables import IntegerTables

IMPLEMENTATIONS = [
    pytest.param(
        name,
        marks=pytest.mark.skipif(
            name != "python" and importlib.util.find_spec(name) is None,
            reason=f"{name} is not installed",
        ),
    )
    for name in coder_implementations.LOADERS
]
"""Names of the implementations, as parameters of tests; constriction is the first."""
SIZES = (0, 1, 2, 3, 5, 17, 200, 1_500)


class Call(NamedTuple):
    """Arguments of a call of `RangeEncoder.encode`."""

    symbols: np.ndarray
    classes: np.ndarray
    table: IntegerTables


def random_calls(seed: int) -> list[Call]:
    """Returns one to three calls with random tables: flat, peaked, long and short."""
    rng = np.random.default_rng(seed)
    return [_random_call(rng) for _ in range(rng.integers(1, 4))]


def _random_call(rng: np.random.Generator) -> Call:
    rows = [
        rng.dirichlet(np.full(rng.integers(1, 80), rng.choice([0.01, 0.1, 1, 10])))
        for _ in range(rng.integers(1, 7))
    ]
    lowest = rng.integers(-60, 20, len(rows))
    table = tables.from_probabilities(lowest, rows)
    classes = rng.integers(0, len(rows), rng.choice(SIZES)).astype(np.uint8)
    # The entries of a call are likely, all equal, or of any probability.
    kind = rng.integers(3)
    uniform = rng.integers(0, table.length[classes])
    likely = np.argmax(table.counts, axis=1)[classes]
    entries = (
        uniform,
        likely,
        np.where(rng.random(classes.size) < 0.9, likely, uniform),
    )
    symbols = table.lowest[classes] + entries[kind].astype(np.int32)
    # Some are far outside of the table, of any number of bits.
    far = rng.integers(-(2**31), 2**31, classes.size) >> rng.integers(0, 32)
    escaped = rng.random(classes.size) < rng.choice([0, 0.02])
    return Call(np.where(escaped, far, symbols).astype(np.int32), classes, table)


def damage(data: bytes, seed: int) -> bytes:
    """Returns a stream that is cut, changed, extended, empty or random."""
    rng = np.random.default_rng(seed)
    words = np.frombuffer(data, "<u4").copy()
    more = rng.integers(0, 2**32, rng.integers(1, 5), dtype=np.uint32)
    match seed % 6:
        case 0:
            words = words[: rng.integers(0, words.size + 1)]
        case 1 | 2 if words.size:
            words[rng.integers(words.size)] ^= np.uint32(1 << rng.integers(0, 32))
        case 3:
            words = np.append(words, more)
        case 4:
            words = np.append(np.full(2, 2**32 - 1, np.uint32), words[2:])
        case 5:
            words = np.append(more, words[:0])
    return words.astype("<u4").tobytes()


def encode(calls: list[Call]) -> bytes:
    """Returns the stream of some calls."""
    encoder = range_coder.RangeEncoder()
    for call in calls:
        encoder.encode(*call)
    return encoder.get_bytes()


def decode(data: bytes, calls: list[Call]) -> list[list[int]] | str:
    """Returns the symbols of each call, or the message of a `CodingError`."""
    try:
        decoder = range_coder.RangeDecoder(data)
        return [decoder.decode(call.classes, call.table).tolist() for call in calls]
    except range_coder.CodingError as error:
        return str(error)


def forget_choices() -> None:
    """Makes the next coder look for the installed implementations again."""
    coder_implementations._fastest.cache_clear()
    for load in coder_implementations.LOADERS.values():
        load.cache_clear()
