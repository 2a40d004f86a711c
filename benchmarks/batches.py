"""Measures how fast `jaxcorr compress` and `decompress` convert a folder of images.

    python benchmarks/batches.py DIR [-m MODEL] [--jobs 1 3] [--against CLONE]

Runs both commands in new processes, with compiled programs in a cache, for each number
of files at once, and with the code of a clone of another version. They run in turns.
Prints the best and the median images per second of each, start of the process included,
its seconds of CPU time, and the ratio of its median to that of the first row.
"""

import dataclasses
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Annotated

import tyro
from tyro.conf import Positional

from jaxcorr import images

ROOT = Path(__file__).parent.parent
COMMANDS = ("compress", "decompress")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Settings:
    """What to convert, and with what."""

    folder: Positional[Path]
    """Folder of images."""
    model: Annotated[str, tyro.conf.arg(aliases=["-m"])] = "demo@1"
    """Model to code with."""
    jobs: tuple[int, ...] = ()
    """Numbers of files at once, in addition to the default."""
    against: Path | None = None
    """Folder with the code of another version, which is the first row."""
    rounds: int = 3
    """Turns of each alternative."""


def main(settings: Settings) -> None:
    """Prints a row for each command and alternative."""
    count = len(images.find_images(settings.folder))
    alternatives: dict[str, tuple[Path, list[str]]] = {}
    if settings.against is not None:
        alternatives["against"] = settings.against.resolve(), []
    for jobs in settings.jobs:
        alternatives[f"--jobs {jobs}"] = ROOT, ["--jobs", str(jobs)]
    alternatives["default"] = ROOT, []
    with tempfile.TemporaryDirectory() as folder:
        for code, options in alternatives.values():  # Fills the caches.
            convert(settings, Path(folder), code, options)
        times = {name: [] for name in alternatives}
        for _ in range(settings.rounds):
            for name, (code, options) in alternatives.items():
                times[name].append(convert(settings, Path(folder), code, options))
    header = "command", "alternative", "best/s", "median/s", "CPU s", "ratio"
    print("".join(f"{name:>12}" for name in header))
    for index, command in enumerate((*COMMANDS, "both")):
        first = None
        for name, rounds in times.items():
            rows = [one[index] for one in rounds]
            seconds, cpu_seconds = zip(*rows, strict=True)
            median = count / statistics.median(seconds)
            first = first or median
            values = count / min(seconds), median, min(cpu_seconds), median / first
            cells = "".join(f"{value:12.2f}" for value in values)
            print(f"{command:>12}{name:>12}{cells}")


def convert(
    settings: Settings, folder: Path, code: Path, options: list[str]
) -> list[tuple[float, float]]:
    """Returns the seconds and the CPU seconds of each command, and of both together."""
    coded, decoded = str(folder / "coded"), str(folder / "decoded")
    arguments = [str(settings.folder), "-o", coded], [coded, "-o", decoded]
    found = [
        run([command, *paths, "-m", settings.model, "--force", *options], folder, code)
        for command, paths in zip(COMMANDS, arguments, strict=True)
    ]
    return [*found, (sum(one[0] for one in found), sum(one[1] for one in found))]


def run(arguments: list[str], folder: Path, code: Path) -> tuple[float, float]:
    """Returns the seconds and the CPU seconds of a command in a new process."""
    cache = str(folder / "cache")
    environment = os.environ | {"PYTHONPATH": str(code), "XDG_CACHE_HOME": cache}
    environment.pop("JAX_COMPILATION_CACHE_DIR", None)
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    begin = time.perf_counter()
    subprocess.run(
        [sys.executable, "-m", "jaxcorr", *arguments],
        cwd=folder,
        env=environment,
        check=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    seconds = time.perf_counter() - begin
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    user, system = after.ru_utime - before.ru_utime, after.ru_stime - before.ru_stime
    return seconds, user + system


if __name__ == "__main__":
    main(tyro.cli(Settings))
