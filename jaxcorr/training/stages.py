"""Stages of a run, which train with other weights, crops or learning rates."""

import dataclasses
import functools
import math
from collections.abc import Sequence
from typing import Any, Literal

from jaxcorr import serialization
from jaxcorr.errors import require
from jaxcorr.provenance import SweepMember
from jaxcorr.run_directory import WEIGHTS
from jaxcorr.training import sweep
from jaxcorr.training.loss import LossWeights
from jaxcorr.training.step import StaticConfig


@serialization.stored("Stage")
@dataclasses.dataclass(frozen=True, kw_only=True)
class StageConfig:
    """Changes of the settings from a step on, until the next stage or the end.

    A setting that is None is that of the run. Evaluations use λ, α and the distortion
    of the run in every stage, so that the held-out losses of all stages compare.
    """

    start: int = 0
    """Steps taken before the stage."""
    distortion_weight: float | None = None
    """λ of all members of the sweep."""
    correlation_weight: float | None = None
    """α of all members of the sweep."""
    correlation_weight_end: float | None = None
    """α of all members at the end of the stage, to which it changes linearly. None
    keeps α constant."""
    distortion: Literal["mse", "ms_ssim"] | None = None
    """Distortion of the training loss."""
    crop_size: int | None = None
    """Side of a square crop, in pixels: a multiple of 64."""
    batch_size: int | None = None
    """Number of crops in a step, over all devices."""
    learning_rate: float | None = None
    """Peak learning rate. The schedule, with its warm-up, then spans the steps of this
    stage. None continues the schedule of the run."""

    def __post_init__(self):
        """Checks the ranges that the settings of the run do not check."""
        require(self, "start", "0 or more", self.start >= 0)
        for name in (*WEIGHTS, "correlation_weight_end"):
            weight = getattr(self, name)
            is_valid = weight is None or 0 <= weight < math.inf
            require(self, name, "0 or more and finite", is_valid)

    def changes(self) -> dict[str, dict[str, Any]]:
        """Returns the changed fields of the parts of a run's settings."""
        fields = {
            "data": ("crop_size", "batch_size"),
            "loss": ("distortion",),
            "optimizer": ("learning_rate",),
        }
        return {part: self._given(names) for part, names in fields.items()}

    def members(self, members: Sequence[SweepMember]) -> tuple[SweepMember, ...]:
        """Returns the members of a run with the λ and α of the stage."""
        weights = self._given(WEIGHTS)
        return tuple(dataclasses.replace(member, **weights) for member in members)

    def describe(self) -> str:
        """Returns the changes in words, such as "crop size 256, batch size 2"."""
        names = [field.name for field in dataclasses.fields(self)]
        names.remove("start")
        changes = [
            f"{name.replace('_', ' ')} {value}"
            for name, value in self._given(names).items()
        ]
        return ", ".join(changes) or "the settings of the run"

    def _given(self, names: Sequence[str]) -> dict[str, Any]:
        """Returns those of some settings that the stage changes."""
        values = {name: getattr(self, name) for name in names}
        return {name: value for name, value in values.items() if value is not None}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Stage:
    """Steps of a run that share their settings.

    Attributes:
      start: Steps taken before the stage.
      stop: Steps taken after it.
      skipped_images: Images that earlier stages take from the stream of images.
      static_config: Settings of the compiled step.
      members: Members of the sweep, with the λ and α of the stage.
      crop_size: Side of a crop, in pixels.
      batch_size: Crops in a batch.
      description: The changes of the stage, in words.
      correlation_weight_end: α of all members at the end of the stage; None if α is
        constant.
    """

    start: int
    stop: int
    skipped_images: int
    static_config: StaticConfig
    members: tuple[SweepMember, ...]
    crop_size: int
    batch_size: int
    description: str
    correlation_weight_end: float | None = None

    def weights(self, step: int) -> LossWeights:
        """Returns λ and α of all members.

        Args:
          step: Steps taken before; the first step of the stage has the α of `members`.
        """
        end = self.correlation_weight_end
        if end is None:
            return self._constant_weights
        progress = (step - self.start) / (self.stop - self.start)
        return sweep.stack_member_weights(
            [
                dataclasses.replace(
                    member,
                    correlation_weight=(1 - progress) * member.correlation_weight
                    + progress * end,
                )
                for member in self.members
            ]
        )

    @functools.cached_property
    def _constant_weights(self) -> LossWeights:
        return sweep.stack_member_weights(self.members)
