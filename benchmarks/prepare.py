"""Measures how fast `jaxcorr prepare` cuts tiles, and how much memory that takes.

    python benchmarks/prepare.py [--images 10000 100000] [--size 64 80] [--workers 2]

Synthesizes photographs, prepares them in a process of its own, and prints images per
second, also per second of processor time, and the largest memory of the command and of
one of its workers. If that of 100,000 images is about that of 10,000, memory is flat.
Of the photographs, 200 differ and the others are links to them.
"""

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import tyro
from PIL import Image, ImageFilter

ROOT = Path(__file__).parent.parent
DIFFERENT = 200
"""Number of photographs that differ."""


def main(
    images: tuple[int, ...] = (10_000, 100_000),
    size: tuple[int, int] = (64, 80),
    tile: int = 64,
    workers: int = 2,
    format: str = "png",
) -> None:
    """Prints a table.

    Args:
      images: Numbers of photographs.
      size: Height and width of a photograph, in pixels.
      tile: Largest side of a tile, in pixels.
      workers: Number of processes.
      format: Extension of the files.
    """
    print(f"photographs of {size[0]}x{size[1]}, {format}, tiles of {tile}, ", end="")
    print(f"{workers} workers")
    print(f"{'images':>9}{'tiles':>9}{'MB':>8}{'seconds':>9}{'images/s':>10}", end="")
    print(f"{'per core':>10}{'command MB':>12}{'worker MB':>11}", flush=True)
    for count in images:
        with tempfile.TemporaryDirectory() as folder:
            source, output = Path(folder, "photographs"), Path(folder, "tiles")
            synthesize(source, count, size, format)
            seconds, cpu, command, worker = prepare(source, output, tile, workers)
            found = json.loads((output / "data_set.json").read_text())
        print(
            f"{count:9,}{sum(found['records']):9,}{sum(found['bytes']) / 1e6:8.0f}"
            f"{seconds:9.1f}{count / seconds:10.1f}"
            f"{count / cpu:10.1f}{command:12.0f}{worker:11.0f}",
            flush=True,
        )


def synthesize(folder: Path, count: int, size: tuple[int, int], format: str) -> None:
    """Writes photographs: noise of all scales, in folders of 1,000."""
    rng = np.random.default_rng(0)
    for number in range(count):
        path = folder / f"{number // 1000:03}" / f"{number % 1000:03}.{format}"
        path.parent.mkdir(parents=True, exist_ok=True)
        if number < DIFFERENT:
            pixels = rng.integers(256, size=(*size, 3), dtype=np.uint8)
            picture = Image.fromarray(pixels).filter(ImageFilter.GaussianBlur(2))
            picture.save(path)
        else:
            original = number % DIFFERENT
            os.link(folder / "000" / f"{original:03}.{format}", path)


def prepare(
    source: Path, output: Path, tile: int, workers: int
) -> tuple[float, float, float, float]:
    """Returns what preparing takes.

    Returns:
      Seconds, seconds of processor time, and the largest memory of the command and of
      one of its workers in MB.
    """
    command = [sys.executable, "-m", "jaxcorr", "prepare", str(source)]
    command += ["-o", str(output), "--tile", str(tile), "--workers", str(workers)]
    start, before = time.monotonic(), processor_time()
    process = subprocess.Popen(
        command,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    command_memory = worker_memory = 0.0
    while process.poll() is None:
        command_memory = max(command_memory, peak_memory(process.pid))
        for child in children_of(process.pid):
            worker_memory = max(worker_memory, peak_memory(child))
        time.sleep(0.05)
    if process.returncode:
        raise SystemExit(f"{' '.join(command)} ended with {process.returncode}")
    seconds, cpu = time.monotonic() - start, processor_time() - before
    return seconds, cpu, command_memory, worker_memory


def processor_time() -> float:
    """Returns the processor time of processes that have ended, in seconds."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def peak_memory(process: int) -> float:
    """Returns the largest resident memory of a process so far, in MB; 0 if it ended."""
    try:
        status = Path(f"/proc/{process}/status").read_text()
    except OSError:
        return 0.0
    for line in status.splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1e3
    return 0.0


def children_of(process: int) -> list[int]:
    """Returns the processes that a process has started."""
    try:
        tasks = list(Path(f"/proc/{process}/task").glob("*/children"))
        return [int(child) for path in tasks for child in path.read_text().split()]
    except OSError:
        return []


if __name__ == "__main__":
    tyro.cli(main)
