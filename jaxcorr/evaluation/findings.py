"""What a set of evaluations shows: curves, their distances, what the loss changes."""

import dataclasses
import json
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import numpy as np

from jaxcorr.errors import UserError
from jaxcorr.evaluation import curves, plots
from jaxcorr.evaluation.bjontegaard import LEAST_POINTS, Interpolation
from jaxcorr.evaluation.curves import Comparison, Family
from jaxcorr.evaluation.evaluations import Evaluation
from jaxcorr.evaluation.plots import Curve

HISTORY = "held_out.jsonl"
KODAK = {f"kodim{number:02}" for number in range(1, 25)}
Label = Callable[[Evaluation], str]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Findings:
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

    evaluations: Sequence[Evaluation]
    label: Label
    families: Sequence[Family]
    published: Sequence[Family]
    anchor: Family | None
    comparisons: dict[str, dict[curves.Quality, Comparison]]
    notes: tuple[str, ...]
    interpolation: Interpolation


def find(
    found: Sequence[Evaluation], *, anchor: str | None, interpolation: Interpolation
) -> Findings:
    """Groups evaluations into curves and compares these with an anchor.

    Raises:
      UserError: If the anchor that is named is not one curve, or none can be compared
        with it.
    """
    families = curves.families(found)
    published = curves.published() if _are_kodak(found) else []
    every = [*families, *published]
    chosen = curves.find(anchor, every) if anchor else _default_anchor(found, every)
    comparisons: dict[str, dict[curves.Quality, Comparison]] = {}
    notes: list[str] = []
    for family in every if chosen else []:
        assert chosen is not None
        if family is chosen:
            continue
        try:
            compared = curves.compare(chosen, family, "psnr_db", interpolation)
            comparisons[family.name] = {"psnr_db": compared}
            notes += compared.warnings
        except UserError as error:
            notes.append(str(error))
            continue
        try:
            compared = curves.compare(chosen, family, "ms_ssim_db", interpolation)
            comparisons[family.name]["ms_ssim_db"] = compared
        except (UserError, ValueError):
            continue  # Many published curves have no MS-SSIM; the table says so.
    if anchor and not comparisons:
        raise UserError(notes[0] if notes else f"nothing to compare with {anchor}")
    return Findings(
        evaluations=found,
        label=curves.labels(found),
        families=families,
        published=published,
        anchor=chosen if comparisons else None,
        comparisons=comparisons,
        notes=tuple(dict.fromkeys(notes)),
        interpolation=interpolation,
    )


def against_weight(
    found: Sequence[Evaluation],
) -> tuple[list[Curve], list[Curve], float]:
    """For each λ with three or more α: correlation and change of cost against α.

    Returns:
      Curves of the correlation, curves of the change, and the smallest α above 0.
    """
    groups: dict[tuple, dict[float, list[Evaluation]]] = {}
    for each in found:
        if each.trained and each.correlation_weight is not None:
            key = (each.distortion_weight, repr(sorted(each.settings.items())))
            weights = groups.setdefault(key, {})
            weights.setdefault(each.correlation_weight, []).append(each)
    correlations, changes, smallest = [], [], np.inf
    for (distortion_weight, _), weights in sorted(groups.items()):
        if len(weights) < 3:
            continue
        alphas = np.array(sorted(weights))
        smallest = min(smallest, alphas[alphas > 0].min())
        name = f"λ = {distortion_weight:g}"
        means = [_average(e.mean["correlation"] for e in weights[a]) for a in alphas]
        correlations.append((name, alphas, np.array(means)))
        if 0 in weights:
            change = [
                _average(
                    100 * (each.cost / base.cost - 1)
                    for each in weights[alpha]
                    if (base := curves.without_loss(each, found)) is not None
                )
                for alpha in alphas[alphas > 0]
            ]
            changes.append((name, alphas, np.array([0.0, *change])))
    return correlations, changes, float(smallest)


def histories(
    found: Sequence[Evaluation], label: Label
) -> tuple[list[Curve], list[Curve]]:
    """Objective on held-out crops against steps, and how the loss changes it.

    Where there are seeds, the first of them.
    """
    losses, changes = [], []
    known = {id(each): _history(each) for each in found if each.trained}
    first_seeds = {(label(e), e.distortion_weight): e for e in reversed(found)}
    for each in first_seeds.values():
        history = known.get(id(each))
        if not history:
            continue
        name = f"{label(each)}, λ = {each.distortion_weight:g}"
        steps = np.array(sorted(history))
        losses.append((name, steps, np.array([history[step] for step in steps])))
        base = curves.without_loss(each, found)
        if base is not None and known.get(id(base)):
            _, shared, change = plots.relative(history, known[id(base)])
            changes.append((name, shared, change))
    return losses[::-1], changes[::-1]


def _history(each: Evaluation) -> dict[int, float]:
    """Bpp + λ MSE on held-out crops, by step, from beside the evaluation."""
    path = each.path.parent / HISTORY
    if not path.is_file():
        return {}
    number = _member(each.path)
    lines = map(json.loads, path.read_text().splitlines())
    return {
        line["step"]: line["rate_distortion"]
        for line in lines
        if line.get("member", 0) == number
    }


def _member(path: Path) -> int:
    _, _, number = path.stem.rpartition("@")
    return int(number) if "@" in path.stem and number.isdigit() else 0


def _are_kodak(found: Sequence[Evaluation]) -> bool:
    return {Path(row["file"]).stem for row in found[0].images} == KODAK


def _default_anchor(
    found: Sequence[Evaluation], every: Sequence[Family]
) -> Family | None:
    """The first curve without the loss that is long enough, else any."""
    label = curves.labels(found)
    plain = {label(each) for each in found if each.correlation_weight == 0}
    long_enough = [
        family
        for family in every
        if max(map(len, family.series.values())) >= LEAST_POINTS
    ]
    return next((f for f in long_enough if f.name in plain), None) or next(
        iter(long_enough), None
    )


def _average(values: Iterable[int | float | None]) -> float:
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else float("nan")
