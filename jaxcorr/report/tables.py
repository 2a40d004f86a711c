"""Tables of a report."""

import dataclasses
from collections.abc import Sequence

import numpy as np

from jaxcorr.evaluation.formatting import COLUMNS, format_value
from jaxcorr.evaluation.results import EvaluationResult
from jaxcorr.report import ablation
from jaxcorr.report.comparison import AnchorComparison
from jaxcorr.report.complexity import ComplexityPoint
from jaxcorr.report.labels import Label
from jaxcorr.report.rd_curves import BDComparison

MIN_SHOWN_OVERLAP = 0.25
"""Shared part of the range below which a difference of curves is shown as a dash."""

UNKNOWN_DEVICE = "not known"
"""Device of results of earlier versions."""

POINT_COLUMNS = tuple(column for column in COLUMNS if column.report_heading)
EFFECT_COLUMNS = (
    "model",
    "λ",
    "seed",
    "cost %",
    "held out cost %",
    "cost bpp",
    "y %",
    "z %",
    "bpp %",
    "PSNR dB",
    "correlation without",
    "with",
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Table:
    """A table whose first column holds names and whose other columns hold numbers."""

    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]

    def as_markdown(self) -> str:
        """Returns the table in Markdown."""
        rule = ("---", *("---:" for _ in self.columns[1:]))
        lines = [self.columns, rule, *self.rows]
        cells = ([cell.replace("|", "\\|") for cell in line] for line in lines)
        return "\n".join(f"| {' | '.join(line)} |" for line in cells)


def devices(evaluations: Sequence[EvaluationResult]) -> list[str]:
    """Returns the devices, in words, that times were measured on."""
    timed = [evaluation for evaluation in evaluations if evaluation.is_timed]
    return [*dict.fromkeys(_device(evaluation) for evaluation in timed)]


def points(evaluations: Sequence[EvaluationResult], label: Label) -> Table:
    """Returns the mean metrics of each evaluation, by curve and by ascending rate.

    If times were measured on several devices, the last column has the device.
    """
    names_device = len(devices(evaluations)) > 1
    curves = [*dict.fromkeys(label(evaluation) for evaluation in evaluations)]
    ordered = sorted(evaluations, key=lambda e: (curves.index(label(e)), e.mean["bpp"]))
    rows = []
    for evaluation in ordered:
        mean = evaluation.mean
        metrics = [format_value(mean.get(c.name), c.template) for c in POINT_COLUMNS]
        rows.append(
            (
                label(evaluation),
                _number(evaluation.distortion_weight or evaluation.quality),
                _number(evaluation.seed),
                *metrics,
                *([_device(evaluation)] if names_device else []),
            )
        )
    headings = [str(column.report_heading) for column in POINT_COLUMNS]
    headings += ["device"] if names_device else []
    return Table(columns=("curve", "λ or quality", "seed", *headings), rows=tuple(rows))


def bd_table(comparison: AnchorComparison) -> Table:
    """Returns BD-rate and BD-PSNR of every curve by ascending BD-rate.

    Curves that share too little of their range come last, without numbers.
    """
    rows = []
    sources = {curve.name: curve.source for curve in comparison.published}
    ranked = sorted(
        comparison.comparisons.items(),
        key=lambda item: (
            item[1]["psnr_db"].overlap < MIN_SHOWN_OVERLAP,
            np.mean(item[1]["psnr_db"].rates),
        ),
    )
    for name, by_quality in ranked:
        in_psnr, in_ms_ssim = by_quality["psnr_db"], by_quality.get("ms_ssim_db")
        rows.append(
            (
                name,
                _mean_and_range(in_psnr, in_psnr.rates, "{:+.1f}"),
                _mean_and_range(in_psnr, in_psnr.qualities, "{:+.2f}"),
                _mean_and_range(in_ms_ssim, in_ms_ssim.rates, "{:+.1f}")
                if in_ms_ssim
                else "-",
                f"{in_psnr.overlap:.0%}",
                sources.get(name, "measured here"),
            )
        )
    return Table(
        columns=(
            "curve",
            "BD-rate %",
            "BD-PSNR dB",
            "BD-rate % (MS-SSIM)",
            "range shared",
            "source",
        ),
        rows=tuple(rows),
    )


def complexity(
    measured: Sequence[ComplexityPoint], published: Sequence[ComplexityPoint]
) -> Table:
    """Returns the saved rate and the coding time of every codec."""
    sources = [(measured, "measured here"), (published, "the paper")]
    rows = tuple(
        (point.name, f"{point.saved:.2f}", f"{point.seconds:.2f}", source)
        for points, source in sources
        for point in points
    )
    return Table(columns=("curve", "rate saved %", "seconds", "where"), rows=rows)


def loss_effects(evaluations: Sequence[EvaluationResult], label: Label) -> Table:
    """Returns the difference of each model with the loss to the same without it."""
    rows = []
    for evaluation in evaluations:
        base = ablation.without_loss(evaluation, evaluations)
        if base is None or not evaluation.has_cost:
            continue
        psnr_change = _known_mean(evaluation, "psnr_db") - _known_mean(base, "psnr_db")
        held_out_change = ablation.held_out_change(evaluation, base)
        rows.append(
            (
                label(evaluation),
                _number(evaluation.distortion_weight),
                _number(evaluation.seed),
                f"{ablation.cost_change(evaluation, base):+.2f}",
                format_value(held_out_change, "{:+.2f}"),
                f"{evaluation.cost - base.cost:+.4f}",
                _percent_change(evaluation, base, "bpp_y"),
                _percent_change(evaluation, base, "bpp_z"),
                _percent_change(evaluation, base, "bpp"),
                f"{psnr_change:+.2f}",
                format_value(base.median_correlation, "{:.4f}"),
                format_value(evaluation.median_correlation, "{:.4f}"),
            )
        )
    return Table(columns=EFFECT_COLUMNS, rows=tuple(rows))


def _device(evaluation: EvaluationResult) -> str:
    return evaluation.environment.hardware() or UNKNOWN_DEVICE


def _mean_and_range(
    comparison: BDComparison, differences: Sequence[float], template: str
) -> str:
    """Returns mean, minimum and maximum over the seeds, or a dash without overlap."""
    if comparison.overlap < MIN_SHOWN_OVERLAP or not differences:
        return "-"
    mean = template.format(float(np.mean(differences)))
    if len(differences) == 1:
        return mean
    lowest, highest = map(template.format, (min(differences), max(differences)))
    return f"{mean} ({lowest} to {highest})"


def _percent_change(
    evaluation: EvaluationResult, base: EvaluationResult, metric: str
) -> str:
    before, after = base.mean.get(metric), evaluation.mean.get(metric)
    if not before or after is None:
        return "-"
    return f"{100 * (after / before - 1):+.1f}"


def _known_mean(evaluation: EvaluationResult, metric: str) -> int | float:
    value = evaluation.mean[metric]
    assert value is not None
    return value


def _number(value: int | float | None) -> str:
    return format_value(value, "{:g}")
