"""Compares the size of files with the entropy model's estimate, and times coding.

    python benchmarks/files.py MODEL DIR

Codes every photograph below DIR with MODEL, a run directory or a model folder. A file
should be within 1 % + 64 bytes of the estimate. Times exclude compilation. They are
divided into networks, which are compiled programs, and the rest with the range coder.
"""

import sys
from pathlib import Path

import stopwatch

from jaxcorr import images, run_directory, runtime
from jaxcorr.evaluation import measure
from jaxcorr.evaluation.learned import LearnedCodec

NETWORKS = [
    *stopwatch.TIMED_FUNCTIONS["transforms"],
    *stopwatch.TIMED_FUNCTIONS["context"],
]


def main(folder: Path, directory: Path) -> None:
    """Prints a line per image and a summary."""
    runtime.retain_freed_memory()  # As the commands of jaxcorr do.
    codec = LearnedCodec(run_directory.load(folder))
    print(f"{'file':24}{'bytes':>9}{'bpp':>9}{'estimated':>11}{'excess':>9}{'%':>7}")
    measured, seconds = [], []
    with stopwatch.timed({"networks": NETWORKS}) as spent:
        for path in images.find_images(directory):
            image, _ = images.read_image(path)
            measure.measure_image(
                codec, image, path.name
            )  # Compiles programs for new sizes.
            spent["networks"] = 0.0
            row = measure.measure_image(codec, image, path.name).metrics
            seconds.append(spent["networks"])
            measured.append(row)
            excess, percent = excess_of(row)
            print(
                f"{row.file:24}{row.bytes:9}{row.bpp:9.4f}{row.bpp_estimated:11.4f}"
                f"{excess:+9.0f}{percent:+7.2f}"
            )
    summarize(measured, seconds)


def excess_of(row: measure.ImageMetrics) -> tuple[float, float]:
    """Returns the excess of the file over the estimate, in bytes and in percent."""
    estimated = (row.bpp_estimated or 0.0) * row.width * row.height / 8
    return row.bytes - estimated, 100 * (row.bytes / estimated - 1)


def summarize(measured: list[measure.ImageMetrics], seconds: list[float]) -> None:
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
        f"seconds per image: encode {encode:.3f}, decode {decode:.3f}; of the sum "
        f"{programs:.3f} networks, {encode + decode - programs:.3f} range coder and "
        "the rest"
    )


if __name__ == "__main__":
    with runtime.exit_on_user_error():
        main(*map(Path, sys.argv[1:]))
