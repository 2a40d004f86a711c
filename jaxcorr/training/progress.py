"""The progress of a run: its metrics, its speed, and members that fail."""

from collections.abc import Mapping

import jax
import numpy as np
from jaxtyping import Array, ArrayLike, Num, UInt8

from jaxcorr.errors import UserError
from jaxcorr.training import distributed, step_cost
from jaxcorr.training.logger import RunLogger
from jaxcorr.training.loss import Metrics
from jaxcorr.training.run import Run
from jaxcorr.training.train_state import NEVER, TrainState


class Progress:
    """Logs training metrics, and tracks the members that are still training.

    A member stops at its first loss or gradient that is not finite.

    Attributes:
      active_members: Numbers of the members that are still training.
    """

    def __init__(self, run: Run, first: int, log: RunLogger):
        self._run = run
        self._first = first
        self._log = log
        self._pending: tuple[int, Metrics] | None = None
        self._flops: dict[int, float | None] = {}
        self.active_members = list(range(len(run.members)))

    def set_pending_step(self, step: int, metrics: Metrics) -> None:
        """Keeps the metrics of a running step for `log_pending_step`, if it is due."""
        if self._run.logs_at(step):
            self._pending = (step, metrics)
        elif step in (self._first, self._run.stage(step).start + 1):
            # The first step includes compilation, which is not training time.
            jax.block_until_ready(metrics)
            self._log.restart_timer(step)

    def count_flops(
        self, step: int, state: TrainState, batch: UInt8[Array, "b h w 3"]
    ) -> None:
        """Counts the operations of a step, after the first step of each stage."""
        stage = self._run.stage(step)
        if stage.start in self._flops or not distributed.is_first_process():
            return
        self._flops[stage.start] = self._run.call_step(
            step_cost.train_flops, step, state, batch
        )
        if self._pending is None:
            self._log.restart_timer(step)

    def log_pending_step(self) -> None:
        """Waits for the pending step and logs it, if there is one.

        Raises:
          UserError: If no member is left.
        """
        if self._pending is None:
            return
        step, metrics = self._pending
        self._pending = None
        self.stop_failed_members(metrics)
        values = member_metrics(metrics, self.active_members)
        for member_values in values.values():
            del member_values["failed_at"]
        stage = self._run.stage(step)
        self._log.log_step(
            step,
            values,
            batch_size=stage.batch_size,
            flops=self._flops.get(stage.start),
        )

    def stop_failed_members(self, metrics: Metrics) -> None:
        """Waits for a training step and stops the members that have failed.

        Raises:
          UserError: If no member is left.
        """
        failed_at = np.asarray(metrics["failed_at"])
        steps = {
            number: int(failed_at[number]) + 1
            for number in self.active_members
            if failed_at[number] != NEVER
        }
        self.stop_members(steps, "loss or gradient")

    def stop_members(self, steps: Mapping[int, int], cause: str) -> None:
        """Stops members.

        Args:
          steps: Step at which each member failed, by the number of the member.
          cause: The quantity that is not finite.

        Raises:
          UserError: If no member is left.
        """
        self.active_members = [n for n in self.active_members if n not in steps]
        for number, step in steps.items():
            failure = f"{cause} is not finite at step {step}"
            if self.active_members:
                member = self._run.members[number]
                self._log.log_message(
                    f"member {number} ({member}) stops: {failure}; the others go on"
                )
            else:
                raise UserError(
                    f"{failure}; checkpoints before it are kept. "
                    "Try a lower optimizer.learning-rate"
                )


def member_metrics(
    metrics: Mapping[str, Num[ArrayLike, " members"]], numbers: list[int]
) -> dict[int, dict[str, float]]:
    """Copies the metrics of some members to the host."""
    on_host = jax.device_get(metrics)
    return {
        number: {name: float(values[number]) for name, values in on_host.items()}
        for number in numbers
    }
