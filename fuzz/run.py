"""Fuzzes what reads bytes of strangers, with Atheris, and keeps what was done.

    pip install atheris==3.0.0                      # Python 3.11 to 3.13, Linux
    python fuzz/run.py range_decoder --executions 5000000
    python fuzz/run.py image --minutes 10
    python fuzz/run.py                              # prints what was done so far

Targets are those of `targets.py`. A run starts from `targets.seeds`, and keeps a few
small inputs that cover more in `fuzz/corpus/TARGET`. Ctrl-C ends a run early, and what
was done counts. A failure ends it with status 1. Its bytes are in `fuzz/failures`, and
`python fuzz/run.py TARGET --input FILE` repeats it. Every failure becomes a test of the
project.
"""

import argparse
import csv
import datetime
import importlib.metadata
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from jaxcorr.report.tables import Table

FOLDER = Path(__file__).resolve().parent
CORPUS, FAILURES, TABLE = FOLDER / "corpus", FOLDER / "failures", FOLDER / "runs.csv"
COLUMNS = ("target", "date", "engine", "executions", "seconds", "corpus", "failures")
MAX_FILE, MAX_FILES = 4096, 40
"""Bytes of a file that is kept in a corpus, and the number of files."""
LIMITS = ("-timeout=20", "-rss_limit_mb=4096")
"""Seconds and memory of an execution, above which it is a failure."""
INTERRUPTED = 72
"""Status of libFuzzer after Ctrl-C."""


def main() -> int:
    """Fuzzes a target, or prints the table."""
    parser = argparse.ArgumentParser(description="Fuzzes what reads bytes.")
    parser.add_argument("target", nargs="?", help="name of a target in targets.py")
    parser.add_argument("--executions", type=int, default=0, help="number of inputs")
    parser.add_argument("--minutes", type=float, default=0, help="time limit")
    parser.add_argument("--input", type=Path, help="file to repeat")
    options = parser.parse_args()
    if options.target is None:
        print(comparison().as_markdown())
        return 0
    if options.input:
        import targets

        targets.run(targets.TARGETS[options.target], options.input.read_bytes())
        return 0
    command = [sys.executable, str(FOLDER / "one.py"), options.target]
    return fuzz(command, options)


def fuzz(command: list[str], options: argparse.Namespace) -> int:
    """Runs the fuzzer, keeps a part of its corpus and adds a row to the table."""
    kept = CORPUS / options.target
    kept.mkdir(parents=True, exist_ok=True)
    FAILURES.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        (work / "seeds").mkdir()
        (work / "found").mkdir()
        write_seeds(options.target, work / "seeds")
        limits = [f"-runs={options.executions}"] if options.executions else []
        limits += [f"-max_total_time={round(60 * options.minutes)}"]
        folders = map(str, (work / "found", work / "seeds", kept))
        stats = [*LIMITS, "-print_final_stats=1", f"-artifact_prefix={FAILURES}/"]
        log, begin = work / "log", time.perf_counter()
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ends the fuzzer alone.
        with log.open("w") as stream:
            status = subprocess.run(
                [*command, *limits, *stats, *folders], stderr=stream, check=False
            ).returncode
        text, passed = log.read_text(errors="replace"), time.perf_counter() - begin
        keep(work / "found", kept)
    print("\n".join(text.splitlines()[-40:]))
    failed = status not in (0, INTERRUPTED)
    executions = last_number(r"stat::number_of_executed_units: (\d+)", text)
    seconds = last_number(r"in (\d+) second", text) or round(passed)
    row = (
        options.target,
        datetime.date.today().isoformat(),
        f"atheris {importlib.metadata.version('atheris')}",
        executions,
        seconds,
        sum(1 for _ in kept.iterdir()),
        int(failed),
    )
    rows = [*read_table(), tuple(map(str, row))]
    with TABLE.open("w", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows([COLUMNS, *rows])
    return int(failed)


def write_seeds(target: str, folder: Path) -> None:
    """Writes the inputs to begin with."""
    import targets

    for number, data in enumerate(targets.seeds(target)):
        (folder / str(number)).write_bytes(data)


def keep(found: Path, kept: Path) -> None:
    """Copies the smallest new inputs to the corpus, as many as it may hold."""
    room = MAX_FILES - sum(1 for _ in kept.iterdir())
    for path in sorted(found.iterdir(), key=lambda path: path.stat().st_size)[:room]:
        if path.stat().st_size <= MAX_FILE:
            shutil.copy(path, kept / path.name[:12])


def last_number(pattern: str, text: str) -> int:
    """Returns the last number that a pattern finds; 0 without any."""
    return int((re.findall(pattern, text) or ["0"])[-1])


def read_table() -> Iterator[tuple[str, ...]]:
    """Yields the rows of the table."""
    if TABLE.is_file():
        with TABLE.open(newline="") as file:
            yield from map(tuple, [*csv.reader(file)][1:])


def comparison() -> Table:
    """Returns executions, rates and failures by target."""
    lines = []
    rows = [dict(zip(COLUMNS, row, strict=True)) for row in read_table()]
    for target in dict.fromkeys(row["target"] for row in rows):
        group = [row for row in rows if row["target"] == target]
        count, seconds, failures = (
            sum(int(row[name]) for row in group)
            for name in ("executions", "seconds", "failures")
        )
        rate = f"{count / max(seconds, 1):,.0f}"
        lines.append((target, f"{count:,}", rate, group[-1]["corpus"], str(failures)))
    return Table(
        columns=("target", "executions", "per second", "corpus", "failures"),
        rows=tuple(lines),
    )


if __name__ == "__main__":
    sys.exit(main())
