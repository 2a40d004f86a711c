"""Compares the rate-distortion curves of evaluations with an anchor."""

import dataclasses
from collections.abc import Sequence

from jaxcorr.errors import UserError
from jaxcorr.evaluation.results import EvaluationResult
from jaxcorr.metrics.bjontegaard import MIN_POINTS, Interpolation, NoOverlap
from jaxcorr.report import published, rd_curves
from jaxcorr.report.labels import Label, curve_labels
from jaxcorr.report.rd_curves import BDComparison, Quality, RDCurve

BDComparisons = dict[str, dict[Quality, BDComparison]]


@dataclasses.dataclass(frozen=True, kw_only=True)
class AnchorComparison:
    """Evaluations grouped into curves, each compared with an anchor.

    Attributes:
      evaluations: All evaluations.
      label: Returns the name of the curve of an evaluation.
      curves: Curves of the evaluations.
      published: Published curves on the same images.
      anchor: Curve that the others are compared with; None if none can be compared.
      comparisons: Comparisons in PSNR and MS-SSIM by the name of the curve, where
        they are possible.
      notes: Reasons why comparisons are doubtful or impossible.
      interpolation: Interpolation between the points of a curve.
    """

    evaluations: Sequence[EvaluationResult]
    label: Label
    curves: Sequence[RDCurve]
    published: Sequence[RDCurve]
    anchor: RDCurve | None
    comparisons: BDComparisons
    notes: tuple[str, ...]
    interpolation: Interpolation


def compare_with_anchor(
    evaluations: Sequence[EvaluationResult],
    *,
    anchor: str | None,
    interpolation: Interpolation,
) -> AnchorComparison:
    """Groups evaluations into curves and compares the curves with an anchor.

    Args:
      evaluations: Evaluations on the same images.
      anchor: Name of the anchor, or a part of it; by default the first curve without
        the loss that has enough points.
      interpolation: Interpolation between the points of a curve.

    Raises:
      UserError: If `anchor` does not name exactly one curve, or if no curve can be
        compared with it.
    """
    label = curve_labels(evaluations)
    curves = rd_curves.group_into_curves(evaluations, label)
    others = published.published_curves() if published.are_kodak(evaluations) else []
    if anchor:
        anchor_curve = rd_curves.find_curve(anchor, [*curves, *others])
        if anchor_curve.length < MIN_POINTS:
            raise UserError(
                f"anchor {anchor_curve.name} has {anchor_curve.length} points, but a "
                f"comparison of curves needs at least {MIN_POINTS}"
            )
    else:
        anchor_curve = _default_anchor(evaluations, curves, label)
    comparisons: BDComparisons = {}
    notes: tuple[str, ...] = ()
    if anchor_curve is not None:
        comparisons, notes = _compare(
            anchor_curve, [*curves, *others], interpolation=interpolation
        )
        if anchor and not comparisons:
            raise UserError(notes[0] if notes else f"nothing to compare with {anchor}")
    return AnchorComparison(
        evaluations=evaluations,
        label=label,
        curves=curves,
        published=others,
        anchor=anchor_curve if comparisons else None,
        comparisons=comparisons,
        notes=notes,
        interpolation=interpolation,
    )


def _compare(
    anchor: RDCurve, curves: Sequence[RDCurve], *, interpolation: Interpolation
) -> tuple[BDComparisons, tuple[str, ...]]:
    """Returns the possible comparisons, and notes on the others."""
    comparisons: BDComparisons = {}
    too_short, no_overlap, notes = [], [], []
    for curve in curves:
        if curve is anchor:
            continue
        if curve.length < MIN_POINTS:
            too_short.append(curve.name)
            continue
        try:
            in_psnr = rd_curves.compare(anchor, curve, "psnr_db", interpolation)
        except NoOverlap:
            no_overlap.append(curve.name)
            continue
        except UserError as error:
            notes.append(str(error))
            continue
        comparisons[curve.name] = {"psnr_db": in_psnr}
        if curve.kind == "model":
            notes += in_psnr.warnings
        try:
            in_ms_ssim = rd_curves.compare(anchor, curve, "ms_ssim_db", interpolation)
            comparisons[curve.name]["ms_ssim_db"] = in_ms_ssim
        except UserError:
            continue  # Many published curves have no MS-SSIM: the table shows a dash.
    if too_short:
        names = "; ".join(too_short)
        notes.append(f"fewer than {MIN_POINTS} points, no curve: {names}")
    if no_overlap:
        names = "; ".join(no_overlap)
        notes.append(f"no quality in common with {anchor.name}: {names}")
    return comparisons, tuple(dict.fromkeys(notes))


def _default_anchor(
    evaluations: Sequence[EvaluationResult], curves: Sequence[RDCurve], label: Label
) -> RDCurve | None:
    """Returns the first long curve without the loss, or else the first long one."""
    without_loss = {label(e) for e in evaluations if e.correlation_weight == 0}
    long_enough = [curve for curve in curves if curve.length >= MIN_POINTS]
    return next(
        (curve for curve in long_enough if curve.name in without_loss),
        next(iter(long_enough), None),
    )
