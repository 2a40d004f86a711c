"""Prints the seconds and the peak memory of coding images of up to 200 megapixels.

    python benchmarks/large_images.py [-m MODEL…] [--compressai PYTHON] [--table FILE]

Images are PNG files with a packaged photograph, enlarged twice and repeated in mirrored
tiles. Each is encoded by a process and decoded to a PNG file by another, such as
`jaxcorr compress` and `jaxcorr decompress`. Seconds include the start of the process,
and are the least of some rounds, of which the first compiles programs; those of
CompressAI are of coding alone. Peak memory is the resident memory of the process, with
Python and its libraries. A row says what went wrong where a codec does not get as far.

Rows that the table has are kept, so the script goes on where it was interrupted. It
ends with all rows as a table in Markdown.
"""

import dataclasses
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import mosaics
import tyro

from jaxcorr import images
from jaxcorr.evaluation import csv_tables
from jaxcorr.evaluation.classical import CODECS
from jaxcorr.report.tables import Table

PEER = Path(__file__).parent / "peers" / "compressai_coding.py"
TABLE = Path(__file__).with_suffix(".csv")
ACTIONS = "encode", "decode"
KEYS = "codec", "megapixels", "memory"
COLUMNS = (
    *KEYS,
    *(f"{action}_{unit}" for action in ACTIONS for unit in ("seconds", "gigabytes")),
    "bytes",
    "failure",
)
QUALITIES = {"jpegxl": 3.0, "avif": 50.0}
UNTILED = "untiled"
"""In place of a limit of memory: no windows, so networks see the whole image."""
UNLIMITED = "1000GB"
"""A limit of memory that no image reaches."""
COMMAND = "from jaxcorr.cli.main import main; main()"
WITHOUT_WINDOWS = "from jaxcorr.bitstream import memory; memory.LARGEST_WINDOW = 2**40"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Settings:
    """Images and codecs to measure."""

    model: Annotated[tuple[str, ...], tyro.conf.arg(aliases=["-m"])] = ("demo",)
    """Models, or names of transforms with random parameters."""
    megapixels: tuple[float, ...] = (0.4, 2.0, 12.0, 24.0, 48.0, 200.0)
    """Sizes of the images."""
    classical: tuple[str, ...] = ("jpegxl", "avif")
    """Classical codecs."""
    compressai: Path | None = None
    """Python of an environment with CompressAI, for mbt2018-mean."""
    memory: tuple[str, ...] = ("",)
    """Limits of memory for the models, such as 2GB, or `untiled`."""
    rounds: int = 2
    """Runs of each process."""
    most: float = 16.0
    """Gigabytes of data that a process may take, so that the machine goes on."""
    table: Path | None = None
    """CSV file to read and write."""


def main(settings: Settings) -> None:
    """Prints a row for each codec and size."""
    rows = read_table(settings.table)
    found = {tuple(row[key] for key in KEYS) for row in rows}
    jobs = [
        (codec, megapixels, memory)
        for megapixels in settings.megapixels
        for codec, memory in alternatives(settings)
        if (codec, f"{megapixels:g}", memory) not in found
    ]
    with tempfile.TemporaryDirectory() as folder:
        for codec, megapixels, memory in jobs:
            image = Path(folder) / f"{megapixels:g}.png"
            if not image.exists():
                mosaics.write_mosaic(image, megapixels)
            if codec == "compressai" and settings.compressai is not None:
                row = measure_compressai(settings.compressai, image, settings.most)
            else:
                row = measure(codec, image, memory, settings)
            keys = {"codec": codec, "megapixels": f"{megapixels:g}", "memory": memory}
            rows.append(keys | row)
            print(rows[-1], file=sys.stderr)
            write_table(settings.table, rows)
    print(as_table(rows).as_markdown())


def comparison() -> Table:
    """Returns the table of the committed rows."""
    return as_table(read_table(TABLE))


def as_table(rows: Sequence[Mapping[str, Any]]) -> Table:
    """Returns rows with a line for each codec, size and limit of memory."""

    def cells(row: Mapping[str, Any], action: str) -> list[str]:
        values = [row.get(f"{action}_{unit}") for unit in ("gigabytes", "seconds")]
        if not any(values):
            return ["fails", ""]
        return [f"{float(value or 0):.{2 - i}f}" for i, value in enumerate(values)]

    untiled = {
        (row["codec"], row["megapixels"]): row
        for row in rows
        if row["memory"] == UNTILED
    }

    def ratios(row: Mapping[str, Any]) -> str:
        whole = untiled.get((row["codec"], row["megapixels"]))
        if whole is None or whole is row:
            return ""
        seconds = [f"{action}_seconds" for action in ACTIONS]
        if not all(row.get(x) and whole.get(x) for x in seconds):
            return ""
        return ", ".join(f"{float(row[x]) / float(whole[x]):.2f}" for x in seconds)

    return Table(
        columns=(
            "codec",
            "megapixels",
            "`--memory`",
            *(f"{action} ({unit})" for action in ACTIONS for unit in ("GB", "s")),
            "seconds / untiled",
        ),
        rows=tuple(
            (
                str(row["codec"]),
                str(row["megapixels"]),
                str(row["memory"] or ""),
                *(cell for action in ACTIONS for cell in cells(row, action)),
                ratios(row),
            )
            for row in rows
        ),
    )


