"""A set of evaluations as curves, each compared with an anchor."""

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
    """Evaluations, as curves, against an anchor.

    Attributes:
      evaluations: All of them.
      label: Names the curve that an evaluation is on.
      families: The curves.
      published: Curves of others on the same images.
      anchor: What is compared with; None if there is nothing to compare with.
      comparisons: In PSNR and in MS-SSIM, by the name of the curve; what cannot be
        compared is missing.
      notes: What makes comparisons doubtful, or impossible.
      interpolation: Between points.
    """

    evaluations: Sequence[EvaluationResult]
    label: Label
    families: Sequence[RDCurve]
    published: Sequence[RDCurve]
    anchor: RDCurve | None
    comparisons: BDComparisons
    notes: tuple[str, ...]
    interpolation: Interpolation


def compare_with_anchor(
    found: Sequence[EvaluationResult],
    *,
    anchor: str | None,
    interpolation: Interpolation,
) -> AnchorComparison:
    """Groups evaluations into curves and compares these with an anchor.

    Raises:
      UserError: If the anchor that is named is not one curve, or none can be compared
        with it.
    """
    label = curve_labels(found)
    families = rd_curves.group_into_curves(found, label)
    others = published.published_curves() if published.are_kodak(found) else []
    every = [*families, *others]
    if anchor:
        chosen = rd_curves.find_curve(anchor, every)
        if chosen.length < MIN_POINTS:
            raise UserError(
                f"anchor {chosen.name} has {chosen.length} points, but a comparison of "
                f"curves needs at least {MIN_POINTS}"
            )
    else:
        chosen = _default_anchor(found, families, label)
    comparisons: BDComparisons = {}
    notes: tuple[str, ...] = ()
    if chosen is not None:
        comparisons, notes = _compare(chosen, every, interpolation)
        if anchor and not comparisons:
            raise UserError(notes[0] if notes else f"nothing to compare with {anchor}")
    return AnchorComparison(
        evaluations=found,
        label=label,
        families=families,
        published=others,
        anchor=chosen if comparisons else None,
        comparisons=comparisons,
        notes=notes,
        interpolation=interpolation,
    )


def _compare(
    anchor: RDCurve, every: Sequence[RDCurve], interpolation: Interpolation
) -> tuple[BDComparisons, tuple[str, ...]]:
    """What can be compared with the anchor, and what to say of the rest."""
    comparisons: BDComparisons = {}
    apart, short, notes = [], [], []
    for family in every:
        if family is anchor:
            continue
        if family.length < MIN_POINTS:
            short.append(family.name)
            continue
        try:
            compared = rd_curves.compare(anchor, family, "psnr_db", interpolation)
        except NoOverlap:
            apart.append(family.name)
            continue
        except UserError as error:
            notes.append(str(error))
            continue
        comparisons[family.name] = {"psnr_db": compared}
        if family.kind == "model":
            notes += compared.warnings
        try:
            compared = rd_curves.compare(anchor, family, "ms_ssim_db", interpolation)
            comparisons[family.name]["ms_ssim_db"] = compared
        except UserError:
            continue  # Many published curves have no MS-SSIM; the table says so.
    if short:
        notes.append(f"fewer than {MIN_POINTS} points, no curve: {'; '.join(short)}")
    if apart:
        notes.append(f"no quality in common with {anchor.name}: {'; '.join(apart)}")
    return comparisons, tuple(dict.fromkeys(notes))


def _default_anchor(
    found: Sequence[EvaluationResult], families: Sequence[RDCurve], label: Label
) -> RDCurve | None:
    """The first curve without the loss that is long enough, else any of ours."""
    plain = {label(each) for each in found if each.correlation_weight == 0}
    long_enough = [family for family in families if family.length >= MIN_POINTS]
    return next(
        (family for family in long_enough if family.name in plain),
        next(iter(long_enough), None),
    )
