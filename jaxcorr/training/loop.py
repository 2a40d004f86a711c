"""The loop over batches: steps, logs, evaluations, checkpoints, and how it ends."""

import dataclasses
from collections.abc import Iterator, Mapping

import jax
import numpy as np
from jax.sharding import Mesh
from jaxtyping import UInt8

from jaxcorr import model_folder
from jaxcorr.errors import UserError
from jaxcorr.model_folder import Model
from jaxcorr.provenance import Provenance, SweepMember
from jaxcorr.training import mesh as meshes
from jaxcorr.training import processes, sweep
from jaxcorr.training.checkpoints import Cadence, Checkpoints
from jaxcorr.training.logs import Log
from jaxcorr.training.objective import Metrics
from jaxcorr.training.step import NEVER, Recipe, TrainState
from jaxcorr.training.sweep import Member


class Preempted(Exception):
    """The run was asked to stop, and saved a checkpoint first."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Run:
    """What stays the same while a run goes.

    Attributes:
      recipe: Settings of the compiled step.
      members: What is trained with it: one run, or those of a sweep.
      cadence: How often to log, evaluate and save.
      batch_size: Crops in a batch.
      mesh: The devices.
      held_out: Crops that are never trained on, 0 to 255.
      provenance: What model folders of this run have in common.
    """

    recipe: Recipe
    members: tuple[Member, ...]
    cadence: Cadence
    batch_size: int
    mesh: Mesh
    held_out: UInt8[np.ndarray, "n h w 3"]
    provenance: Provenance


def train(
    run: Run,
    state: TrainState,
    batches: Iterator[UInt8[np.ndarray, "rows h w 3"]],
    checkpoints: Checkpoints,
    log: Log,
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
    cadence, last = run.cadence, run.recipe.steps
    weights, keys = sweep.weights_of(run.members), sweep.noise_keys(run.members)
    failures = _Failures(run.members, log)
    first = int(np.max(meshes.whole(state.step, run.mesh))) + 1
    waiting: tuple[int, Metrics] | None = None
    with processes.stop_requests() as stop_requested:
        for step in range(first, last + 1):
            batch = meshes.split_batch(next(batches), run.mesh, run.batch_size)
            with jax.set_mesh(run.mesh):
                state, metrics = sweep.train_step(
                    state,
                    batch,
                    weights,
                    keys,
                    recipe=run.recipe,
                    together=sweep.are_together(run.mesh),
                )
            # Logged a step late, so that the device never waits for the host.
            if waiting:
                _log(log, failures, *waiting)
            waiting = None
            if step % cadence.log == 0 or step == last:
                waiting = (step, metrics)
            elif step == first:
                jax.block_until_ready(metrics)
                log.restart_clock(step)

            stopping = stop_requested(step) and step < last
            due = step % cadence.checkpoint == 0 or step == last
            if due or stopping or step % cadence.evaluate == 0:
                failures.note(metrics)
                if waiting:
                    _log(log, failures, *waiting)
                waiting = None
                losses: dict[int, float] = {}
                if due or step % cadence.evaluate == 0:
                    losses, state = _evaluate(run, state, step, failures, log)
                if due or stopping:
                    models = _models(run, state, step, losses, failures.going)
                    checkpoints.save(step, state, models, losses)
                log.restart_clock(step)
            if stopping:
                raise Preempted(f"Stopped after step {step} and saved a checkpoint")
    return state


class _Failures:
    """Which members go on; the others have stopped at a loss that was not finite."""

    def __init__(self, members: tuple[Member, ...], log: Log):
        self._members = members
        self._log = log
        self.going = list(range(len(members)))

    def note(self, metrics: Metrics) -> None:
        """Takes notice of members whose training step failed.

        Raises:
          UserError: If none is left.
        """
        failed_at = np.asarray(metrics["failed_at"])
        steps = {
            number: int(failed_at[number]) + 1
            for number in self.going
            if failed_at[number] != NEVER
        }
        self.stop(steps, "loss or gradient")

    def stop(self, steps: Mapping[int, int], what: str) -> None:
        """Takes members out, given the step at which each failed.

        Raises:
          UserError: If none is left.
        """
        self.going = [number for number in self.going if number not in steps]
        for number, step in steps.items():
            failure = f"{what} is not finite at step {step}"
            if self.going:
                member = self._members[number]
                self._log.say(
                    f"member {number} ({member}) stops: {failure}; the others go on"
                )
            else:
                raise UserError(
                    f"{failure}; checkpoints before it are kept. "
                    "Try a lower optimizer.learning-rate"
                )


def _log(log: Log, failures: _Failures, step: int, metrics: Metrics) -> None:
    failures.note(metrics)
    values = _of_members(metrics, failures.going)
    for each in values.values():
        del each["failed_at"]
    log.train(step, values)


def _of_members(metrics: Metrics, numbers: list[int]) -> dict[int, dict[str, float]]:
    """Metrics of some members, as numbers."""
    on_host = jax.device_get(metrics)
    return {
        number: {name: float(values[number]) for name, values in on_host.items()}
        for number in numbers
    }


def _evaluate(
    run: Run, state: TrainState, step: int, failures: _Failures, log: Log
) -> tuple[dict[int, float], TrainState]:
    """Logs metrics on the held-out crops.

    Returns:
      Rate-distortion loss of each member that goes on, and the state, in which those
      without a finite one have stopped.
    """
    with jax.set_mesh(run.mesh):
        metrics, made = sweep.evaluation_step(
            state.parameters,
            meshes.spread(run.held_out, run.mesh),
            sweep.weights_of(run.members),
            recipe=run.recipe,
            together=sweep.are_together(run.mesh),
        )
    values = _of_members(metrics, failures.going)
    losses = {number: each["rate_distortion"] for number, each in values.items()}
    lost = {number: step for number, loss in losses.items() if not np.isfinite(loss)}
    if lost:
        failures.stop(lost, "loss on held-out crops")
        stopped = [number in lost for number in range(len(run.members))]
        state = sweep.stop(state, step, stopped)
    shown = np.asarray(made)
    originals = run.held_out[: shown.shape[1]].astype(np.float32) / 255
    for number in failures.going:
        log.held_out(step, number, values[number], originals, shown[number])
    return {number: losses[number] for number in failures.going}, state


def _models(
    run: Run,
    state: TrainState,
    step: int,
    losses: Mapping[int, float],
    going: list[int],
) -> dict[int, Model]:
    """Models of the members that go on; in the process that writes them."""
    parameters = meshes.whole(state.parameters, run.mesh)
    if not processes.is_first():
        return {}
    return {
        number: model_folder.make_model(
            run.recipe.codec,
            {name: array[number] for name, array in parameters.items()},
            provenance=dataclasses.replace(
                run.provenance,
                member=SweepMember(**dataclasses.asdict(run.members[number])),
                step=step,
                held_out_loss=losses.get(number),
            ),
        )
        for number in going
    }
