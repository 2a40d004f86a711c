"""Prints the comparison of the arms of `ablation.py`, and the learning curves.

    python results/recipe/table.py

The cost of an image is bpp + λ MSE of its file, and a difference is the mean over
images of the logarithm of the ratio of two costs, in percent, with its standard error
over images. The difference between seeds is not in this error: compare with `seed-1`
and `seed-2`, which change nothing else. The last column is the share of the gap on
Kodak between the base and CompressAI's trained model of the same architecture, but
wider, that an arm closes: of the difference of log(bpp + λ MSE), with the MSE that
belongs to the mean PSNR, as that is what is published.
"""

import functools
import math
import statistics
import sys
from collections.abc import Mapping
from pathlib import Path

import ablation

import jaxcorr
from jaxcorr.evaluation import csv_tables
from jaxcorr.report import published
from jaxcorr.report.tables import Table

BASE = "base"
CURVE = ablation.FOLDER / "learning_curve.csv"
PUBLISHED = "compressai-mbt2018-mean_mse_cuda"
"""Key of the published curve that the arms are compared with."""
SETS = {"val": "BSDS500 val", "kodak": "Kodak", "other": "other kinds"}
Costs = Mapping[str, float]
"""Cost of each image, in bits per pixel, by its name."""


def main() -> None:
    """Prints both tables in Markdown."""
    print(comparison().as_markdown())
    print(learning_curve().as_markdown())


def comparison() -> Table:
    """Returns the change of the cost by each arm, on each set of images.

    Raises:
      SystemExit: If the first arm was not measured.
    """
    arms = [name for name in ablation.ARMS if table_of(name).is_file()]
    if BASE not in arms:
        sys.exit(f"{table_of(BASE)} is missing: run ablation.py")
    return Table(
        columns=("arm", *SETS.values(), "gap closed"),
        rows=tuple(
            (
                name,
                *(difference(costs(name, x), costs(BASE, x)) for x in SETS),
                f"{100 * gap_closed(name):.0f} %",
            )
            for name in arms
        ),
    )


def gap_closed(arm: str) -> float:
    """Returns the share of the gap from the base to the published curve on Kodak."""
    gap = math.log(kodak_cost(BASE) / published_cost())
    return math.log(kodak_cost(BASE) / kodak_cost(arm)) / gap


def kodak_cost(arm: str) -> float:
    """Returns the cost at the mean rate and the mean PSNR of an arm on Kodak."""
    table = csv_tables.read_rows(table_of(arm))
    rows = [row for row in table if row["images"] == "kodak"]
    log_mse = statistics.mean(math.log(float(row["mse"])) for row in rows)
    bpp = statistics.mean(float(row["bpp"]) for row in rows)
    return bpp + distortion_weight() * math.exp(log_mse)


def published_cost() -> float:
    """Returns the lowest cost of the points of the published curve."""
    curve = published.load_published()["curves"][PUBLISHED]
    points = zip(curve["bpp"], curve["psnr_rgb_db"], strict=True)
    return min(
        bpp + distortion_weight() * 255**2 / 10 ** (psnr / 10) for bpp, psnr in points
    )


def learning_curve() -> Table:
    """Returns the costs of jaxcorr and CompressAI by step (`learning_curve.py`)."""
    rows = [
        (int(row["step"]), float(row["jaxcorr"]), float(row["compressai"]))
        for row in csv_tables.read_rows(CURVE)
    ]
    return Table(
        columns=("step", "jaxcorr", "CompressAI", "change"),
        rows=tuple(
            (
                f"{step:,}",
                f"{ours:.3f}",
                f"{theirs:.3f}",
                f"{100 * math.log(ours / theirs):+.1f} %",
            )
            for step, ours, theirs in rows
        ),
    )


def table_of(arm: str) -> Path:
    """Returns the table of an arm."""
    return ablation.FOLDER / f"{arm}.csv"


def costs(arm: str, images: str) -> Costs:
    """Returns the cost of each image of a set."""
    weight = distortion_weight()
    return {
        row["image"]: float(row["bpp"]) + weight * float(row["mse"])
        for row in csv_tables.read_rows(table_of(arm))
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
