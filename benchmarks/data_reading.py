"""Measures how many crops per second one core reads, decodes and changes.

    python benchmarks/data_reading.py SOURCE [--crops-per-image 1 4] [--against CLONE]

Prints crops per second of processor time, without augmentation and with that of the
packaged models, for Pillow and for simplejpeg if it is installed. Each is measured in a
process on one core, in blocks that take turns, of which the median counts. `--against`
compares with another version, in the same turns.
"""

import importlib.util
import json
import os
import statistics
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import tyro

ROOT = Path(__file__).parent.parent
BLOCK_SECONDS, ROUNDS = 1.0, 7
AUGMENTATION = {
    "scale": 0.4,
    "hue": 30.0,
    "saturation": 0.5,
    "gamma": 0.5,
    "channel_permutation": 0.1,
    "blur": 0.1,
    "synthetic": 0.1,
}
"""The augmentation of results/demo/train.py."""

READER = """
import json, os, sys, time
if hasattr(os, "sched_setaffinity"):
    os.sched_setaffinity(0, [min(os.sched_getaffinity(0))])
source, crop_size, crops, changes, decoder, seconds = map(json.loads, sys.argv[1:])
if decoder == "Pillow":
    sys.modules["simplejpeg"] = None
from jaxcorr import runtime
from jaxcorr.data import pipeline, sources
from jaxcorr.data.augmentation import AugmentationConfig
from jaxcorr.data.sources import DataConfig

runtime.retain_freed_memory()
several = {"crops_per_image": crops} if crops > 1 else {}
data = DataConfig(
    source=source, crop_size=crop_size, augmentation=AugmentationConfig(**changes),
    **several,
)
batches = pipeline.batches(sources.training_source(data), data)
for _ in range(4):
    next(batches)
before = time.process_time()
for _ in sys.stdin:  # A block for each line.
    images, begin = 0, before
    while time.process_time() < begin + seconds or not images:
        images += len(next(batches))
    before = time.process_time()
    print(images / (before - begin), flush=True)
os._exit(0)
"""
"""Program of a process that measures; time in which it reads ahead counts, too."""


def main(
    source: tyro.conf.Positional[str],
    crop_size: int = 256,
    crops_per_image: tuple[int, ...] = (1,),
    against: Path | None = None,
) -> None:
    """Prints the table.

    Args:
      source: Source of images, such as folder:DIR.
      crop_size: Side of a crop, in pixels.
      crops_per_image: Values of `data.crops_per_image`.
      against: Clone of another version, which is measured with one crop per image.
    """
    rows = list(readers(crops_per_image, against))
    processes = {
        (name, kind): start(folder, source, crop_size, crops, changes, decoder)
        for name, folder, crops, decoder in rows
        for kind, changes in {"plain": {}, "augmented": AUGMENTATION}.items()
    }
    rates: dict[tuple[str, str], list[float]] = {key: [] for key in processes}
    for _ in range(ROUNDS):
        for key, process in processes.items():
            rates[key].append(measure(process))
    for process in processes.values():
        process.kill()
        process.communicate()
    medians = {key: statistics.median(values) for key, values in rates.items()}
    first = rows[0][0]
    print(f"{'crops per core and second':32}{'plain':>9}{'':9}{'augmented':>9}")
    for name, *_ in rows:
        line = f"{name:32}"
        for kind in ("plain", "augmented"):
            rate = medians[name, kind]
            line += f"{rate:9.0f}{rate / medians[first, kind]:8.2f}x"
        print(line)


def readers(
    crops_per_image: tuple[int, ...], against: Path | None
) -> Iterator[tuple[str, Path, int, str]]:
    """Yields the name, the clone, the crops per image and the decoder of each row."""
    if against is not None:
        yield str(against), against.resolve(), 1, "Pillow"
    decoders = ["Pillow"]
    if importlib.util.find_spec("simplejpeg") is not None:
        decoders.append("simplejpeg")
    for crops in crops_per_image:
        several = f", {crops} crops per image" if crops > 1 else ""
        for decoder in decoders:
            yield f"{decoder}{several}", ROOT, crops, decoder


def start(folder: Path, *arguments: Any) -> subprocess.Popen[str]:
    """Starts a process that measures the version in a folder."""
    paths = [str(folder), os.environ.get("PYTHONPATH", "")]
    texts = [json.dumps(argument) for argument in (*arguments, BLOCK_SECONDS)]
    return subprocess.Popen(
        [sys.executable, "-c", READER, *texts],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(paths)},
        cwd=folder,
    )


def measure(process: subprocess.Popen[str]) -> float:
    """Returns the crops per second of processor time in a block of a process."""
    assert process.stdin is not None and process.stdout is not None
    process.stdin.write("\n")
    process.stdin.flush()
    return float(process.stdout.readline())


if __name__ == "__main__":
    tyro.cli(main)
