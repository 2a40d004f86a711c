"""Everything that stays constant during a run."""

import dataclasses
import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
from jax.sharding import Mesh
from jaxtyping import Array, Key, UInt8

from jaxcorr.paths import AnyPath
from jaxcorr.provenance import Provenance, SweepMember
from jaxcorr.training import sweep
from jaxcorr.training.checkpoints import IntervalConfig
from jaxcorr.training.held_out import HeldOut
from jaxcorr.training.loss import LossWeights
from jaxcorr.training.profiler import ProfileConfig
from jaxcorr.training.stages import Stage
from jaxcorr.training.step import StaticConfig
from jaxcorr.training.train_state import TrainState

NO_PROFILE = ProfileConfig()


@dataclasses.dataclass(frozen=True, kw_only=True)
class Run:
    """Everything that stays constant during a run.

    Attributes:
      static_config: Settings of evaluations.
      members: Members of the sweep; a run of one codec has one member.
      stages: Stages of the run, by ascending step.
      intervals: How often to log, evaluate and save.
      mesh: The devices.
      held_out: Images for evaluation.
      trained_from: Step of the trained parameters that the run starts from, which are
        evaluated before the first step; None if the run starts from random ones.
      provenance: Provenance that all model folders of this run share.
      workdir: The run directory.
      profile: Steps of which a profile is taken.
    """

    static_config: StaticConfig
    members: tuple[SweepMember, ...]
    stages: tuple[Stage, ...]
    intervals: IntervalConfig
    mesh: Mesh
    held_out: HeldOut
    trained_from: int | None = None
    provenance: Provenance
    workdir: AnyPath = Path()
    profile: ProfileConfig = NO_PROFILE

    @functools.cached_property
    def weights(self) -> LossWeights:
        """λ and α of all members, for evaluations."""
        return sweep.stack_member_weights(self.members)

    @functools.cached_property
    def keys(self) -> Key[Array, " members"]:
        """Root noise keys of all members."""
        return sweep.stack_member_noise_keys(self.members)

    def stage(self, step: int) -> Stage:
        """Returns the stage of a step, counted from 1."""
        return next(stage for stage in self.stages if step <= stage.stop)

    def call_step(
        self,
        function: Callable,
        step: int,
        state: TrainState,
        batch: UInt8[Array, "b h w 3"],
    ) -> Any:
        """Calls `sweep.train_members`, or a function with its arguments, for a step.

        Args:
          function: The function.
          step: The step, counted from 1.
          state: State of all members.
          batch: Crops of the step.
        """
        stage = self.stage(step)
        with jax.set_mesh(self.mesh):
            return function(
                state,
                batch,
                stage.weights(step - 1),
                self.keys,
                static_config=stage.static_config,
                in_one_program=sweep.runs_members_in_one_program(self.mesh),
            )

    def logs_at(self, step: int) -> bool:
        """Returns whether `step` is logged."""
        return self._is_due(step, self.intervals.log_every)

    def evaluates_at(self, step: int) -> bool:
        """Returns whether `step` is followed by an evaluation."""
        intervals = self.intervals
        return self._is_due(step, intervals.eval_every, intervals.checkpoint_every)

    def saves_at(self, step: int) -> bool:
        """Returns whether `step` is followed by a checkpoint."""
        return self._is_due(step, self.intervals.checkpoint_every)

    def _is_due(self, step: int, *intervals: int) -> bool:
        """Returns whether `step` ends one of the intervals or the run."""
        return step == self.static_config.steps or any(
            step % interval == 0 for interval in intervals
        )
