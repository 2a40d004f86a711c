"""Measures how fast `jaxcorr compress` and `decompress` convert a folder of images.

    python benchmarks/batches.py DIR [-m MODEL] [--jobs 1 3] [--against CLONE]
    PEER benchmarks/peers/compressai_batch.py weights FILE.pth
    jaxcorr import-compressai FILE.pth --architecture mbt2018-mean -o MODEL
    python benchmarks/batches.py DIR -m MODEL --compressai PEER --weights FILE.pth

Runs both commands in new processes, with compiled programs in a cache, for each number
of files at once, with the code of a clone of another version, and by CompressAI with
the Python of an environment of its own. They run in turns. Prints the best and the
median images per second of each, start of the process included, its seconds of CPU
time, and the ratio of its median to that of the first row.
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
PEER = Path(__file__).parent / "peers" / "compressai_batch.py"
COMPRESSAI = "CompressAI"
COMMANDS = ("compress", "decompress")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Settings:
    """Images, model and batch sizes of the measurement."""

    folder: Positional[Path]
    """Folder of images."""
    model: Annotated[str, tyro.conf.arg(aliases=["-m"])] = "demo@1"
    """Model to code with."""
    jobs: tuple[int, ...] = ()
    """Numbers of files at once, in addition to the default."""
    against: Path | None = None
    """Folder with the code of another version, which is the first row."""
    compressai: Path | None = None
    """Python with CompressAI, which then is the first row."""
    weights: Path | None = None
    """The model as weights of CompressAI."""
    rounds: int = 3
    """Turns of each alternative."""


@dataclasses.dataclass(frozen=True)
class Alternative:
    """A program that converts folders.

    Attributes:
      command: Start of its command line, before the name of a command.
      options: Options of `jaxcorr`, or the weights of CompressAI, which come first.
      code: Folder of its modules.
      is_peer: Whether it is CompressAI.
    """

    command: tuple[str, ...]
    options: tuple[str, ...] = ()
    code: Path = ROOT
    is_peer: bool = False

    def arguments(self, action: str, source: str, target: str) -> list[str]:
        """Returns the command line that converts a folder."""
        if self.is_peer:
            return [*self.command, action, *self.options, source, target]
        return [*self.command, action, source, "-o", target, "--force", *self.options]


def list_alternatives(settings: Settings) -> dict[str, Alternative]:
    """Returns what is compared, by the names of the rows."""
    jaxcorr = sys.executable, "-m", "jaxcorr"
    folder = Path(settings.model)
    model = "-m", str(folder.absolute()) if folder.exists() else settings.model
    found = {}
    if settings.compressai is not None:
        command = str(settings.compressai.absolute()), str(PEER)
        weights = str(settings.weights and settings.weights.absolute())
        found[COMPRESSAI] = Alternative(command, (weights,), is_peer=True)
    if settings.against is not None:
        found["against"] = Alternative(jaxcorr, model, settings.against.absolute())
    for jobs in settings.jobs:
        found[f"--jobs {jobs}"] = Alternative(jaxcorr, (*model, "--jobs", str(jobs)))
    return found | {"default": Alternative(jaxcorr, model)}


def main(settings: Settings) -> None:
    """Prints a row for each command and alternative."""
    count = len(images.find_images(settings.folder))
    alternatives = list_alternatives(settings)
    with tempfile.TemporaryDirectory() as name:
        folders = {key: Path(name) / key for key in alternatives}
        for key, alternative in alternatives.items():
            folders[key].mkdir()
            if not alternative.is_peer:  # Fills caches; CompressAI has none.
                convert(settings.folder, folders[key], alternative)
        times = {key: [] for key in alternatives}
        for _ in range(settings.rounds):
            for key, alternative in alternatives.items():
                times[key].append(convert(settings.folder, folders[key], alternative))
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
    images_folder: Path, folder: Path, alternative: Alternative
) -> list[tuple[float, float]]:
    """Returns the seconds and the CPU seconds of each command, and of both together."""
    source, coded, decoded = images_folder, folder / "coded", folder / "decoded"
    pairs = (source.absolute(), coded), (coded, decoded)
    found = [
        run(alternative.arguments(action, *map(str, pair)), folder, alternative.code)
        for action, pair in zip(COMMANDS, pairs, strict=True)
    ]
    return [*found, (sum(one[0] for one in found), sum(one[1] for one in found))]


def run(command: list[str], folder: Path, code: Path) -> tuple[float, float]:
    """Returns the seconds and the CPU seconds of a command in a new process."""
    cache = str(folder / "cache")
    environment = os.environ | {"PYTHONPATH": str(code), "XDG_CACHE_HOME": cache}
    environment.pop("JAX_COMPILATION_CACHE_DIR", None)
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    begin = time.perf_counter()
    subprocess.run(
        command,
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
