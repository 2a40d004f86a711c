"""Names for curves, by what tells their models apart."""

import collections
import re
from collections.abc import Callable, Sequence
from typing import Any

from jaxcorr.evaluation import results
from jaxcorr.evaluation.metadata import ClassicalMetadata
from jaxcorr.evaluation.results import LOSS_SETTINGS, EvaluationResult

Label = Callable[[EvaluationResult], str]

IN_ARCHITECTURE = re.compile(
    r".*\.kind|codec\.transforms\.(width|channels|widths|side_widths)"
)
"""Settings that `Evaluation.architecture` says already."""


def curve_labels(found: Sequence[EvaluationResult]) -> Label:
    """Names curves by architecture, α, and settings that most others have not.

    Two models have the same name only if they differ in λ and seed alone. Those that do
    not say how they were trained are named by their folder.
    """
    trained = [each for each in found if each.trained]
    varying = [
        name
        for name in sorted(results.differing_settings(trained))
        if not IN_ARCHITECTURE.fullmatch(name)
    ]
    shown = {name: _shown(name, varying) for name in varying}
    usual = {
        name: collections.Counter(
            _value(each.settings[name]) for each in trained if name in each.settings
        ).most_common(1)[0][0]
        for name in varying
    }

    def label(each: EvaluationResult) -> str:
        if isinstance(each.model, ClassicalMetadata):
            return each.model.title
        if not each.trained:
            return each.path.resolve().parent.name
        parts = [each.architecture, f"α = {each.correlation_weight:g}"]
        for name in varying:
            # Without the loss, how it would be computed makes no difference.
            unused = each.correlation_weight == 0 and name in LOSS_SETTINGS
            if name in each.settings and not unused:
                value = _value(each.settings[name])
                if value != usual[name]:
                    parts.append(f"{shown[name]} {value}")
        return ", ".join(parts)

    return label


def _shown(name: str, among: Sequence[str]) -> str:
    """The last word of a setting's name, or more where two settings share it."""
    last = name.rpartition(".")[2]
    same = [other for other in among if other.rpartition(".")[2] == last]
    return (name if len(same) > 1 else last).replace("_", " ")


def _value(value: Any) -> str:
    if value is None:
        return "default"
    shown = ("off", "on")[value] if isinstance(value, bool) else value
    return re.sub(r"[\[\]'\"]", "", str(shown))
