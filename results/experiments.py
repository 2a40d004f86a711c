"""The study of the correlation loss: trains, evaluates and keeps the tables.

    python results/experiments.py --photographs BSDS --held-out VAL --kodak KODAK

prints and runs the commands of every experiment in turn and keeps its measurements as
CSV in `results/kodak`. An experiment that has a table there is not run again, and an
experiment that was stopped resumes. `--only NAME…` runs some, for example in several
processes on several cores.
"""

import dataclasses
import shlex
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import tyro

from jaxcorr import run_directory
from jaxcorr.evaluation import csv_tables, held_out, result_files

TABLES = Path(__file__).resolve().parent / "kodak"
WITH_AND_WITHOUT = "--sweep.correlation-weight 0 0.1"
OTHER_WEIGHTS = "--sweep.correlation-weight 0.01 0.03 0.3 1"
LONG = "--steps 10000"
CURVE = "--sweep.distortion-weight 0.0018 0.0067 0.018 0.0483"

EXPERIMENTS = {
    # 1. Four rates, with and without the loss, from two seeds.
    "curves-0": ("study", f"{CURVE} {WITH_AND_WITHOUT} --sweep.seed 0"),
    "curves-1": ("study", f"{CURVE} {WITH_AND_WITHOUT} --sweep.seed 1"),
    # The same rates with longer training: do the changes last?
    "long": ("study", f"{LONG} {WITH_AND_WITHOUT}"),
    "long-0.0483": (
        "study",
        f"{LONG} --sweep.distortion-weight 0.0483 {WITH_AND_WITHOUT}",
    ),
    "long-others": (
        "study",
        f"{LONG} --sweep.distortion-weight 0.0018 0.018 {WITH_AND_WITHOUT}",
    ),
    # The second seed of the long runs.
    "long-seed-1": (
        "study",
        f"{LONG} --sweep.seed 1 --sweep.distortion-weight 0.0067 0.018 "
        + WITH_AND_WITHOUT,
    ),
    "long-seed-1-others": (
        "study",
        f"{LONG} --sweep.seed 1 --sweep.distortion-weight 0.0018 0.0483 "
        + WITH_AND_WITHOUT,
    ),
    # 2. Weights, at two rates.
    "weights-low": ("study", OTHER_WEIGHTS),
    "weights-high": ("study", f"--sweep.distortion-weight 0.018 {OTHER_WEIGHTS}"),
    # 3. Choices of which we do not know the paper's.
    "quantized": ("study", "--loss.correlated quantized"),
    "scale-stopped": ("study", "--loss.stop-scale-gradient"),
    "channels": ("study", "--loss.no-pool-channels"),
    "straight-through": (
        "study",
        "--step.quantization straight_through --loss.correlated quantized "
        + WITH_AND_WITHOUT,
    ),
    # 4. Other context models.
    "checkerboard": ("study:checkerboard", WITH_AND_WITHOUT),
    "charm": ("study:charm", WITH_AND_WITHOUT),
    "autoregressive": ("study:autoregressive", WITH_AND_WITHOUT),
    # 5. Masks and windows. A window of 9 needs larger crops, and so another budget.
    "mask-short-cross": ("study", "--loss.mask short_cross"),
    "mask-box": ("study", "--loss.mask box"),
    "mask-long-cross": ("study", "--loss.mask long_cross"),
    "window-3": ("study", "--loss.window 3"),
    "window-7": ("study", "--loss.window 7"),
}
"""Name of every experiment: its config and the settings that it changes."""

CLASSICAL = "classical"
CLASSICAL_CODECS = ("avif", "jpeg2000", "jpeg", "webp")
"""Codecs that are evaluated once, of which only means over the images are kept."""

HELD_OUT_STRIDE = 2
"""Every second evaluation on held-out crops is kept, counted back from the last."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Settings:
    """Folders of images and runs, and the experiments to run."""

    photographs: Path
    """The train and test sets of BSDS500, in one folder."""
    held_out: Path
    """The validation set of BSDS500."""
    kodak: Path
    """The 24 Kodak photographs."""
    runs: Path = Path("runs/study")
    """Folder for the run directories."""
    only: tuple[str, ...] = ()
    """Names of experiments; all by default."""


def main(settings: Settings) -> None:
    """Runs the experiments that have no table yet."""
    names = [*EXPERIMENTS, CLASSICAL]
    unknown = set(settings.only) - set(names)
    if unknown:
        sys.exit(f"no experiment {', '.join(unknown)}; there are {', '.join(names)}")
    for name in settings.only or names:
        table = TABLES / f"{name}.csv"
        run = settings.runs / name
        if table.is_file():
            print(f"{name}: results are in {table}")
        elif name == CLASSICAL:
            for codec in CLASSICAL_CODECS:
                execute(
                    f"jaxcorr evaluate {settings.kodak} --codec {codec} "
                    f"--json {run}/{codec}.json"
                )
            keep_means(run, table)
        else:
            config, changes = EXPERIMENTS[name]
            execute(
                f"jaxcorr train {config} --workdir {run} {changes} "
                f"--data.source folder:{settings.photographs} "
                f"--data.held-out folder:{settings.held_out}"
            )
            execute(
                f"jaxcorr evaluate {settings.kodak} -m {run} "
                f"--checkpoint newest --json {run}/evaluation.json"
            )
            keep(run, table)


def execute(command: str) -> None:
    """Prints a command and runs it with this Python; exits with it if it fails."""
    print(f"$ {command}", flush=True)
    program, *words = shlex.split(command)
    subprocess.run([Path(sys.executable).with_name(program), *words], check=True)


def keep(run: Path, table: Path) -> None:
    """Converts the evaluations and held-out metrics of a run to CSV.

    Args:
      run: Run directory with `evaluation.json` and `held_out.jsonl`.
      table: CSV file with a row per model and image. `runs.csv` and `held_out.csv`
        beside it get the rows of the run.
    """
    evaluations = result_files.load_json([run / result_files.RESULTS_FILE])
    log = list(held_out.read_log(run / run_directory.HELD_OUT_LOG))
    for evaluation in evaluations:
        model = evaluation["model"]
        model["run"] = without_folders(model["run"])
        model["path"] = Path(model["path"]).name
        member = int(model["path"].partition("@")[2] or 0)
        history = [row for row in log if row.get("member", 0) == member]
        first = (len(history) - 1) % HELD_OUT_STRIDE
        held_out.write_history(
            table.with_name(csv_tables.HELD_OUT),
            model["path"],
            history[first::HELD_OUT_STRIDE],
        )
    csv_tables.write_tables(table, evaluations)


def keep_means(folder: Path, table: Path) -> None:
    """Converts evaluations of classical codecs to CSV, with one row of means each."""
    paths = sorted(folder.glob("*.json"))
    csv_tables.write_means(table, result_files.load_json(paths))


def without_folders(config: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the settings of a run with paths reduced to their last name."""
    data = dict(config["data"])
    for field in ("source", "held_out"):
        kind, _, folder = data[field].partition(":")
        data[field] = f"{kind}:{Path(folder).name}"
    return {**config, "workdir": Path(config["workdir"]).name, "data": data}


if __name__ == "__main__":
    main(tyro.cli(Settings))
