"""Figures that are computed from committed results, with the functions that print them.

The study of the loss is read with the functions of `results/summary.py` and of
`jaxcorr report`.
"""

import dataclasses
import functools
import math
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from scipy.interpolate import PchipInterpolator

from jaxcorr.evaluation import csv_tables, result_files
from jaxcorr.evaluation.results import EvaluationResult
from jaxcorr.report import ablation, rd_curves
from jaxcorr.report.tables import Table

ROOT = Path(__file__).resolve().parents[2]
sys.path += [str(ROOT / "benchmarks"), str(ROOT / "results")]
sys.path.append(str(ROOT / "results" / "demo"))

import measure as demo_measure  # noqa: E402
import summary  # noqa: E402

CORRELATION_WEIGHT = 0.1
"""α of the pairs that the table of the loss is about."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Block:
    """Figures of a page.

    Attributes:
      table: The figures.
      source: Sentence that names the command, in Markdown.
    """

    table: Table
    source: str


def loss() -> Block:
    """Returns what the loss changed in the longest runs of the study."""
    pairs = _longest_pairs()
    kodak = [ablation.cost_change(*pair) for pair in pairs]
    held_out = [ablation.held_out_change(*pair) for pair in pairs]
    seeds = {seed for evaluation, _ in pairs if (seed := evaluation.seed) is not None}
    rows = [
        ("bpp + λ MSE, held-out crops", [x for x in held_out if x is not None]),
        ("bpp + λ MSE, files of Kodak", kodak),
        ("BD-rate, files of Kodak", _bd_rates(pairs)),
        ("correlation left, held-out crops", _held_out_correlation_changes(pairs)),
        ("correlation left, files of Kodak", _median_correlation_changes(pairs)),
    ]
    return Block(
        table=Table(
            columns=("change by the loss", "mean", "lowest pair", "highest pair"),
            rows=tuple(
                (name, *(_percent(f(values)) for f in (np.mean, min, max)))
                for name, values in rows
            ),
        ),
        source=(
            f"{len(pairs)} pairs of models that differ only in α, the weight of the "
            f"correlation loss ({CORRELATION_WEIGHT:g} against 0). bpp is bits per "
            "pixel, λ weighs the squared error, and the BD-rate, in each of "
            f"{len(seeds)} seeds, is the change in bits at equal PSNR on Kodak's 24 "
            "photographs. Printed by `python results/summary.py` and "
            "`jaxcorr report results/kodak/long*.csv -o REPORT`."
        ),
    )


def demo() -> Block:
    """Returns rate and quality of the demo on Kodak, and the bytes of JPEG for it."""
    jpeg = demo_measure.classical_points(demo_measure.JPEG)
    log_rate = PchipInterpolator(
        [point.psnr_db for point in jpeg], [math.log(point.bpp) for point in jpeg]
    )
    rows = []
    for name, point in demo_measure.demo_points().items():
        change = point.bpp / math.exp(float(log_rate(point.psnr_db))) - 1
        cells = _cells(point.bpp, point.psnr_db, point.ms_ssim or 0)
        rows.append((name, *cells, f"{100 * change:+.0f} %"))
    return Block(
        table=Table(
            columns=("Kodak", "bpp", "PSNR (dB)", "MS-SSIM", "bytes against JPEG"),
            rows=tuple(rows),
        ),
        source=(
            "Means over 24 photographs. JPEG has 4:2:0 and the same PSNR, interpolated "
            "between its qualities. Measured by `python results/demo/measure.py KODAK` "
            "and `jaxcorr evaluate KODAK --codec jpeg`."
        ),
    )


def demo_rates() -> Block:
    """Returns the BD-rates of the demo and of WebP against JPEG."""
    return Block(
        table=demo_measure.comparison(),
        source=(
            "BD-rate on Kodak: the change in bits at equal quality. Printed by "
            "`python results/demo/measure.py`."
        ),
    )


@functools.cache
def _evaluations() -> list[EvaluationResult]:
    return result_files.read_results([summary.TABLES])


def _longest_pairs() -> list[summary.Pair]:
    """Returns the models with the loss of the longest runs, each with its pair."""
    trained = [each for each in _evaluations() if each.trained]
    steps = max(each.settings["steps"] for each in trained)
    return [
        (each, base)
        for each in trained
        if each.settings["steps"] == steps
        and each.correlation_weight == CORRELATION_WEIGHT
        and (base := ablation.without_loss(each, trained)) is not None
    ]


def _bd_rates(pairs: Sequence[summary.Pair]) -> list[float]:
    """Returns the BD-rate of the models with the loss, by seed, in percent."""
    both = [each for pair in pairs for each in pair]
    curves = rd_curves.group_into_curves(both, lambda x: f"{x.correlation_weight:g}")
    by_weight = {curve.name: curve for curve in curves}
    comparison = rd_curves.compare(
        by_weight["0"], by_weight[f"{CORRELATION_WEIGHT:g}"], "psnr_db", "pchip"
    )
    return list(comparison.rates)


def _held_out_correlation_changes(pairs: Sequence[summary.Pair]) -> list[float]:
    rows = csv_tables.read_rows(summary.TABLES / csv_tables.HELD_OUT)
    last = {row["model"]: float(row["correlation"]) for row in rows}
    names = [tuple(map(summary.model_name, pair)) for pair in pairs]
    return [summary.change(last[each], last[base]) for each, base in names]


def _median_correlation_changes(pairs: Sequence[summary.Pair]) -> list[float]:
    return [
        summary.change(each.median_correlation, base.median_correlation)
        for each, base in pairs
    ]


def _percent(value: float | np.floating) -> str:
    return f"{value:+.1f} %"


def _cells(bpp: float, psnr: float, ms_ssim: float) -> tuple[str, str, str]:
    return f"{bpp:.3f}", f"{psnr:.2f}", f"{ms_ssim:.3f}"
