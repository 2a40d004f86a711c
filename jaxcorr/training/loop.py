"""The training loop: steps, logs, evaluations, checkpoints and early stops."""

import dataclasses
from collections.abc import Iterator, Mapping

import jax
import numpy as np
from jaxtyping import Array, ArrayLike, Num, UInt8

from jaxcorr import saved_model
from jaxcorr.errors import UserError
from jaxcorr.model import Model
from jaxcorr.training import distributed, evaluation, sharding, sweep
from jaxcorr.training.batch_transfer import BatchTransfer
from jaxcorr.training.checkpoints import Checkpoints
from jaxcorr.training.logger import RunLogger
from jaxcorr.training.loss import Metrics
from jaxcorr.training.run import Run
from jaxcorr.training.train_state import NEVER, TrainState


class Preempted(Exception):
    """The run was asked to stop and has saved a checkpoint."""


def train(
    run: Run,
    state: TrainState,
    batches: Iterator[UInt8[np.ndarray, "rows h w 3"]],
    checkpoints: Checkpoints,
    log: RunLogger,
) -> TrainState:
    """Trains all members until the end of the run.

    A run that starts from trained parameters evaluates them first.

    Args:
      run: Settings and devices.
      state: State of all members to start from. Its buffers are donated.
      batches: Rows of each batch that this process reads, from the step of `state` on.
      checkpoints: Checkpoints of the run directory.
      log: Receives metrics and messages.

    Returns:
      The state after the last step, which is also saved.

    Raises:
      UserError: If the loss or gradient of every member is no longer finite (earlier
        checkpoints stay), or if a checkpoint cannot be written.
      Preempted: If SIGTERM or Ctrl-C arrived. A checkpoint was saved before.
    """
    last = run.static_config.steps
    first = int(np.max(sharding.to_host(state.step, run.mesh))) + 1
    progress = _Progress(run, first, log)
    if first - 1 == run.trained_from:
        _log_evaluation(run, state, first - 1, progress.active_members, log)
    metrics = None
    with (
        distributed.stop_requests() as stop_requested,
        BatchTransfer(_shard_batches(run, batches, first)) as transfer,
    ):
        for step in range(first, last + 1):
            stage = run.stage(step)
            if step == stage.start + 1 > 1:
                log.log_message(f"stage from {stage.start}: {stage.description}")
            batch, waited = transfer.take(metrics)
            log.log_data_wait(waited)
            state, metrics = _take_step(run, step, state, batch)
            # The previous step is logged while this one runs, so no device waits.
            progress.log_pending_step()
            progress.set_pending_step(step, metrics)

            stopping = stop_requested(step) and step < last
            saving = stopping or run.saves_at(step)
            evaluating = run.evaluates_at(step)
            if not (saving or evaluating):
                continue
            progress.stop_failed_members(metrics)
            progress.log_pending_step()
            losses: dict[int, float] = {}
            if evaluating:
                losses, state = _evaluate(run, state, step, progress, log)
            if saving:
                models = _make_models(run, state, step, losses, progress.active_members)
                checkpoints.save(step, state, models, losses)
            log.restart_timer(step)
            if stopping:
                raise Preempted(f"Stopped after step {step} and saved a checkpoint")
    return state


class _Progress:
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
        self.active_members = list(range(len(run.members)))

    def set_pending_step(self, step: int, metrics: Metrics) -> None:
        """Keeps the metrics of a running step for `log_pending_step`, if it is due."""
        if self._run.logs_at(step):
            self._pending = (step, metrics)
        elif step in (self._first, self._run.stage(step).start + 1):
            # The first step includes compilation, which is not training time.
            jax.block_until_ready(metrics)
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
        values = _member_metrics(metrics, self.active_members)
        for member_values in values.values():
            del member_values["failed_at"]
        stage = self._run.stage(step)
        self._log.log_step(step, values, batch_size=stage.batch_size)

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


def _shard_batches(
    run: Run, batches: Iterator[UInt8[np.ndarray, "rows h w 3"]], first: int
) -> Iterator[UInt8[Array, "b h w 3"]]:
    """Yields the batch of each step from `first` on, sharded over the devices."""
    for step in range(first, run.static_config.steps + 1):
        batch_size = run.stage(step).batch_size
        yield sharding.shard_batch(next(batches), run.mesh, batch_size)


def _take_step(
    run: Run, step: int, state: TrainState, batch: UInt8[Array, "b h w 3"]
) -> tuple[TrainState, Metrics]:
    stage = run.stage(step)
    with jax.set_mesh(run.mesh):
        return sweep.train_members(
            state,
            batch,
            stage.weights(step - 1),
            run.keys,
            static_config=stage.static_config,
            in_one_program=sweep.runs_members_in_one_program(run.mesh),
        )


def _member_metrics(
    metrics: Mapping[str, Num[ArrayLike, " members"]], numbers: list[int]
) -> dict[int, dict[str, float]]:
    """Copies the metrics of some members to the host."""
    on_host = jax.device_get(metrics)
    return {
        number: {name: float(values[number]) for name, values in on_host.items()}
        for number in numbers
    }


def _evaluate(
    run: Run, state: TrainState, step: int, progress: _Progress, log: RunLogger
) -> tuple[dict[int, float], TrainState]:
    """Evaluates on held-out images, and stops members whose loss is not finite.

    Returns:
      Rate-distortion loss of each active member, and the state, in which the stopped
      members are frozen.
    """
    losses = _log_evaluation(run, state, step, progress.active_members, log)
    failed = {number: step for number, loss in losses.items() if not np.isfinite(loss)}
    if failed:
        progress.stop_members(failed, "loss on held-out images")
        frozen = [number in failed for number in range(len(run.members))]
        state = sweep.freeze_members(state, step, frozen)
    return {number: losses[number] for number in progress.active_members}, state


def _log_evaluation(
    run: Run, state: TrainState, step: int, members: list[int], log: RunLogger
) -> dict[int, float]:
    """Evaluates members on held-out images, and returns their losses."""
    metrics, pictures = evaluation.evaluate(run, state.evaluated)
    values = _member_metrics(metrics, members)
    originals = run.held_out.crops[: pictures.shape[1]].astype(np.float32) / 255
    losses = {number: values[number]["rate_distortion"] for number in members}
    for number in members:
        if np.isfinite(losses[number]):
            log.log_held_out(step, number, values[number], originals, pictures[number])
    return losses


def _make_models(
    run: Run,
    state: TrainState,
    step: int,
    losses: Mapping[int, float],
    members: list[int],
) -> dict[int, Model]:
    """Makes the models of some members, in the process that writes them."""
    parameters = sharding.to_host(state.evaluated, run.mesh)
    if not distributed.is_first_process():
        return {}
    return {
        number: saved_model.make_model(
            run.static_config.codec,
            {name: array[number] for name, array in parameters.items()},
            provenance=dataclasses.replace(
                run.provenance,
                member=run.members[number],
                step=step,
                held_out_loss=losses.get(number),
            ),
        )
        for number in members
    }
