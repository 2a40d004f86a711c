"""The training loop: steps, logs, evaluations, checkpoints and early stops."""

import dataclasses
from collections.abc import Iterator, Mapping

import numpy as np
from jaxtyping import Array, UInt8

from jaxcorr import saved_model
from jaxcorr.model import Model
from jaxcorr.training import distributed, evaluation, sharding, sweep
from jaxcorr.training.batch_transfer import BatchTransfer
from jaxcorr.training.checkpoints import Checkpoints
from jaxcorr.training.logger import RunLogger
from jaxcorr.training.profiler import Profiler
from jaxcorr.training.progress import Progress, member_metrics
from jaxcorr.training.run import Run
from jaxcorr.training.train_state import TrainState


class Preempted(Exception):
    """The run was asked to stop and has saved a checkpoint.

    Args:
      message: What happened, in words.
      by_user: Whether Ctrl-C asked for it in this process, not SIGTERM.

    Attributes:
      by_user: Whether Ctrl-C asked for it in this process, not SIGTERM.
    """

    def __init__(self, message: str, *, by_user: bool):
        super().__init__(message)
        self.by_user = by_user


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
    progress = Progress(run, first, log)
    if first - 1 == run.trained_from:
        _log_evaluation(run, state, first - 1, progress.active_members, log)
    metrics = None
    with (
        distributed.stop_requests() as requests,
        BatchTransfer(_shard_batches(run, batches, first)) as transfer,
        Profiler(run.profile, run.workdir) as profiler,
    ):
        for step in range(first, last + 1):
            stage = run.stage(step)
            if step == stage.start + 1 > 1:
                log.log_message(f"stage from {stage.start}: {stage.description}")
            batch, waited = transfer.take(metrics)
            log.log_data_wait(waited)
            profiler.before_step(step)
            state, metrics = run.call_step(sweep.train_members, step, state, batch)
            profiler.after_step(step, metrics)
            # The previous step is logged while this one runs, so no device waits.
            progress.log_pending_step()
            progress.set_pending_step(step, metrics)
            progress.count_flops(step, state, batch)

            stopping = requests.stop_after(step) and step < last
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
                raise Preempted(
                    f"Stopped after step {step} and saved a checkpoint",
                    by_user=requests.by_user,
                )
    return state


def _shard_batches(
    run: Run, batches: Iterator[UInt8[np.ndarray, "rows h w 3"]], first: int
) -> Iterator[UInt8[Array, "b h w 3"]]:
    """Yields the batch of each step from `first` on, sharded over the devices."""
    for step in range(first, run.static_config.steps + 1):
        batch_size = run.stage(step).batch_size
        yield sharding.shard_batch(next(batches), run.mesh, batch_size)


def _evaluate(
    run: Run, state: TrainState, step: int, progress: Progress, log: RunLogger
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
    values = member_metrics(metrics, members)
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
