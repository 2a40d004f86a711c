"""The loop over batches: steps, logs, evaluations, checkpoints, and how it ends."""

import contextlib
import dataclasses
import math
import signal
import threading
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh
from jaxtyping import Array, Key, UInt8

from jaxcorr import model_folder
from jaxcorr.errors import UserError
from jaxcorr.model_folder import HELD_OUT_LOSS, Model
from jaxcorr.training import mesh as meshes
from jaxcorr.training.checkpoints import Cadence, Checkpoints
from jaxcorr.training.logs import Logs
from jaxcorr.training.objective import Metrics
from jaxcorr.training.step import (
    NEVER,
    Recipe,
    TrainState,
    evaluation_step,
    train_step,
)

PICTURES = 4
"""Held-out crops that are shown in TensorBoard."""


class Preempted(Exception):
    """The run was asked to stop, and saved a checkpoint first."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Run:
    """What stays the same while a run goes.

    Attributes:
      recipe: Settings of the compiled step.
      cadence: How often to log, evaluate and save.
      key: Root of all noise.
      mesh: The devices.
      held_out: Crops that are never trained on, 0 to 255.
      about: What to write into model folders about this run.
    """

    recipe: Recipe
    cadence: Cadence
    key: Key[Array, ""]
    mesh: Mesh
    held_out: UInt8[np.ndarray, "n h w 3"]
    about: Mapping[str, Any]


def train(
    run: Run,
    state: TrainState,
    batches: Iterator[UInt8[np.ndarray, "rows h w 3"]],
    checkpoints: Checkpoints,
    logs: Logs,
) -> TrainState:
    """Trains until the end of the run.

    Args:
      run: Settings and devices.
      state: Where to start; its buffers are donated.
      batches: This process's rows of each batch, from the step where `state` is.
      checkpoints: Where to save.
      logs: Where to tell.

    Returns:
      The state after the last step, which is also saved.

    Raises:
      UserError: If loss or gradient is not finite. Earlier checkpoints stay.
      Preempted: If SIGTERM or Ctrl-C arrived; a checkpoint was saved.
    """
    recipe, cadence = run.recipe, run.cadence
    weights = recipe.objective.weights
    first, last = int(state.step) + 1, recipe.steps
    waiting: tuple[int, Metrics] | None = None
    with _stop_requests() as stop_requested:
        for step in range(first, last + 1):
            batch = meshes.split_batch(next(batches), run.mesh)
            with jax.set_mesh(run.mesh):
                state, metrics = train_step(
                    state, batch, weights, run.key, recipe=recipe
                )
            # Logged a step late, so that the device never waits for the host.
            if waiting:
                _log(logs, *waiting)
            waiting = None
            if step % cadence.log == 0 or step == last:
                waiting = (step, metrics)
            elif step == first:
                jax.block_until_ready(metrics)
                logs.restart_clock(step)

            stopping = stop_requested() and step < last
            due = step % cadence.checkpoint == 0 or step == last
            if due or stopping or step % cadence.evaluate == 0:
                _check_finite(metrics)
                if waiting:
                    _log(logs, *waiting)
                waiting = None
                evaluating = due or step % cadence.evaluate == 0
                loss = _evaluate(run, state, step, logs) if evaluating else None
                if due or stopping:
                    checkpoints.save(step, state, _model(run, state, step, loss))
                logs.restart_clock(step)
            if stopping:
                raise Preempted(f"Stopped after step {step} and saved a checkpoint")
    return state


def _log(logs: Logs, step: int, metrics: Metrics) -> None:
    _check_finite(metrics)
    values = {name: float(value) for name, value in jax.device_get(metrics).items()}
    del values["failed_at"]
    logs.train(step, values)


def _check_finite(metrics: Metrics) -> None:
    failed_at = int(metrics["failed_at"])
    if failed_at != NEVER:
        raise _not_finite("loss or gradient", failed_at + 1)


def _not_finite(what: str, step: int) -> UserError:
    return UserError(
        f"{what} is not finite at step {step}; checkpoints before it are kept. "
        "Try a lower optimizer.learning-rate"
    )


def _evaluate(run: Run, state: TrainState, step: int, logs: Logs) -> float:
    """Logs metrics on the held-out crops and returns their rate-distortion loss."""
    placed = meshes.spread(run.held_out, run.mesh)
    with jax.set_mesh(run.mesh):
        metrics, reconstructions = evaluation_step(
            state.parameters, placed, run.recipe.objective.weights, recipe=run.recipe
        )
    values = {name: float(value) for name, value in jax.device_get(metrics).items()}
    loss = values["rate_distortion"]
    if not math.isfinite(loss):
        raise _not_finite("loss on held-out crops", step)
    shown = np.asarray(reconstructions[:PICTURES])
    originals = run.held_out[:PICTURES].astype(np.float32) / 255
    logs.held_out(step, values, originals, shown)
    return loss


def _model(run: Run, state: TrainState, step: int, loss: float | None) -> Model:
    return model_folder.make_model(
        run.recipe.codec,
        jax.device_get(state.parameters),
        about={**run.about, "step": step, HELD_OUT_LOSS: loss},
    )


@contextlib.contextmanager
def _stop_requests() -> Iterator[Callable[[], bool]]:
    """Notes SIGTERM and Ctrl-C instead of obeying, but obeys a second Ctrl-C."""
    requested = threading.Event()

    def note(number, _):
        requested.set()
        if number == signal.SIGINT:
            signal.signal(number, previous[number])

    # Python allows handlers in the main thread alone.
    main = threading.current_thread() is threading.main_thread()
    numbers = (signal.SIGTERM, signal.SIGINT) if main else ()
    previous = {number: signal.signal(number, note) for number in numbers}
    try:
        yield requested.is_set
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
