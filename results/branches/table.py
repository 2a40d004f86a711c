"""Prints what the arms of `study.py` changed.

    python results/branches/table.py

The cost of an image is bpp + λ MSE. A difference to the arm without the loss that
branches from the same checkpoint is the mean over images of the logarithm of the ratio
of two costs, in percent. The table has the mean over the pairs and, if there are
several, half of the 95 % interval of Student's t over them.
"""

import collections
import dataclasses
import math
import statistics
import sys
from collections.abc import Iterator
from pathlib import Path

import measure
import study
from scipy import stats

from jaxcorr.report.tables import Table

SETS = {"val": "BSDS500 val", "kodak": "Kodak", "other": "other kinds"}
BASE, CONFIDENCE = "published", 0.95


@dataclasses.dataclass(frozen=True, kw_only=True)
class Arm:
    """An arm from one checkpoint, on one set of images.

    Attributes:
      context: Context model.
      rate: λ.
      name: Name of the arm, with its α.
      images: Set of images.
      step: Checkpoint that it branches from.
      costs: Cost of each image, in bits per pixel.
    """

    context: str
    rate: float
    name: str
    images: str
    step: int
    costs: tuple[float, ...]


def main() -> None:
    """Prints a table in Markdown."""
    print(comparison().as_markdown())


def comparison() -> Table:
    """Returns the change of the cost by each arm, on each set of images.

    Raises:
      SystemExit: If nothing was measured.
    """
    arms = list(read_arms())
    if not arms:
        sys.exit(f"{study.FOLDER} has no table of an arm: run study.py")
    base = {key_of(arm): arm for arm in arms if arm.name == f"{BASE} 0"}
    changes: dict[tuple[str, float, str], dict[str, list[float]]] = {}
    for arm in arms:
        if arm.name == f"{BASE} 0" or key_of(arm) not in base:
            continue
        row = changes.setdefault(
            (arm.context, arm.rate, arm.name), collections.defaultdict(list)
        )
        row[arm.images].append(change(arm, base[key_of(arm)]))
    return Table(
        columns=("context", "λ", "arm and α", *SETS.values()),
        rows=tuple(
            (context, f"{rate:g}", name, *(interval(row[images]) for images in SETS))
            for (context, rate, name), row in changes.items()
        ),
    )


def read_arms() -> Iterator[Arm]:
    """Yields every arm that was measured."""
    for context, arms in study.ARMS.items():
        for rate in study.WEIGHTS:
            for name in arms:
                pattern = f"{context}-*-{rate:g}-{name}/*.csv"
                for table in sorted(study.FOLDER.glob(pattern)):
                    step = int(table.parent.name.split("-")[1])
                    yield from arms_of(table, context, rate, name, step)


def arms_of(
    table: Path, context: str, rate: float, name: str, step: int
) -> Iterator[Arm]:
    """Yields the arms of a table, one for each α."""
    rows = measure.read(table)
    for weight in sorted({row.weight for row in rows}):
        images = [row for row in rows if row.weight == weight]
        yield Arm(
            context=context,
            rate=rate,
            name=f"{name} {weight:g}",
            images=table.stem,
            step=step,
            costs=tuple(row.bpp_y + row.bpp_z + rate * row.mse for row in images),
        )


def key_of(arm: Arm) -> tuple[str, float, str, int]:
    """Returns what an arm shares with the arm without the loss."""
    return arm.context, arm.rate, arm.images, arm.step


def change(arm: Arm, base: Arm) -> float:
    """Returns the mean change of the cost, in percent."""
    pairs = zip(arm.costs, base.costs, strict=True)
    return 100 * statistics.mean(math.log(cost / other) for cost, other in pairs)


def interval(changes: list[float]) -> str:
    """Returns the mean and half of its interval, as text."""
    if not changes:
        return "-"
    mean = statistics.mean(changes)
    if len(changes) == 1:
        return f"{mean:+.2f} %"
    error = statistics.stdev(changes) / math.sqrt(len(changes))
    half = error * float(stats.t.ppf((1 + CONFIDENCE) / 2, len(changes) - 1))
    return f"{mean:+.2f} ± {half:.2f} %"


if __name__ == "__main__":
    main()
