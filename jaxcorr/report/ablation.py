"""Effect of the correlation loss: models with it against the same models without it."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from jaxcorr.evaluation.results import LOSS_SETTINGS, EvaluationResult
from jaxcorr.report.labels import Label

MIN_WEIGHTS = 3
"""Fewest models with the loss, each with another α, that make a line."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class WeightStudy:
    """Models that differ only in α, the weight of the loss.

    Attributes:
      distortion_weight: λ of the models.
      seed: Seed of the models.
      correlation_weights: α of each model in ascending order, from 0.
      correlations: Median correlation loss of each model; NaN if unknown.
      cost_changes: Change of bpp + λ MSE against α = 0, in percent.
    """

    distortion_weight: float | int
    seed: int | None
    correlation_weights: np.ndarray
    correlations: np.ndarray
    cost_changes: np.ndarray

    @property
    def name(self) -> str:
        """λ and the seed, in words."""
        return f"λ = {self.distortion_weight:g}, seed {self.seed}"


@dataclasses.dataclass(frozen=True, kw_only=True)
class History:
    """A value on held-out images in the course of a training run.

    Attributes:
      curve: Name of the rate-distortion curve that the model is on.
      distortion_weight: λ of the model.
      steps: Numbers of training steps, in ascending order.
      values: Value after each number of steps.
    """

    curve: str
    distortion_weight: float | int
    steps: np.ndarray
    values: np.ndarray

    @property
    def name(self) -> str:
        """Curve and λ, in words."""
        return f"{self.curve}, λ = {self.distortion_weight:g}"


def without_loss(
    evaluation: EvaluationResult, evaluations: Sequence[EvaluationResult]
) -> EvaluationResult | None:
    """Returns the model that differs from a model with the loss only in α = 0."""
    if not evaluation.trained or not evaluation.correlation_weight:
        return None
    settings = _settings_without_loss(evaluation)
    return next(
        (
            other
            for other in evaluations
            if other.correlation_weight == 0
            and _settings_without_loss(other) == settings
        ),
        None,
    )


def cost_change(evaluation: EvaluationResult, base: EvaluationResult) -> float:
    """Returns the change of bpp + λ MSE from `base` to a model, in percent."""
    return 100 * (evaluation.cost / base.cost - 1)


def held_out_changes(
    evaluation: EvaluationResult, base: EvaluationResult
) -> dict[int, float]:
    """Returns the change of bpp + λ MSE on held-out images, in percent, by step.

    The crops resemble the training images, so the change does not depend on a few
    photographs of another kind. Rates are estimates of the entropy model.
    """
    costs, base_costs = evaluation.held_out_costs, base.held_out_costs
    return {
        step: 100 * (costs[step] / base_costs[step] - 1)
        for step in sorted(costs)
        if step in base_costs
    }


def held_out_change(
    evaluation: EvaluationResult, base: EvaluationResult
) -> float | None:
    """Returns the last of `held_out_changes`, or None if there are none."""
    return next(reversed(held_out_changes(evaluation, base).values()), None)


def weight_studies(evaluations: Sequence[EvaluationResult]) -> list[WeightStudy]:
    """Returns how correlation and cost depend on α, for each λ and seed.

    A study needs a model without the loss and at least three models with it.
    """
    pairs_by_study: dict[
        tuple, dict[float, tuple[EvaluationResult, EvaluationResult]]
    ] = {}
    for evaluation in evaluations:
        base = without_loss(evaluation, evaluations)
        if base is None or not evaluation.has_cost:
            continue
        settings = repr(sorted(evaluation.settings.items()))
        key = (evaluation.distortion_weight, str(evaluation.seed), settings)
        pairs = pairs_by_study.setdefault(key, {0.0: (base, base)})
        pairs[float(evaluation.correlation_weight or 0)] = (evaluation, base)
    studies = []
    for (distortion_weight, _, _), pairs in sorted(pairs_by_study.items()):
        if len(pairs) <= MIN_WEIGHTS:
            continue
        weights = sorted(pairs)
        models = [pairs[weight][0] for weight in weights]
        correlations = [model.median_correlation for model in models]
        studies.append(
            WeightStudy(
                distortion_weight=distortion_weight,
                seed=models[0].seed,
                correlation_weights=np.array(weights),
                correlations=np.array(correlations, float),
                cost_changes=np.array([cost_change(*pairs[w]) for w in weights]),
            )
        )
    return studies


def held_out_histories(
    evaluations: Sequence[EvaluationResult], label: Label
) -> tuple[list[History], list[History]]:
    """Returns bpp + λ MSE on held-out images, and its change by the loss in percent.

    Includes the models with the loss and the same models without it, each of the first
    seed that was evaluated. Only models with the loss have a change.
    """
    first_seed = {
        (label(evaluation), evaluation.distortion_weight): evaluation
        for evaluation in reversed(evaluations)
        if evaluation.trained
    }
    costs: dict[str, History] = {}
    changes = []
    for _, evaluation in sorted(first_seed.items(), key=lambda item: item[0]):
        base = without_loss(evaluation, evaluations)
        if base is None:
            continue
        if not evaluation.held_out_costs or not base.held_out_costs:
            continue
        for model in (base, evaluation):
            history = _history(model, model.held_out_costs, label)
            costs[history.name] = history
        relative = held_out_changes(evaluation, base)
        changes.append(_history(evaluation, relative, label))
    return list(costs.values()), changes


def _history(
    evaluation: EvaluationResult, values: Mapping[int, float], label: Label
) -> History:
    assert evaluation.distortion_weight is not None
    steps = sorted(values)
    return History(
        curve=label(evaluation),
        distortion_weight=evaluation.distortion_weight,
        steps=np.array(steps),
        values=np.array([values[step] for step in steps]),
    )


def _settings_without_loss(evaluation: EvaluationResult) -> dict[str, Any]:
    """Returns the settings that a model shares with its model without the loss."""
    settings = {
        name: value
        for name, value in evaluation.settings.items()
        if name not in LOSS_SETTINGS
    }
    return settings | {"seed": evaluation.seed, "λ": evaluation.distortion_weight}
