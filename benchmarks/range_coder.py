"""Times the implementations of the range coder, from scales to bytes and back.

    python benchmarks/range_coder.py

Every implementation that is installed codes as many symbols as a Kodak image has
latents at 320 channels, with scales in all 64 classes. They take turns, and the
shortest time of the processor counts. The coder alone gets table entries that are
grouped by class.
"""

import os
import platform
import time
from typing import NamedTuple
from unittest import mock

import numpy as np

from jaxcorr.bitstream import coder_implementations, range_coder
from jaxcorr.entropy import tables
from jaxcorr.entropy.tables import IntegerTables

SYMBOLS = 491_520
TURNS = 20
KODAK = {"demo": 102_912, "mbt2018-mean": 509_952}
"""Latents and side information of 512 x 768 pixels; mbt2018-mean at 320 channels."""


class Work(NamedTuple):
    """Symbols, their scales, and table entries grouped by class."""

    symbols: np.ndarray
    scales: np.ndarray
    entries: list[np.ndarray]
    table: IntegerTables


class Seconds(NamedTuple):
    """Times to encode and decode, from scales to bytes and by the coder alone."""

    encode: float
    decode: float
    encode_alone: float
    decode_alone: float


def main() -> None:
    """Prints the times and rates of each implementation."""
    work = make_work()
    times: dict[str, list[Seconds]] = {}
    streams = set()
    for _ in range(TURNS):
        for name in coder_implementations.installed():
            with mock.patch.dict(os.environ, {coder_implementations.VARIABLE: name}):
                seconds, data = code(work)
                times.setdefault(range_coder.implementation(), []).append(seconds)
                streams.add(data)
    if len(streams) > 1:
        raise RuntimeError("the implementations write different bytes")

    print(f"{SYMBOLS} symbols, {len(streams.pop())} bytes")
    print(f"{platform.machine()}, {os.cpu_count()} CPU cores, ", end="")
    print(f"Python {platform.python_version()}, NumPy {np.__version__}\n")
    for title, first in (("the coder alone", 2), ("from scales to bytes", 0)):
        print(f"{title:22}{'ms':>12}{'M symbols/s':>18}", end="")
        print("".join(f"{f'{image}, ms':>20}" for image in KODAK))
        for name, turns in times.items():
            print_row(name, [min(turn[first + k] for turn in turns) for k in (0, 1)])
        print()


def make_work() -> Work:
    """Returns symbols of Gaussians with random scales."""
    rng = np.random.default_rng(0)
    scales = np.exp(rng.normal(np.log(0.7), 1.5, SYMBOLS))
    symbols = np.rint(rng.normal(0, scales)).astype(np.int32)
    table = tables.gaussian_tables()
    classes = classes_of(scales)
    entries = [  # Rare symbols outside of the table are clipped.
        np.clip(symbols[classes == k] - low, 0, escape).astype(np.int32)
        for k, (low, escape) in enumerate(zip(table.lowest, table.escape, strict=True))
    ]
    return Work(symbols, scales, entries, table)


def classes_of(scales: np.ndarray) -> np.ndarray:
    """Returns the class of each scale."""
    return tables.position_class(tables.scale_position(scales))


def code(work: Work) -> tuple[Seconds, bytes]:
    """Encodes and decodes once; returns the times, and the bytes."""
    coder = coder_implementations.choose()
    models = [
        coder.categorical(counts[:length])
        for counts, length in zip(work.table.counts, work.table.length, strict=True)
    ]
    moments = [time.process_time()]

    encoder = range_coder.RangeEncoder()
    encoder.encode(work.symbols, classes_of(work.scales), work.table)
    data = encoder.get_bytes()
    moments.append(time.process_time())

    decoder = range_coder.RangeDecoder(data)
    symbols = decoder.decode(classes_of(work.scales), work.table)
    moments.append(time.process_time())

    alone = coder.encoder()
    for entries, model in zip(work.entries, models, strict=True):
        alone.encode(entries, model)
    words = alone.get_compressed()
    moments.append(time.process_time())

    alone = coder.decoder(words)
    for entries, model in zip(work.entries, models, strict=True):
        alone.decode(model, entries.size)
    moments.append(time.process_time())

    if not np.array_equal(symbols, work.symbols):
        raise RuntimeError("the decoded symbols differ from the encoded symbols")
    return Seconds(*np.diff(moments).tolist()), data


def print_row(name: str, seconds: list[float]) -> None:
    """Prints times and rates to encode and decode, and the times of a Kodak image."""
    rates = [SYMBOLS / second / 1e6 for second in seconds]
    images = [
        [1e3 * count / SYMBOLS * second for second in seconds]
        for count in KODAK.values()
    ]
    cells = [pair([1e3 * second for second in seconds], 12), pair(rates, 18)]
    print(f"{name:22}" + "".join(cells + [pair(image, 20) for image in images]))


def pair(values: list[float], width: int) -> str:
    """Formats the values of encoding and decoding."""
    return f"{' / '.join(f'{value:.1f}' for value in values):>{width}}"


if __name__ == "__main__":
    main()
