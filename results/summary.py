"""What the loss changed, over all pairs of models that differ in it alone.

    python results/summary.py

A pair has the same seed, data, budget and settings but α. Printed are the mean over
the pairs of each group and, in brackets, their standard deviation. Costs are bpp +
λ MSE, in percent of the model without the loss: of files on Kodak and, by the model's
estimate, of held-out crops of BSDS500. The last lines say how far two seeds of one
setting are apart.
"""

import itertools
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from jaxcorr.evaluation import results
from jaxcorr.evaluation.results import EvaluationResult
from jaxcorr.report import ablation

Item = TypeVar("Item")
KODAK = Path(__file__).resolve().parent / "kodak"


def main() -> None:
    """Prints the groups and the distance between seeds."""
    found = [each for each in results.read_results([KODAK]) if each.trained]
    pairs = [
        (each, base)
        for each in found
        if (base := ablation.without_loss(each, found)) is not None
    ]
    print(f"{'':52} pairs   cost % Kodak  cost % held out   bpp % Kodak")
    for name, group in grouped(pairs, key=lambda pair: described(pair[0])).items():
        bpp = [change(each.mean["bpp"], base.mean["bpp"]) for each, base in group]
        print(f"{row(name, group)} {spread(bpp):>13}")
    print("\nTwo seeds of one setting: the second against the first")
    for name, group in grouped(found, key=described).items():
        settings = grouped(group, key=lambda each: each.distortion_weight).values()
        seeds = [pair for same in settings for pair in itertools.combinations(same, 2)]
        if seeds:
            print(row(name, [(second, first) for first, second in seeds]))


def row(name: str, pairs: list[tuple[EvaluationResult, EvaluationResult]]) -> str:
    """Changes of cost from the second to the first of each pair."""
    kodak = [ablation.cost_change(*pair) for pair in pairs]
    held_out = [ablation.held_out_change(*pair) for pair in pairs]
    told = [each for each in held_out if each is not None]
    return f"{name:52} {len(pairs):5} {spread(kodak):>14} {spread(told):>16}"


def described(each: EvaluationResult) -> str:
    """Steps, context model, α and what else is not the default, in words."""
    run = each.provenance.config
    assert run is not None
    objective, context = run["objective"], run["codec"]["context"]["kind"]
    words = [f"{run['steps']:6} steps", context.lower()]
    words += [f"α = {each.correlation_weight:g}"]
    plain = {
        "mask": "point",
        "window": 5,
        "correlated": "latent",
        "pool_channels": True,
        "stop_scale_gradient": False,
    }
    words += [
        f"{name} {objective[name]}"
        for name, value in plain.items()
        if each.correlation_weight and objective[name] != value
    ]
    if run["step"]["decoder_input"]:
        words += [run["step"]["decoder_input"]]
    return ", ".join(words)


def grouped(items: Iterable[Item], key: Callable[[Item], Any]) -> dict[Any, list[Item]]:
    """Items by their key, keys in order."""
    groups: dict[Any, list[Item]] = {}
    for item in items:
        groups.setdefault(key(item), []).append(item)
    return dict(sorted(groups.items()))


def change(after: float | None, before: float | None) -> float:
    """In percent."""
    assert after is not None and before
    return 100 * (after / before - 1)


def spread(values: list[float]) -> str:
    """Mean and, of two or more, standard deviation."""
    if not values:
        return "-"
    if len(values) == 1:
        return f"{values[0]:+.1f}"
    return f"{np.mean(values):+.1f} ({np.std(values, ddof=1):.1f})"


if __name__ == "__main__":
    main()
