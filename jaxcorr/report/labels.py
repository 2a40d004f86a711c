"""Names curves by the settings in which their models differ."""

import collections
import re
from collections.abc import Callable, Sequence
from typing import Any

from jaxcorr import paths
from jaxcorr.evaluation import results
from jaxcorr.evaluation.metadata import ClassicalMetadata
from jaxcorr.evaluation.results import LOSS_SETTINGS, EvaluationResult

Label = Callable[[EvaluationResult], str]
"""Returns the name of the curve that an evaluation is a point of."""

ARCHITECTURE_SETTINGS = re.compile(
    r".*\.kind|codec\.transforms\.(width|channels|widths|side_widths)"
)
"""Settings that `EvaluationResult.architecture` already contains."""


def curve_labels(evaluations: Sequence[EvaluationResult]) -> Label:
    """Returns a function that names the curve of each evaluation.

    A name contains the architecture, α and every setting whose value is not the most
    common one. Two models have the same name only if they differ in λ and seed alone.
    A model without training settings is named by its folder.
    """
    trained = [evaluation for evaluation in evaluations if evaluation.trained]
    varying = [
        name
        for name in sorted(results.differing_settings(trained))
        if not ARCHITECTURE_SETTINGS.fullmatch(name)
    ]
    short_names = {name: _short_name(name, varying) for name in varying}
    most_common = {
        name: collections.Counter(
            _in_words(evaluation.settings[name])
            for evaluation in trained
            if name in evaluation.settings
        ).most_common(1)[0][0]
        for name in varying
    }

    def label(evaluation: EvaluationResult) -> str:
        if isinstance(evaluation.model, ClassicalMetadata):
            return evaluation.model.title
        if not evaluation.trained:
            return paths.as_path(paths.identity(evaluation.path)).parent.name
        parts = [evaluation.architecture, f"α = {evaluation.correlation_weight:g}"]
        for name in varying:
            # Without the loss, its settings make no difference.
            unused = evaluation.correlation_weight == 0 and name in LOSS_SETTINGS
            if name in evaluation.settings and not unused:
                value = _in_words(evaluation.settings[name])
                if value != most_common[name]:
                    parts.append(f"{short_names[name]} {value}")
        return ", ".join(parts)

    return label


def _short_name(name: str, names: Sequence[str]) -> str:
    """Returns the last part of a dotted name if no other name ends in it."""
    last = name.rpartition(".")[2]
    same = [other for other in names if other.rpartition(".")[2] == last]
    return (name if len(same) > 1 else last).replace("_", " ")


def _in_words(value: Any) -> str:
    if value is None:
        return "default"
    text = ("off", "on")[value] if isinstance(value, bool) else value
    return re.sub(r"[\[\]'\"]", "", str(text))
