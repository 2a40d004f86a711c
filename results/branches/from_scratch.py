"""Tests whether a codec that begins with the loss trains faster.

    python results/branches/from_scratch.py --photographs BSDS --held-out VAL

trains the hyperprior of `study.py` from random parameters: without the loss, and with
four times the weight `auto` that falls linearly to 0 over the run. Both have the same
initial parameters, crops and noise. Whole held-out images are evaluated along the way,
with averaged parameters. Keeps bpp and MSE of each evaluation beside this script, and
prints the change of bpp + λ MSE by the loss, and after how many steps both codecs reach
the higher one of their last costs.

A run that was stopped resumes. `--rates λ…` trains some of the runs, for example in a
process on each core. Without folders it prints what is kept.
"""

import dataclasses
import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import records
import study
import tyro

import jaxcorr
from jaxcorr import config, runtime
from jaxcorr.config import TrainConfig
from jaxcorr.report.tables import Table

WEIGHT = 4.0
"""α at the start, in multiples of the weight `auto`."""
SEEDS = (0, 1)
EVERY = 250


@dataclasses.dataclass(frozen=True, kw_only=True)
class Settings:
    """Folders of images and runs, and the length of the runs."""

    photographs: Path | None = None
    """The train and test sets of BSDS500, in one folder."""
    held_out: Path | None = None
    """The validation set of BSDS500."""
    runs: Path = Path("runs/branches")
    """Folder for the run directories."""
    rates: tuple[float, ...] = study.WEIGHTS
    """λ of each run."""
    steps: int = 2_000
    """Length of each run."""
    every: int = EVERY
    """Steps between two evaluations."""
    images: int = 24
    """Held-out images to evaluate."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Row:
    """An evaluation of a member of a run.

    Attributes:
      step: Steps taken.
      seed: Seed of the initial parameters and of the noise.
      weight: α at the start, in multiples of the weight `auto`.
      bpp: Bits per pixel of the held-out images.
      mse: Their mean squared error, on the 0-255 scale.
    """

    step: int
    seed: int
    weight: float
    bpp: float
    mse: float


def main(settings: Settings) -> None:
    """Trains where that is not done yet, and prints what is kept."""
    runtime.retain_freed_memory()
    if settings.photographs is not None and settings.held_out is not None:
        for rate in settings.rates:
            folders = study.Settings(
                photographs=settings.photographs,
                held_out=settings.held_out,
                runs=settings.runs,
            )
            run = run_config(rate, folders, settings)
            workdir = jaxcorr.train(run)
            rows = list(evaluations(workdir / "held_out.jsonl", run))
            records.write(table_of(rate), rows)
    print(comparison().as_markdown())


def run_config(rate: float, folders: study.Settings, settings: Settings) -> TrainConfig:
    """Returns the settings of the run with one λ."""
    trunk = study.trunk_config("none", folders, None)
    changes = {
        "steps": settings.steps,
        "workdir": str(folders.runs / "from_scratch" / f"{rate:g}"),
        "stages": (jaxcorr.StageConfig(correlation_weight_end=0.0),),
        "loss": {"weight": "auto"},
        "data": {"held_out_images": settings.images},
        "sweep": {
            "distortion_weight": rate,
            "correlation_weight": (0.0, WEIGHT),
            "seed": SEEDS,
        },
        "intervals": {"eval_every": settings.every, "checkpoint_every": settings.every},
    }
    return config.with_changes(trunk, changes)


def evaluations(log: Path, run: TrainConfig) -> Iterator[Row]:
    """Yields the evaluations of a run after its first step."""
    for line in log.read_text().splitlines():
        entry = json.loads(line)
        member = run.members[entry["member"]]
        if entry["step"]:
            yield Row(
                step=entry["step"],
                seed=member.seed,
                weight=float(member.correlation_weight),
                bpp=round(entry["bpp"], 6),
                mse=round(entry["mse"], 4),
            )


def table_of(rate: float) -> Path:
    """Returns the path of the table with one λ."""
    return study.FOLDER / f"from-scratch-{rate:g}.csv"


def comparison() -> Table:
    """Returns the change of the cost along the runs, for each λ and seed."""
    pairs = [
        (rate, seed, *curves(rows, rate, seed))
        for rate in study.WEIGHTS
        for rows in [records.read(table_of(rate), Row)]
        for seed in sorted({row.seed for row in rows})
    ]
    if not pairs:
        sys.exit(f"{study.FOLDER} has no table from-scratch-*: give both folders")
    steps = sorted({step for _, _, base, _ in pairs for step in quarters(list(base))})
    return Table(
        columns=(
            *("λ", "seed"),
            *(f"{step:,} steps" for step in steps),
            *("steps to equal cost without", "with"),
        ),
        rows=tuple(
            (
                f"{rate:g}",
                str(seed),
                *(change(base, arm, step) for step in steps),
                *(f"{steps_to(goal, curve):,.0f}" for curve in (base, arm)),
            )
            for rate, seed, base, arm in pairs
            for goal in [max(base[max(base)], arm[max(arm)])]
        ),
    )


def curves(
    rows: Sequence[Row], rate: float, seed: int
) -> tuple[dict[int, float], dict[int, float]]:
    """Returns the cost after each step, without the loss and with it."""
    base, arm = (
        {
            row.step: row.bpp + rate * row.mse
            for row in rows
            if row.seed == seed and row.weight == weight
        }
        for weight in (0.0, WEIGHT)
    )
    return base, arm


def quarters(steps: Sequence[int]) -> list[int]:
    """Returns four evaluated steps, at the quarters of a run."""
    return [steps[round(len(steps) * quarter / 4) - 1] for quarter in range(1, 5)]


def change(base: dict[int, float], arm: dict[int, float], step: int) -> str:
    """Returns the change of the cost after a step."""
    if step not in base or step not in arm:
        return "-"
    return f"{100 * (arm[step] / base[step] - 1):+.2f} %"


def steps_to(goal: float, curve: dict[int, float]) -> float:
    """Returns when a curve first reaches a cost, by linear interpolation.

    Args:
      goal: A cost that the curve reaches.
      curve: Cost after each step, in order.
    """
    before = None
    for step, cost in curve.items():
        if cost <= goal:
            if before is None:
                return step
            share = (before[1] - goal) / (before[1] - cost)
            return before[0] + share * (step - before[0])
        before = step, cost
    raise ValueError(f"the curve ends above {goal}")


if __name__ == "__main__":
    main(tyro.cli(Settings))
