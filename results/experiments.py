"""The study of the correlation loss: trains, evaluates and keeps what came out.

    python results/experiments.py --photographs BSDS --held-out VAL --kodak KODAK

prints and runs the command of every experiment in turn, and copies tables and training
curves into `results/`. An experiment whose tables are there is not run again; one that
was stopped goes on. `--only NAME…` runs some, in a process each if there are cores.
"""

import dataclasses
import json
import shlex
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import tyro

from jaxcorr import files

RESULTS = Path(__file__).resolve().parent
WITH_AND_WITHOUT = "--sweep.correlation-weight 0 0.1"
OTHER_WEIGHTS = "--sweep.correlation-weight 0.01 0.03 0.3 1"
LONG = "--steps 10000"
CURVE = "--sweep.distortion-weight 0.0018 0.0067 0.018 0.0483"

EXPERIMENTS = {
    # 1. Four rates, with and without the loss, from two seeds.
    "curves-0": ("study", f"{CURVE} {WITH_AND_WITHOUT} --sweep.seed 0"),
    "curves-1": ("study", f"{CURVE} {WITH_AND_WITHOUT} --sweep.seed 1"),
    # The same rates for longer: does what the loss changes last?
    "long": ("study", f"{LONG} {WITH_AND_WITHOUT}"),
    "long-0.0483": (
        "study",
        f"{LONG} --sweep.distortion-weight 0.0483 {WITH_AND_WITHOUT}",
    ),
    "long-others": (
        "study",
        f"{LONG} --sweep.distortion-weight 0.0018 0.018 {WITH_AND_WITHOUT}",
    ),
    # The second seed of those.
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
    # 3. What the paper leaves open.
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
"""Config, and what is changed in it, of every experiment, in their order."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Settings:
    """Where things are, and what to run."""

    photographs: Path
    """BSDS500's train and test sets, in one folder."""
    held_out: Path
    """BSDS500's validation set."""
    kodak: Path
    """The 24 Kodak photographs."""
    runs: Path = Path("runs/study")
    """Where run directories go."""
    only: tuple[str, ...] = ()
    """Names of experiments; all by default."""


def main(settings: Settings) -> None:
    """Runs what has no results yet."""
    unknown = set(settings.only) - set(EXPERIMENTS)
    if unknown:
        sys.exit(
            f"no experiment {', '.join(unknown)}; there are {', '.join(EXPERIMENTS)}"
        )
    for name in settings.only or EXPERIMENTS:
        results = RESULTS / "kodak" / name
        if results.is_dir():
            print(f"{name}: results are in {results}")
            continue
        config, changes = EXPERIMENTS[name]
        run = settings.runs / name
        execute(
            f"jaxcorr train {config} --workdir {run} {changes} "
            f"--data.source folder:{settings.photographs} "
            f"--data.held-out folder:{settings.held_out}"
        )
        execute(
            f"jaxcorr evaluate {settings.kodak} -m {run} "
            f"--checkpoint newest --json {run}/evaluation.json"
        )
        keep(run, results)


def execute(command: str) -> None:
    """Prints a command and runs it in the clone; ends with it if it fails."""
    print(f"$ {command}", flush=True)
    program, *words = shlex.split(command)
    subprocess.run([Path(sys.executable).with_name(program), *words], check=True)


def keep(run: Path, results: Path) -> None:
    """Copies tables and training curves."""
    with files.atomic_folder(results) as folder:
        shutil.copy(run / "held_out.jsonl", folder)
        for path in run.glob("evaluation*.json"):
            table = json.loads(path.read_text())
            model = table["model"]
            model["run"] = without_places(model["run"])
            model["path"] = Path(model["path"]).name
            (folder / path.name).write_text(json.dumps(table, indent=1) + "\n")


def without_places(config: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the settings of a run with the last names of paths only."""
    data = dict(config["data"])
    for field in ("source", "held_out"):
        kind, _, place = data[field].partition(":")
        data[field] = f"{kind}:{Path(place).name}"
    return {**config, "workdir": Path(config["workdir"]).name, "data": data}


if __name__ == "__main__":
    main(tyro.cli(Settings))
