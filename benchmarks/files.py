"""Size of files against the entropy model's estimate, and time to code them.

    python benchmarks/files.py MODEL DIR

Codes every photograph below DIR with the run or model folder MODEL. A file should be
within 1 % + 64 bytes of the estimate. Seconds are after compilation; those of the
networks are of the compiled programs, the rest is the range coder and all else.
"""

import contextlib
import dataclasses
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax

from jaxcorr import errors, images, model_folder
from jaxcorr.bitstream import networks
from jaxcorr.evaluation import rows

PROGRAMS = ("analyze", "predict_features", "synthesize")


@dataclasses.dataclass
class Stopwatch:
    """Seconds in the compiled programs since it was last read."""

    seconds: float = 0.0

    def read(self) -> float:
        """The seconds; starts anew."""
        seconds, self.seconds = self.seconds, 0.0
        return seconds


def main(folder: Path, directory: Path) -> None:
    """Prints a line an image and a summary."""
    model = model_folder.load(folder)
    print(f"{'file':24}{'bytes':>9}{'bpp':>9}{'estimated':>11}{'excess':>9}{'%':>7}")
    measured, seconds = [], []
    with timed_programs() as stopwatch:
        for path in images.find_images(directory):
            image, _ = images.read_image(path)
            rows.measure(model, image, path.name)  # Compiles what is new.
            stopwatch.read()
            row = rows.measure(model, image, path.name).row
            seconds.append(stopwatch.read())
            measured.append(row)
            excess, percent = excess_of(row)
            print(
                f"{row.file:24}{row.bytes:9}{row.bpp:9.4f}{row.bpp_estimated:11.4f}"
                f"{excess:+9.0f}{percent:+7.2f}"
            )
    summarize(measured, seconds)


def excess_of(row: rows.Row) -> tuple[float, float]:
    """Bytes of the file over the estimate, also in percent of the estimate."""
    estimated = (row.bpp_estimated or 0.0) * row.width * row.height / 8
    return row.bytes - estimated, 100 * (row.bytes / estimated - 1)


def summarize(measured: list[rows.Row], seconds: list[float]) -> None:
    """Prints the largest excess, and the mean times."""
    excess = [excess_of(row) for row in measured]
    worst = max(excess, key=lambda pair: abs(pair[0]))
    allowed = [
        abs(over) <= 0.01 * (row.bytes - over) + 64
        for row, (over, _) in zip(measured, excess, strict=True)
    ]
    print(f"largest deviation {worst[0]:+.0f} bytes, {worst[1]:+.2f} %")
    print(f"{sum(allowed)} of {len(allowed)} files within 1 % + 64 bytes")
    count = len(measured)
    encode = sum(row.encode_seconds or 0.0 for row in measured) / count
    decode = sum(row.decode_seconds or 0.0 for row in measured) / count
    programs = sum(seconds) / count
    print(
        f"seconds an image: encode {encode:.3f}, decode {decode:.3f}; of both together "
        f"{programs:.3f} networks, {encode + decode - programs:.3f} range coder and "
        "the rest"
    )


@contextlib.contextmanager
def timed_programs() -> Iterator[Stopwatch]:
    """Counts the seconds of the compiled programs while files are coded."""
    stopwatch = Stopwatch()
    programs = {name: getattr(networks, name) for name in PROGRAMS}
    for name, program in programs.items():
        setattr(networks, name, _timed(program, stopwatch))
    try:
        yield stopwatch
    finally:
        for name, program in programs.items():
            setattr(networks, name, program)


def _timed(program: Any, stopwatch: Stopwatch) -> Any:
    def call(*arguments, **options):
        start = time.perf_counter()
        result = jax.block_until_ready(program(*arguments, **options))
        stopwatch.seconds += time.perf_counter() - start
        return result

    return call


if __name__ == "__main__":
    with errors.told_in_one_line():
        main(*map(Path, sys.argv[1:]))
