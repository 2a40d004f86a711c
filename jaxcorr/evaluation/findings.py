"""What a set of evaluations shows: curves, their distances, what the loss changes."""

import dataclasses
import json
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import numpy as np

from jaxcorr.errors import UserError
from jaxcorr.evaluation import curves
from jaxcorr.evaluation.bjontegaard import LEAST_POINTS, Interpolation
from jaxcorr.evaluation.curves import Comparison, Family
from jaxcorr.evaluation.evaluations import Evaluation
from jaxcorr.evaluation.plots import Line

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
    if anchor and chosen and _points(chosen) < LEAST_POINTS:
        raise UserError(
            f"anchor {chosen.name} has {_points(chosen)} points, but a comparison of "
            f"curves needs at least {LEAST_POINTS}"
        )
    comparisons: dict[str, dict[curves.Quality, Comparison]] = {}
    notes: list[str] = []
    apart, short = [], []
    for family in every if chosen else []:
        if family is chosen:
            continue
        if _points(family) < LEAST_POINTS:
            short.append(family.name)
            continue
        assert chosen is not None
        try:
            compared = curves.compare(chosen, family, "psnr_db", interpolation)
        except UserError as error:
            if family in published:
                apart.append(family.name)
            else:
                notes.append(str(error))
            continue
        comparisons[family.name] = {"psnr_db": compared}
        if family not in published:
            notes += compared.warnings
        try:
            compared = curves.compare(chosen, family, "ms_ssim_db", interpolation)
            comparisons[family.name]["ms_ssim_db"] = compared
        except UserError:
            continue  # Many published curves have no MS-SSIM; the table says so.
    if short:
        notes.append(f"fewer than {LEAST_POINTS} points, no curve: {'; '.join(short)}")
    if chosen and apart:
        notes.append(f"share no quality with {chosen.name}: {'; '.join(apart)}")
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


def against_weight(found: Sequence[Evaluation]) -> tuple[list[Line], list[Line], float]:
    """For each λ with three or more α: correlation and change of cost against α.

    Returns:
      Lines of the correlation, lines of the change, and the smallest α above 0.
    """
    plain = [each for each in found if each.correlation_weight == 0]
    groups: dict[tuple, dict[float, list[Evaluation]]] = {}
    for each in found:
        if each.correlation_weight:
            key = (each.distortion_weight, repr(sorted(each.settings.items())))
            weights = groups.setdefault(key, {0.0: []})
            weights.setdefault(each.correlation_weight, []).append(each)
            base = curves.without_loss(each, plain)
            if base is not None and base not in weights[0.0]:
                weights[0.0].append(base)
    correlations, changes, smallest = [], [], np.inf
    for color, ((distortion_weight, _), weights) in enumerate(
        (key, weights) for key, weights in sorted(groups.items()) if len(weights) > 3
    ):
        alphas = np.array(sorted(alpha for alpha in weights if weights[alpha]))
        smallest = min(smallest, alphas[alphas > 0].min())
        name = f"λ = {distortion_weight:g}"
        means = [_average(e.mean["correlation"] for e in weights[a]) for a in alphas]
        costs = [
            _average(
                100 * (each.cost / base.cost - 1)
                for each in weights[alpha]
                for base in [curves.without_loss(each, plain) or each]
            )
            for alpha in alphas
        ]
        for lines, y in ((correlations, means), (changes, costs)):
            lines.append(Line(name=name, x=alphas, y=np.array(y), color=color))
    return correlations, changes, float(smallest)


def histories(
    found: Sequence[Evaluation], label: Label
) -> tuple[list[Line], list[Line]]:
    """Objective on held-out crops against steps, and how the loss changes it.

    Where there are seeds, of the first of them. A color is a λ, dashes are a curve.
    """
    losses, changes = [], []
    first_seeds = {(label(e), e.distortion_weight): e for e in reversed(found)}
    known = {key: _history(each) for key, each in first_seeds.items() if each.trained}
    shown = sorted(key for key in known if known[key])
    if not shown:
        return [], []
    names, weights = ([*dict.fromkeys(values)] for values in zip(*shown, strict=True))
    for key in shown:
        each, history = first_seeds[key], known[key]
        style = {"color": weights.index(key[1]), "dashes": names.index(key[0])}
        name = f"{key[0]}, λ = {key[1]:g}"
        steps = np.array(sorted(history))
        values = np.array([history[step] for step in steps])
        losses.append(Line(name=name, x=steps, y=values, **style))
        base = curves.without_loss(each, found)
        before = _history(base) if base is not None else {}
        shared = [step for step in steps if step in before]
        if shared:
            change = [100 * (history[step] / before[step] - 1) for step in shared]
            changes.append(
                Line(name=name, x=np.array(shared), y=np.array(change), **style)
            )
    return losses, changes


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
    long_enough = [family for family in every if _points(family) >= LEAST_POINTS]
    return next((f for f in long_enough if f.name in plain), None) or next(
        iter(long_enough), None
    )


def _points(family: Family) -> int:
    """Points of the longest series."""
    return max(map(len, family.series.values()))


def _average(values: Iterable[int | float | None]) -> float:
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else float("nan")
