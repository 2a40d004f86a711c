"""What the correlation loss changes: models with it beside the same ones without it."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np

from jaxcorr.evaluation.results import LOSS_SETTINGS, EvaluationResult
from jaxcorr.report.labels import Label

MIN_WEIGHTS = 3
"""How many α make a line."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Series:
    """A series of values, as a line of a figure.

    Attributes:
      name: What to call it.
      x: Of its points.
      y: Of its points.
      color: Lines of a number share their color.
      dashes: Lines of a number share their dashes.
    """

    name: str
    x: np.ndarray
    y: np.ndarray
    color: int
    dashes: int = 0


def without_loss(
    each: EvaluationResult, found: Sequence[EvaluationResult]
) -> EvaluationResult | None:
    """The model that was trained as this one was, but without the loss."""
    if not each.trained or not each.correlation_weight:
        return None
    wanted = _rest(each)
    return next(
        (e for e in found if e.correlation_weight == 0 and _rest(e) == wanted), None
    )


def cost_change(each: EvaluationResult, base: EvaluationResult) -> float:
    """How much more bpp + λ MSE a model costs than another, in percent."""
    return 100 * (each.cost / base.cost - 1)


def held_out_changes(
    each: EvaluationResult, base: EvaluationResult
) -> dict[int, float]:
    """The change of cost on held-out crops, by the model's estimate, at each step.

    These crops are of the kind that was trained on, so that a few photographs of
    another kind do not decide.
    """
    after, before = each.held_out_costs, base.held_out_costs
    return {
        step: 100 * (after[step] / before[step] - 1)
        for step in sorted(after)
        if step in before
    }


def held_out_change(each: EvaluationResult, base: EvaluationResult) -> float | None:
    """The last of `held_out_changes`; None where there are none."""
    return next(reversed(held_out_changes(each, base).values()), None)


def against_weight(
    found: Sequence[EvaluationResult],
) -> tuple[list[Series], list[Series]]:
    """Correlation, and change of cost, against α: a line a λ and seed.

    Only where there is a model without the loss and three or more with it.
    """
    lines: dict[tuple, dict[float, tuple[EvaluationResult, EvaluationResult]]] = {}
    for each in found:
        base = without_loss(each, found)
        if base is None or not each.has_cost:
            continue
        settings = repr(sorted(each.settings.items()))
        key = (each.distortion_weight, str(each.seed), settings)
        line = lines.setdefault(key, {0.0: (base, base)})
        line[float(each.correlation_weight or 0)] = (each, base)
    long_enough = {
        key: line for key, line in sorted(lines.items()) if len(line) > MIN_WEIGHTS
    }
    colors = [*dict.fromkeys(weight for weight, *_ in long_enough)]
    correlations, changes = [], []
    for (weight, seed, _), line in long_enough.items():
        style: dict[str, Any] = {
            "name": f"λ = {weight:g}, seed {seed}",
            "x": np.array(sorted(line)),
            "color": colors.index(weight),
        }
        pairs = [line[alpha] for alpha in sorted(line)]
        y = [each.median_correlation for each, _ in pairs]
        correlations.append(Series(y=np.array(y, float), **style))
        y = [cost_change(each, base) for each, base in pairs]
        changes.append(Series(y=np.array(y), **style))
    return correlations, changes


def histories(
    found: Sequence[EvaluationResult], label: Label
) -> tuple[list[Series], list[Series]]:
    """Objective on held-out crops against steps, and how the loss changes it.

    Of pairs with and without the loss, from the first seed there is. A color is a λ,
    dashes are a curve.
    """
    first = {(label(e), e.distortion_weight): e for e in reversed(found) if e.trained}
    pairs = {}
    for key, each in sorted(first.items()):
        base = without_loss(each, found)
        if base is not None and each.held_out_costs and base.held_out_costs:
            pairs[key] = (each, base)
    weights = sorted({weight for _, weight in pairs})
    names = [*dict.fromkeys(label(e) for pair in pairs.values() for e in pair[::-1])]
    losses: dict[str, Series] = {}
    changes = []
    for each, base in pairs.values():
        for model in (base, each):
            losses[_named(model, label)] = _line(
                model, model.held_out_costs, weights, names, label
            )
        relative = held_out_changes(each, base)
        changes.append(_line(each, relative, weights, names, label))
    return list(losses.values()), changes


def _line(
    each: EvaluationResult,
    values: dict[int, float],
    weights: list,
    names: list[str],
    label: Label,
) -> Series:
    steps = sorted(values)
    return Series(
        name=_named(each, label),
        x=np.array(steps),
        y=np.array([values[step] for step in steps]),
        color=weights.index(each.distortion_weight),
        dashes=names.index(label(each)),
    )


def _named(each: EvaluationResult, label: Label) -> str:
    return f"{label(each)}, λ = {each.distortion_weight:g}"


def _rest(each: EvaluationResult) -> dict[str, Any]:
    """All that must be the same in a model without the loss."""
    kept = {
        name: value
        for name, value in each.settings.items()
        if name not in LOSS_SETTINGS
    }
    return kept | {"seed": each.seed, "λ": each.distortion_weight}
