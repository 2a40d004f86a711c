"""The loop over batches: steps, logs, evaluations, checkpoints, and how it ends."""

import dataclasses
import functools
from collections.abc import Iterator, Mapping

import jax
import numpy as np
from jax.sharding import Mesh
from jaxtyping import Array, Key, UInt8

from jaxcorr import saved_model
from jaxcorr.errors import UserError
from jaxcorr.provenance import Provenance, SweepMember
from jaxcorr.saved_model import Model
from jaxcorr.training import distributed, sharding, sweep
from jaxcorr.training.checkpoints import Checkpoints, IntervalConfig
from jaxcorr.training.logger import RunLogger
from jaxcorr.training.loss import LossWeights, Metrics
from jaxcorr.training.step import NEVER, StaticConfig, TrainState


class Preempted(Exception):
    """The run was asked to stop, and saved a checkpoint first."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Run:
    """What stays the same while a run goes.

    Attributes:
      static_config: Settings of the compiled step.
      members: What is trained with it: one run, or those of a sweep.
      intervals: How often to log, evaluate and save.
      batch_size: Crops in a batch.
      mesh: The devices.
      held_out: Crops that are never trained on, 0 to 255.
      provenance: What model folders of this run have in common.
    """

    static_config: StaticConfig
    members: tuple[SweepMember, ...]
    intervals: IntervalConfig
    batch_size: int
    mesh: Mesh
    held_out: UInt8[np.ndarray, "n h w 3"]
    provenance: Provenance

    @functools.cached_property
    def weights(self) -> LossWeights:
        """λ and α of all members."""
        return sweep.stacked_weights(self.members)

    @functools.cached_property
    def keys(self) -> Key[Array, " members"]:
        """Roots of the noise of all members."""
        return sweep.stacked_noise_keys(self.members)

    def is_due(self, step: int, *intervals: int) -> bool:
        """Returns whether a step ends one of the intervals, or the run."""
        return step == self.static_config.steps or any(
            step % each == 0 for each in intervals
        )


def train(
    run: Run,
    state: TrainState,
    batches: Iterator[UInt8[np.ndarray, "rows h w 3"]],
    checkpoints: Checkpoints,
    log: RunLogger,
) -> TrainState:
    """Trains until the end of the run.

    Args:
      run: Settings and devices.
      state: Where to start, of all members; its buffers are donated.
      batches: This process's rows of each batch, from the step where `state` is.
      checkpoints: Where to save.
      log: Where to tell.

    Returns:
      The state after the last step, which is also saved.

    Raises:
      UserError: If loss or gradient is not finite, of every member in a sweep; earlier
        checkpoints stay. Or if a checkpoint cannot be written.
      Preempted: If SIGTERM or Ctrl-C arrived; a checkpoint was saved.
    """
    intervals, last = run.intervals, run.static_config.steps
    first = int(np.max(sharding.to_host(state.step, run.mesh))) + 1
    progress = _Progress(run, first, log)
    with distributed.stop_requests() as stop_requested:
        for step in range(first, last + 1):
            state, metrics = _take_step(run, state, next(batches))
            progress.tell(step, metrics)
            stopping = stop_requested(step) and step < last
            saving = stopping or run.is_due(step, intervals.checkpoint_every)
            evaluating = run.is_due(
                step, intervals.eval_every, intervals.checkpoint_every
            )
            if not (saving or evaluating):
                continue
            progress.catch_up(metrics)
            losses: dict[int, float] = {}
            if evaluating:
                losses, state = _evaluate(run, state, step, progress, log)
            if saving:
                models = _models(run, state, step, losses, progress.going)
                checkpoints.save(step, state, models, losses)
            log.restart_timer(step)
            if stopping:
                raise Preempted(f"Stopped after step {step} and saved a checkpoint")
    return state


class _Progress:
    """Follows the members of a run: logs their metrics, and takes out those that fail.

    Attributes:
      going: Numbers of the members that go on; the others have stopped at a loss or
        gradient that was not finite.
    """

    def __init__(self, run: Run, first: int, log: RunLogger):
        self._run = run
        self._first = first
        self._log = log
        self._waiting: tuple[int, Metrics] | None = None
        self.going = list(range(len(run.members)))

    def tell(self, step: int, metrics: Metrics) -> None:
        """Logs the step before, if it is one to log, while this one runs.

        So the device never waits for the host.

        Raises:
          UserError: If loss or gradient is not finite, of every member.
        """
        self._tell_waiting()
        if self._run.is_due(step, self._run.intervals.log_every):
            self._waiting = (step, metrics)
        elif step == self._first:
            jax.block_until_ready(metrics)
            self._log.restart_timer(step)

    def catch_up(self, metrics: Metrics) -> None:
        """Waits for the step that runs, and logs it if it is one to log.

        Raises:
          UserError: As `tell`.
        """
        self._note(metrics)
        self._tell_waiting()

    def stop(self, steps: Mapping[int, int], what: str) -> None:
        """Takes members out, given the step at which each failed.

        Raises:
          UserError: If none is left.
        """
        self.going = [number for number in self.going if number not in steps]
        for number, step in steps.items():
            failure = f"{what} is not finite at step {step}"
            if self.going:
                member = self._run.members[number]
                self._log.log_message(
                    f"member {number} ({member}) stops: {failure}; the others go on"
                )
            else:
                raise UserError(
                    f"{failure}; checkpoints before it are kept. "
                    "Try a lower optimizer.learning-rate"
                )

    def _tell_waiting(self) -> None:
        if self._waiting is None:
            return
        step, metrics = self._waiting
        self._waiting = None
        self._note(metrics)
        values = _of_members(metrics, self.going)
        for each in values.values():
            del each["failed_at"]
        self._log.log_step(step, values)

    def _note(self, metrics: Metrics) -> None:
        """Takes out members whose training step failed."""
        failed_at = np.asarray(metrics["failed_at"])
        steps = {
            number: int(failed_at[number]) + 1
            for number in self.going
            if failed_at[number] != NEVER
        }
        self.stop(steps, "loss or gradient")


def _take_step(
    run: Run, state: TrainState, rows: UInt8[np.ndarray, "rows h w 3"]
) -> tuple[TrainState, Metrics]:
    batch = sharding.shard_batch(rows, run.mesh, run.batch_size)
    with jax.set_mesh(run.mesh):
        return sweep.train_members(
            state,
            batch,
            run.weights,
            run.keys,
            static_config=run.static_config,
            in_one_program=sweep.runs_members_in_one_program(run.mesh),
        )


def _of_members(metrics: Metrics, numbers: list[int]) -> dict[int, dict[str, float]]:
    """Metrics of some members, as numbers."""
    on_host = jax.device_get(metrics)
    return {
        number: {name: float(values[number]) for name, values in on_host.items()}
        for number in numbers
    }


def _evaluate(
    run: Run, state: TrainState, step: int, progress: _Progress, log: RunLogger
) -> tuple[dict[int, float], TrainState]:
    """Logs metrics on the held-out crops.

    Returns:
      Rate-distortion loss of each member that goes on, and the state, in which those
      without a finite one have stopped.
    """
    with jax.set_mesh(run.mesh):
        metrics, made = sweep.evaluate_members(
            state.parameters,
            sharding.shard_images(run.held_out, run.mesh),
            run.weights,
            static_config=run.static_config,
            in_one_program=sweep.runs_members_in_one_program(run.mesh),
        )
    values = _of_members(metrics, progress.going)
    losses = {number: each["rate_distortion"] for number, each in values.items()}
    lost = {number: step for number, loss in losses.items() if not np.isfinite(loss)}
    if lost:
        progress.stop(lost, "loss on held-out crops")
        stopped = [number in lost for number in range(len(run.members))]
        state = sweep.freeze_members(state, step, stopped)
    shown = np.asarray(made)
    originals = run.held_out[: shown.shape[1]].astype(np.float32) / 255
    for number in progress.going:
        log.log_held_out(step, number, values[number], originals, shown[number])
    return {number: losses[number] for number in progress.going}, state


def _models(
    run: Run,
    state: TrainState,
    step: int,
    losses: Mapping[int, float],
    going: list[int],
) -> dict[int, Model]:
    """Models of the members that go on; in the process that writes them."""
    parameters = sharding.to_host(state.parameters, run.mesh)
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
        for number in going
    }