def alternatives(settings: Settings) -> list[tuple[str, str]]:
    """Returns codecs with limits of memory."""
    found = [(model, memory) for model in settings.model for memory in settings.memory]
    found += [(codec, "") for codec in settings.classical]
    return found + ([("compressai", "")] if settings.compressai is not None else [])


def read_table(path: Path | None) -> list[dict[str, str]]:
    """Returns the rows of a table; none if there is no such file."""
    return [] if path is None else csv_tables.read_rows(path)


def write_table(path: Path | None, rows: Sequence[dict]) -> None:
    """Writes the rows, in order of the codecs and sizes."""
    if path is None:
        return
    names = list(dict.fromkeys(row["codec"] for row in rows))
    ordered = sorted(
        rows, key=lambda row: (names.index(row["codec"]), float(row["megapixels"]))
    )
    csv_tables.write_rows(path, ordered)


def measure(codec: str, image: Path, memory: str, settings: Settings) -> dict:
    """Returns seconds, memory and bytes of a codec, each in a process of its own."""
    coded, decoded = image.with_suffix(".jxc"), image.with_name("decoded.png")
    places = {"encode": (image, coded), "decode": (coded, decoded)}
    row: dict = {}
    for action, (source, target) in places.items():
        if codec in CODECS:
            command = [__file__, action, codec, str(source), str(target)]
        else:
            model = mosaics.find_model(codec, image.parent)
            limit = (
                ["--memory", UNLIMITED if memory == UNTILED else memory]
                if memory
                else []
            )
            code = f"{WITHOUT_WINDOWS}; {COMMAND}" if memory == UNTILED else COMMAND
            name = "compress" if action == "encode" else "decompress"
            command = ["-c", code, name, str(source), "-m", model, "-o", str(target)]
            command += ["--force", "--quiet", *limit]
            command += ["--max-megapixels", "1000"] if action == "encode" else []
        rounds = []
        for _ in range(settings.rounds):
            rounds.append(run([sys.executable, *command], settings.most))
            if "failure" in rounds[-1]:
                return row | rounds[-1]
        row["bytes"] = coded.stat().st_size
        row[f"{action}_seconds"] = min(one["seconds"] for one in rounds)
        row[f"{action}_gigabytes"] = max(one["gigabytes"] for one in rounds)
    return row


def run(command: list[str], most: float) -> dict:
    """Returns seconds and gigabytes of a process, or what went wrong."""

    def limit() -> None:
        size = int(most * 1e9)
        resource.setrlimit(resource.RLIMIT_DATA, (size, size))

    with tempfile.TemporaryFile() as errors:
        start = time.perf_counter()
        process = subprocess.Popen(
            command, stdout=subprocess.DEVNULL, stderr=errors, preexec_fn=limit
        )
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - start
        errors.seek(0)
        lines = errors.read().decode(errors="replace").strip().splitlines()
    if status:
        return {"failure": (lines or [f"status {status}"])[-1][:120]}
    gigabytes = usage.ru_maxrss * 1024 / 1e9
    return {"seconds": round(seconds, 2), "gigabytes": round(gigabytes, 2)}


def measure_compressai(python: Path, image: Path, most: float) -> dict:
    """Returns seconds of mbt2018-mean with random weights, and the memory of both."""
    weights = image.with_name("weights.npz")
    command = [str(python), str(PEER)]
    arguments = ["mbt2018-mean", str(weights)]
    subprocess.run([*command, "weights", *arguments], check=True, capture_output=True)
    code = (
        "import resource, runpy, sys; sys.argv = sys.argv[1:]; "
        f"resource.setrlimit(resource.RLIMIT_DATA, ({int(most * 1e9)},) * 2); "
        "runpy.run_path(sys.argv[0], run_name='__main__'); "
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)"
    )
    command = [str(python), "-c", code, str(PEER), "time", *arguments, str(image)]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    if result.returncode:
        lines = result.stderr.strip().splitlines() or [f"status {result.returncode}"]
        return {"failure": lines[-1][:120]}
    seconds, peak = result.stdout.splitlines()[-2:]
    row = {}
    for action, (value,) in json.loads(seconds).items():
        row[f"{action}_seconds"] = round(value, 2)
        row[f"{action}_gigabytes"] = round(int(peak) * 1024 / 1e9, 2)
    return row


def code_classically(action: str, codec: str, source: Path, target: Path) -> None:
    """Encodes an image, or decodes a file to an image."""
    images.limit_megapixels(1000)
    if action == "encode":
        pixels: Any = images.read(source).rgb
        target.write_bytes(CODECS[codec].encode(pixels, QUALITIES[codec]))
    else:
        images.write_image(target, CODECS[codec].decode(source.read_bytes()))


if __name__ == "__main__":
    if sys.argv[1:2] in (["encode"], ["decode"]):
        action, codec, source, target = sys.argv[1:5]
        code_classically(action, codec, Path(source), Path(target))
    else:
        main(tyro.cli(Settings))
