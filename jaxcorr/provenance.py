"""Provenance: the origin of the parameters of a model.

Provenance does not change what a model computes. Fingerprints do not depend on it, and
a model can code files even if its provenance cannot be read.
"""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any


@dataclasses.dataclass(frozen=True, kw_only=True)
class SweepMember:
    """The settings that differ between the members of a sweep.

    Attributes:
      seed: Seed of the initial parameters and of the noise.
      distortion_weight: λ.
      correlation_weight: α.
    """

    seed: int
    distortion_weight: float | int
    correlation_weight: float | int

    def __str__(self) -> str:
        """Returns λ, α and the seed, for messages."""
        return (
            f"λ {self.distortion_weight:g}, α {self.correlation_weight:g}, "
            f"seed {self.seed}"
        )

    def describe(self) -> str:
        """Returns the settings in words, such as "seed 0, distortion weight 0.01"."""
        values = dataclasses.asdict(self).items()
        return ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in values)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Provenance:
    """Origin of the parameters of a model; unknown attributes are None.

    Attributes:
      config: Settings of the training run, as JSON.
      member: Member of the run; a run of one codec has one member.
      step: Training steps taken.
      held_out_loss: Loss on held-out images, lowest for the best checkpoint.
      source: Project that the parameters were imported from.
      architecture: Name of the model in that project.
      other: Entries of other versions of jaxcorr that this version cannot read. They
        are written again unchanged.
    """

    config: Mapping[str, Any] | None = None
    member: SweepMember | None = None
    step: int | None = None
    held_out_loss: float | int | None = None
    source: str | None = None
    architecture: str | None = None
    other: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Returns the known attributes as JSON."""
        values = {
            "run": self.config,
            "member": dataclasses.asdict(self.member) if self.member else None,
            "step": self.step,
            "held_out_loss": self.held_out_loss,
            "source": self.source,
            "architecture": self.architecture,
        }
        # For a run, null says that the checkpoint was not evaluated.
        nullable = {"held_out_loss"} if self.config is not None else set()
        known = {
            key: value
            for key, value in values.items()
            if value is not None or key in nullable
        }
        return known | dict(self.other)

    @classmethod
    def from_json(cls, values: Any) -> "Provenance":
        """Reads the result of `to_json`, of this or another version of jaxcorr."""
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
        """Returns the settings of the member in words; empty if they are not known."""
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
