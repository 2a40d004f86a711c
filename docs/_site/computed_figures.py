"""Figures that are computed from committed results, with the functions that print them.

The study of the loss is read with the functions of `results/summary.py` and of
`jaxcorr report`. Predictions for TPUs are read with those of `benchmarks/roofline.py`.
"""

import dataclasses
import functools
import json
import math
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

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
import roofline  # noqa: E402
import summary  # noqa: E402

TPU_RESULTS = ROOT / "benchmarks" / "tpu_aot"
TPU_SOURCE = "Printed by `python benchmarks/tpu_aot.py --print-only`; nothing was run."
MINNEN = "minnen-192-320-16-bfloat16-data-8-{}-256"
"""Result of Minnen 192/320 with some implementations of layers."""
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
            columns=("change by the loss", "mean", "from", "to"),
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


def tpu_forms() -> Block:
    """Returns what a step takes with implementations of layers for TPUs and others."""
    forms = {
        "forms for other devices": _tpu(MINNEN.format("other")),
        "for TPUs, without phases": _tpu(MINNEN.format("plain")),
        "for TPUs": _tpu(MINNEN.format("tpu")),
    }
    rows = {
        "memory traffic an image (MB)": lambda x: f"{_per_image(x):.0f}",
        "arithmetic an image (GFLOP)": lambda x: f"{x['flops'] / x['batch'] / 1e9:.1f}",
        "the longer of arithmetic and memory, at peak (ms)": lambda x: _ms(
            max(roofline.bounds(x)[:2])
        ),
        "compiler's estimate (ms)": lambda x: _ms(roofline.compiler_seconds(x)),
    }
    return _tpu_block(
        ("Minnen 192/320, bfloat16, 16 crops of 256x256 a chip", *forms),
        [(name, *map(cell, forms.values())) for name, cell in rows.items()],
    )


def tpu_chips() -> Block:
    """Returns what a step takes on each of eight chips, for two models."""
    rows = []
    for name, result in _tpu_models().items():
        arithmetic, memory, links = roofline.bounds(result)
        estimate = roofline.compiler_seconds(result) or math.nan
        slow, fast = (
            result["batch"] / seconds
            for seconds in (estimate, roofline.predicted_seconds(result))
        )
        times = map(_ms, (arithmetic, memory, links, estimate))
        rows.append((name, *times, f"{slow:.0f} to {fast:.0f}", _largest_batch(name)))
    columns = (
        "8 chips, data-parallel, bfloat16",
        "arithmetic (ms)",
        "memory (ms)",
        "links (ms)",
        "compiler's estimate (ms)",
        "images/s a chip",
        "largest batch a chip",
    )
    return _tpu_block(columns, rows)


def tpu_utilization() -> Block:
    """Returns the share of the arithmetic in bounds and estimate of a step."""
    rows = []
    for name, result in _tpu_models().items():
        useful = _tpu(MINNEN.format("plain")) if name == "Minnen 192/320" else result
        arithmetic = roofline.bounds(useful)[0]
        totals = (
            max(roofline.bounds(result)[:2]),
            roofline.predicted_seconds(result),
            roofline.compiler_seconds(result) or math.nan,
        )
        rows.append(
            (name, *(f"{100 * arithmetic / seconds:.0f} %" for seconds in totals))
        )
    columns = (
        "share of arithmetic at peak, without zeros",
        "of the longer bound",
        "of bound and communication",
        "of the compiler's estimate",
    )
    return _tpu_block(columns, rows)


def tpu_scaling() -> Block:
    """Returns the speed of pods, at 16 images a chip."""
    pods = [
        _tpu(f"minnen-192-320-16-bfloat16-data-{chips}-tpu-256")
        for chips in (8, 64, 256)
    ]

    def speed(result: dict) -> float:
        images = result["chips"] * result["batch"]
        return images / roofline.predicted_seconds(result)

    rows = tuple(
        (
            str(pod["chips"]),
            f"{sum(x['bytes'] for x in pod['collectives'].values()) / 1e6:.0f}",
            f"{1e3 * roofline.bounds(pod)[2]:.2f}",
            f"{speed(pod):.0f}",
            f"{speed(pod) / speed(pods[0]):.1f}",
        )
        for pod in pods
    )
    columns = ("chips", "communication a step (MB)", "links (ms)", "images/s")
    return _tpu_block((*columns, "of 8 chips (times)"), rows)


def _tpu_block(columns: Sequence[str], rows: Sequence[tuple[str, ...]]) -> Block:
    """Returns figures that are predicted for TPUs."""
    table = Table(columns=tuple(columns), rows=tuple(rows))
    return Block(table=table, source=TPU_SOURCE)


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


def _tpu_models() -> dict[str, dict[str, Any]]:
    return {
        "Minnen 192/320": _tpu(MINNEN.format("tpu")),
        "Cheng 192": _tpu("cheng-192-16-bfloat16-data-8-tpu-256"),
    }


def _tpu(name: str) -> dict[str, Any]:
    return json.loads((TPU_RESULTS / f"{name}.json").read_text())


def _largest_batch(name: str) -> str:
    """Returns the largest batch, which only the program at half the batch tells."""
    if name != "Minnen 192/320":
        return ""
    half = _tpu("minnen-192-320-8-bfloat16-data-8-tpu-256")
    return str(roofline.largest_batch(_tpu_models()[name], half))


def _per_image(result: dict[str, Any]) -> float:
    return result["memory_traffic"] / result["batch"] / 1e6


def _ms(seconds: float | None) -> str:
    return "" if seconds is None else f"{1e3 * seconds:.1f}"


def _percent(value: float | np.floating) -> str:
    return f"{value:+.1f} %"


def _cells(bpp: float, psnr: float, ms_ssim: float) -> tuple[str, str, str]:
    return f"{bpp:.3f}", f"{psnr:.2f}", f"{ms_ssim:.3f}"
