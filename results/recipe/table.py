"""Prints the comparison of the arms of `ablation.py`.

    python results/recipe/table.py

The cost of an image is bpp + λ MSE of its file, and a difference is the mean over
images of the logarithm of the ratio of two costs, in percent, with its standard error
over images. The difference between seeds is not in this error: compare with `seed-1`
and `seed-2`, which change nothing else.
"""

import csv
import functools
import math
import statistics
import sys
from collections.abc import Mapping
from pathlib import Path

import ablation

import jaxcorr
from jaxcorr.report.tables import Table

BASE = "base"
SETS = {"val": "BSDS500 val", "kodak": "Kodak", "other": "other kinds"}
Costs = Mapping[str, float]
"""Cost of each image, in bits per pixel, by its name."""


def main() -> None:
    """Prints a table in Markdown."""
    print(comparison().as_markdown())


def comparison() -> Table:
    """Returns the change of the cost by each arm, on each set of images.

    Raises:
      SystemExit: If the first arm was not measured.
    """
    arms = [name for name in ablation.ARMS if table_of(name).is_file()]
    if BASE not in arms:
        sys.exit(f"{table_of(BASE)} is missing: run ablation.py")
    return Table(
        columns=("arm", *SETS.values()),
        rows=tuple(
            (name, *(difference(costs(name, x), costs(BASE, x)) for x in SETS))
            for name in arms
        ),
    )


def table_of(arm: str) -> Path:
    """Returns the table of an arm."""
    return ablation.FOLDER / f"{arm}.csv"


def costs(arm: str, images: str) -> Costs:
    """Returns the cost of each image of a set."""
    weight = distortion_weight()
    with table_of(arm).open(newline="") as file:
        return {
            row["image"]: float(row["bpp"]) + weight * float(row["mse"])
            for row in csv.DictReader(file)
            if row["images"] == images
        }


@functools.cache
def distortion_weight() -> float:
    """Returns λ of the config, which is that of all arms."""
    (member,) = jaxcorr.load_config("demo").members
    return float(member.distortion_weight)


def difference(costs: Costs, others: Costs) -> str:
    """Returns the mean difference and its standard error, in percent."""
    if costs == others:
        return "0"
    ratios = [math.log(cost / others[image]) for image, cost in costs.items()]
    error = statistics.stdev(ratios) / math.sqrt(len(ratios))
    return f"{100 * math.expm1(statistics.mean(ratios)):+.2f} ± {100 * error:.2f} %"


if __name__ == "__main__":
    main()
