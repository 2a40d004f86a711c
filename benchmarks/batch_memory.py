"""Prints the seconds and the peak memory of commands that get many images.

    python benchmarks/batch_memory.py [-m MODEL] [--only NAME…]

`compress` and `decompress` get one photograph of 24 megapixels, then four: their memory
must not add up. `evaluate` gets 160 images of as many sizes, each of which takes a
program of its own where sizes are not padded. Images are mosaics of a packaged
photograph, as in `large_images.py`.
"""

import dataclasses
import os
import sys
import tempfile
from pathlib import Path
from typing import Annotated, Literal

import large_images
import mosaics
import tyro

from jaxcorr import images
from jaxcorr.data import built_in

SIZES = [
    (96 + 20 * row, 112 + 48 * column) for row in range(16) for column in range(10)
]
"""Heights and widths of the images to evaluate."""
Name = Literal["one", "four", "sizes"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Settings:
    """Model and images to measure."""

    model: Annotated[str, tyro.conf.arg(aliases=["-m"])] = "demo@1"
    """The model."""
    megapixels: float = 24.0
    """Size of the photographs to code."""
    only: tuple[Name, ...] = ("one", "four", "sizes")
    """Cases to measure: one photograph, four, or images of many sizes."""
    most: float = 16.0
    """Gigabytes of data that a process may take, so that the machine goes on."""


def main(settings: Settings) -> None:
    """Prints a line for each command."""
    print(f"{'command':12}{'images':>8}{'megapixels':>12}{'GB':>8}{'seconds':>10}")
    with tempfile.TemporaryDirectory() as name:
        for case in settings.only:
            folder = Path(name) / case
            folder.mkdir()
            if case == "sizes":
                measure_evaluation(settings, folder)
            else:
                measure_coding(settings, folder, {"one": 1, "four": 4}[case])


def measure_coding(settings: Settings, folder: Path, count: int) -> None:
    """Prints what a batch of photographs takes."""
    first, coded = folder / "photographs", folder / "coded"
    first.mkdir()
    mosaics.write_mosaic(first / "0.png", settings.megapixels)
    for number in range(1, count):
        os.link(first / "0.png", first / f"{number}.png")
    model = ["-m", settings.model, "--quiet"]
    compress = ["compress", str(first), *model, "-o", str(coded)]
    show(settings, compress, count, settings.megapixels)
    decompress = ["decompress", str(coded), *model, "-o", str(folder / "decoded")]
    show(settings, decompress, count, settings.megapixels)


def measure_evaluation(settings: Settings, folder: Path) -> None:
    """Prints what an evaluation takes on images of many sizes."""
    photograph, _ = images.read_image(built_in.held_out_paths()[1])
    for height, width in SIZES:
        path = folder / f"{height}x{width}.png"
        images.write_image(path, photograph[:height, :width])
    pixels = sum(height * width for height, width in SIZES)
    command = ["evaluate", str(folder), "-m", settings.model]
    show(settings, command, len(SIZES), pixels / len(SIZES) / 1e6)


def show(
    settings: Settings, arguments: list[str], count: int, megapixels: float
) -> None:
    """Runs a command of jaxcorr, and prints its memory and time."""
    command = [sys.executable, "-c", large_images.COMMAND, *arguments]
    row = large_images.run(command, settings.most)
    if "failure" in row:
        raise SystemExit(f"{arguments[0]} failed: {row['failure']}")
    print(
        f"{arguments[0]:12}{count:>8}{megapixels:>12.2f}{row['gigabytes']:>8.2f}"
        f"{row['seconds']:>10.1f}",
        flush=True,
    )


if __name__ == "__main__":
    main(tyro.cli(Settings))
