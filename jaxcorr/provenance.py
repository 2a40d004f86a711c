"""Where the parameters of a model come from, as kept beside them.

Provenance describes a model and changes nothing that the model computes: no fingerprint
depends on it, and a model whose provenance cannot be read codes all the same.
"""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any


@dataclasses.dataclass(frozen=True, kw_only=True)
class SweepMember:
    """The settings in which a member of a sweep differs from the other members.

    Attributes:
      seed: Seed of the initial parameters and of the noise.
      distortion_weight: λ.
      correlation_weight: α.
    """

    seed: int
    distortion_weight: float | int
    correlation_weight: float | int

    def __str__(self) -> str:
        """Returns λ, α and the seed, as messages call a member."""
        return (
            f"λ {self.distortion_weight:g}, α {self.correlation_weight:g}, "
            f"seed {self.seed}"
        )

    def describe(self) -> str:
        """Returns the settings in words."""
        values = dataclasses.asdict(self).items()
        return ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in values)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Provenance:
    """Where the parameters of a model come from; None where something is not known.

    Attributes:
      config: Settings of the training run, as JSON.
      member: Which member of the run it is; a run of one codec has one member.
      step: Training steps taken.
      held_out_loss: Loss on held-out crops; the best checkpoint has the lowest.
      source: Project that the parameters were imported from.
      architecture: Name of the model in that project.
      other: Entries of other versions of jaxcorr, which this version does not know or
        cannot read. They are written again as they were read.
    """

    config: Mapping[str, Any] | None = None
    member: SweepMember | None = None
    step: int | None = None
    held_out_loss: float | int | None = None
    source: str | None = None
    architecture: str | None = None
    other: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Returns what files say of it; nothing of what is not known."""
        values = {
            "run": self.config,
            "member": dataclasses.asdict(self.member) if self.member else None,
            "step": self.step,
            "held_out_loss": self.held_out_loss,
            "source": self.source,
            "architecture": self.architecture,
        }
        # A run says explicitly that a checkpoint was not evaluated.
        said = {"held_out_loss"} if self.config is not None else set()
        known = {
            key: value
            for key, value in values.items()
            if value is not None or key in said
        }
        return known | dict(self.other)

    @classmethod
    def from_json(cls, values: Any) -> "Provenance":
        """Returns what `Provenance.to_json` wrote, with this or another version."""
        rest = dict(values) if isinstance(values, Mapping) else {}

        def take(key: str, read: Callable[[Any], Any]) -> Any:
            value = read(rest.get(key))
            if value is not None or rest.get(key) is None:
                rest.pop(key, None)
            return value

        known = {
            "config": take("run", _object),
            "member": take("member", _member),
            "step": take("step", _integer),
            "held_out_loss": take("held_out_loss", _number),
            "source": take("source", _text),
            "architecture": take("architecture", _text),
        }
        return cls(**known, other=rest)

    def describe(self) -> str:
        """Returns in words how the model differs from the other members of its sweep.

        An empty string if it is not known to be a member of one.
        """
        return self.member.describe() if self.member else ""


def _member(value: Any) -> SweepMember | None:
    fields = value if isinstance(value, Mapping) else {}
    seed = _integer(fields.get("seed"))
    distortion_weight = _number(fields.get("distortion_weight"))
    correlation_weight = _number(fields.get("correlation_weight"))
    if seed is None or distortion_weight is None or correlation_weight is None:
        return None
    return SweepMember(
        seed=seed,
        distortion_weight=distortion_weight,
        correlation_weight=correlation_weight,
    )


def _object(value: Any) -> Mapping[str, Any] | None:
    return value if isinstance(value, Mapping) else None


def _integer(value: Any) -> int | None:
    return value if isinstance(value, int) else None


def _number(value: Any) -> float | int | None:
    return value if isinstance(value, float | int) else None


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None
