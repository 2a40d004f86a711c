"""What evaluations show, as tables."""

import dataclasses
from collections.abc import Sequence

import numpy as np

from jaxcorr.evaluation.formatting import COLUMNS, cell
from jaxcorr.evaluation.results import EvaluationResult
from jaxcorr.metrics.bjontegaard import MIN_OVERLAP
from jaxcorr.report import ablation, published
from jaxcorr.report.comparison import AnchorComparison
from jaxcorr.report.labels import Label
from jaxcorr.report.rd_curves import BDComparison, ComplexityPoint

SHOWN_OVERLAP = 0.25
"""Share of the range below which a difference of curves is not told as a number."""

HEADINGS = {
    "bpp": "bpp",
    "bpp_y": "y",
    "bpp_z": "z",
    "bpp_header": "header",
    "psnr_db": "PSNR dB",
    "ms_ssim": "MS-SSIM",
    "correlation": "correlation",
    "encode_seconds": "encode s",
    "decode_seconds": "decode s",
}
"""Columns of the table of points, with their headings."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Table:
    """A table; its first column holds names, the others numbers."""

    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]

    def as_markdown(self) -> str:
        """The table in Markdown."""
        rule = ("---", *("---:" for _ in self.columns[1:]))
        lines = [self.columns, rule, *self.rows]
        cells = ([cell.replace("|", "\\|") for cell in line] for line in lines)
        return "\n".join(f"| {' | '.join(line)} |" for line in cells)


def points(found: Sequence[EvaluationResult], label: Label) -> Table:
    """Means of each evaluation, by curve and rate."""
    first_of_curve = {
        label(each): index for index, each in reversed([*enumerate(found)])
    }
    order = sorted(
        found, key=lambda each: (first_of_curve[label(each)], each.mean["bpp"])
    )
    return Table(
        columns=("curve", "λ or quality", "seed", *HEADINGS.values()),
        rows=tuple(
            (
                label(each),
                _number(each.distortion_weight or each.quality),
                _number(each.seed),
                *(cell(each.mean.get(name), COLUMNS[name]) for name in HEADINGS),
            )
            for each in order
        ),
    )


def bd_table(findings: AnchorComparison) -> Table:
    """BD-rate and BD-PSNR of every curve, the best first, with their sources.

    Those that share little of their range are last, without numbers.
    """
    rows = []
    sources = {family.name: family.source for family in findings.published}
    ranked = sorted(
        findings.comparisons.items(),
        key=lambda item: (
            item[1]["psnr_db"].overlap < SHOWN_OVERLAP,
            np.mean(item[1]["psnr_db"].rates),
        ),
    )
    for name, by_quality in ranked:
        in_psnr, in_ms_ssim = by_quality["psnr_db"], by_quality.get("ms_ssim_db")
        rows.append(
            (
                name,
                _spread(in_psnr, "rates", "{:+.1f}"),
                _spread(in_psnr, "qualities", "{:+.2f}"),
                _spread(in_ms_ssim, "rates", "{:+.1f}"),
                f"{in_psnr.overlap:.0%}",
                sources.get(name, "measured here"),
            )
        )
    return Table(
        columns=(
            *("curve", "BD-rate %", "BD-PSNR dB", "BD-rate % (MS-SSIM)"),
            *("range shared", "source"),
        ),
        rows=tuple(rows),
    )


def complexity(findings: AnchorComparison) -> tuple[list[ComplexityPoint], Table]:
    """Rate saved against the anchor, and the time to encode and decode an image.

    Only of curves that share enough of their range with the anchor.
    """
    spots = []
    for family in findings.families:
        compared = findings.comparisons.get(family.name, {}).get("psnr_db")
        saved = -float(np.mean(compared.rates)) if compared else 0.0
        is_anchor = findings.anchor is not None and family.name == findings.anchor.name
        close = compared is not None and compared.overlap >= MIN_OVERLAP
        if family.seconds is not None and (close or is_anchor):
            spots.append(
                ComplexityPoint(name=family.name, seconds=family.seconds, saved=saved)
            )
    paper, _ = published_complexity()
    lines = [(spot, "measured here") for spot in spots]
    lines += [(spot, "the paper") for spot in paper]
    rows = tuple(
        (spot.name, f"{spot.saved:.2f}", f"{spot.seconds:.2f}", where)
        for spot, where in lines
    )
    table = Table(columns=("curve", "rate saved %", "seconds", "where"), rows=rows)
    return spots, table


def published_complexity() -> tuple[list[ComplexityPoint], str]:
    """The paper's table of complexity, and where it is from."""
    paper = published.load_published()["paper"]
    spots = [
        ComplexityPoint(name=n, saved=saved, seconds=s) for n, saved, s in paper["rows"]
    ]
    return spots, paper["source"]


def effects(found: Sequence[EvaluationResult], label: Label) -> Table:
    """Each model with the loss against the same without it."""
    rows = []
    for each in found:
        base = ablation.without_loss(each, found)
        if base is None or not each.has_cost:
            continue
        rows.append(
            (
                label(each),
                _number(each.distortion_weight),
                _number(each.seed),
                f"{ablation.cost_change(each, base):+.2f}",
                cell(ablation.held_out_change(each, base), "{:+.2f}"),
                f"{each.cost - base.cost:+.4f}",
                *(_change(each, base, name) for name in ("bpp_y", "bpp_z", "bpp")),
                f"{_mean(each, 'psnr_db') - _mean(base, 'psnr_db'):+.2f}",
                cell(base.median_correlation, "{:.4f}"),
                cell(each.median_correlation, "{:.4f}"),
            )
        )
    return Table(
        columns=(
            *("model", "λ", "seed", "cost %", "held out cost %", "cost bpp"),
            *("y %", "z %", "bpp %", "PSNR dB", "correlation without", "with"),
        ),
        rows=tuple(rows),
    )


def _spread(compared: BDComparison | None, name: str, form: str) -> str:
    """Mean over the seeds, with the lowest and the highest; where it can be told."""
    values = getattr(compared, name) if compared is not None else ()
    if compared is None or compared.overlap < SHOWN_OVERLAP or not values:
        return "-"
    mean = form.format(float(np.mean(values)))
    if len(values) == 1:
        return mean
    return f"{mean} ({form.format(min(values))} to {form.format(max(values))})"


def _change(each: EvaluationResult, base: EvaluationResult, name: str) -> str:
    before, after = base.mean.get(name), each.mean.get(name)
    if not before or after is None:
        return "-"
    return f"{100 * (after / before - 1):+.1f}"


def _mean(each: EvaluationResult, name: str) -> int | float:
    value = each.mean[name]
    assert value is not None
    return value


def _number(value: int | float | None) -> str:
    return "-" if value is None else f"{value:g}"
