"""Summarizes what the loss changes, over pairs of models that differ in it alone.

    python results/summary.py

The two models of a pair have the same seed, data, budget and settings except for α.

The first table has the mean over the pairs of each group and, in brackets, their
standard deviation. Costs are bpp + λ MSE in percent of the model without the loss: of
files on Kodak and, by the entropy model's estimate, on held-out crops of BSDS500. The
second table compares two seeds of one setting in the same way. The third has metrics
on the held-out crops at the last step of each pair.
"""

import itertools
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from jaxcorr.evaluation import csv_tables, result_files
from jaxcorr.evaluation.metadata import ModelMetadata
from jaxcorr.evaluation.results import EvaluationResult
from jaxcorr.report import ablation

Item = TypeVar("Item")
Pair = tuple[EvaluationResult, EvaluationResult]
TABLES = Path(__file__).resolve().parent / "kodak"

DEFAULTS = {
    "mask": "point",
    "window": 5,
    "correlated": "latent",
    "pool_channels": True,
    "stop_scale_gradient": False,
}
"""Settings of the loss in `configs/study.py`, which no group is named after."""


def main() -> None:
    """Prints the three tables."""
    evaluations = [each for each in result_files.read_results([TABLES]) if each.trained]
    pairs = [
        (evaluation, base)
        for evaluation in evaluations
        if (base := ablation.without_loss(evaluation, evaluations)) is not None
    ]
    print_changes(pairs)
    print("\nTwo seeds of one setting: the second against the first")
    print_seeds(evaluations)
    print("\nHeld-out crops at the last step, without the loss and with it")
    print_held_out(pairs)


def print_changes(pairs: Iterable[Pair]) -> None:
    """Prints the change of cost and of bits on Kodak for each group of pairs."""
    print(f"{'':52} pairs   cost % Kodak  cost % held out   bpp % Kodak")
    for name, group in group_by(pairs, key=lambda pair: describe(pair[0])).items():
        bpp = [change(each.mean["bpp"], base.mean["bpp"]) for each, base in group]
        print(f"{cost_row(name, group)} {spread(bpp):>13}")


def print_seeds(evaluations: Iterable[EvaluationResult]) -> None:
    """Prints how far two models with different seeds are apart."""
    for name, group in group_by(evaluations, key=describe).items():
        seeds = sorted(group, key=lambda each: each.seed or 0)
        by_rate = group_by(seeds, key=lambda each: each.distortion_weight)
        pairs = [
            (second, first)
            for same_rate in by_rate.values()
            for first, second in itertools.combinations(same_rate, 2)
        ]
        if pairs:
            print(cost_row(name, pairs))


def print_held_out(pairs: Iterable[Pair]) -> None:
    """Prints correlation, normalized latents and side information of each pair."""
    rows = csv_tables.read_rows(TABLES / csv_tables.HELD_OUT)
    last = {row["model"]: row for row in rows}
    print(f"{'':63} λ seed      correlation  normalized²       z %")
    for evaluation, base in sorted(pairs, key=lambda pair: order(pair[0])):
        metrics = [last[model_name(model)] for model in (base, evaluation)]
        print(
            f"{describe(evaluation):57} {evaluation.distortion_weight:6g} "
            f"{evaluation.seed:4}"
            + "".join(f" {float(row['correlation']):8.4f}" for row in metrics)
            + "".join(f" {float(row['normalized_square']):5.2f}" for row in metrics)
            + "".join(f" {side_share(row):4.1f}" for row in metrics)
        )


def cost_row(name: str, pairs: list[Pair]) -> str:
    """Returns a line with the changes of cost from the second to the first model."""
    kodak = [ablation.cost_change(*pair) for pair in pairs]
    changes = [ablation.held_out_change(*pair) for pair in pairs]
    held_out = [each for each in changes if each is not None]
    return f"{name:52} {len(pairs):5} {spread(kodak):>14} {spread(held_out):>16}"


def describe(evaluation: EvaluationResult) -> str:
    """Returns steps, context model, α and the settings that are not the default."""
    settings = evaluation.settings
    words = [
        f"{settings['steps']:6} steps",
        settings["codec.context.kind"].lower(),
        f"α = {evaluation.correlation_weight:g}",
    ]
    words += [
        f"{name} {settings[f'loss.{name}']}"
        for name, default in DEFAULTS.items()
        if evaluation.correlation_weight and settings[f"loss.{name}"] != default
    ]
    if settings["step.quantization"]:
        words.append(settings["step.quantization"])
    return ", ".join(words)


def order(evaluation: EvaluationResult) -> tuple[Any, ...]:
    """Returns what a list of models is sorted by: settings, λ, then the seed."""
    return describe(evaluation), evaluation.distortion_weight, evaluation.seed


def model_name(evaluation: EvaluationResult) -> str:
    """Returns the name of the model in the tables."""
    assert isinstance(evaluation.model, ModelMetadata) and evaluation.model.path
    return evaluation.model.path


def side_share(row: Mapping[str, str]) -> float:
    """Returns the percentage of the bits that are side information."""
    return 100 * float(row["bpp_z"]) / float(row["bpp"])


def group_by(
    items: Iterable[Item], key: Callable[[Item], Any]
) -> dict[Any, list[Item]]:
    """Returns the items by their key, in the order of the keys."""
    groups: dict[Any, list[Item]] = {}
    for item in items:
        groups.setdefault(key(item), []).append(item)
    return dict(sorted(groups.items()))


def change(after: float | None, before: float | None) -> float:
    """Returns a change in percent."""
    assert after is not None and before
    return 100 * (after / before - 1)


def spread(values: list[float]) -> str:
    """Returns the mean and, of two values or more, the standard deviation."""
    if not values:
        return "-"
    if len(values) == 1:
        return f"{values[0]:+.1f}"
    return f"{np.mean(values):+.1f} ({np.std(values, ddof=1):.1f})"


if __name__ == "__main__":
    main()
