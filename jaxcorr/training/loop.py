"""The loop over batches: steps, logs, evaluations, checkpoints, and how it ends."""

import dataclasses
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
      UserError: If loss or gradient is not finite. The last checkpoint stays as it is.
      Preempted: If SIGTERM arrived; a checkpoint was saved.
    """
    recipe, cadence = run.recipe, run.cadence
    weights = recipe.objective.weights
    first = int(state.step)
    waiting: tuple[int, Metrics] | None = None
    with _stop_requests() as stop_requested:
        for step in range(first + 1, recipe.steps + 1):
            batch = meshes.split_batch(next(batches), run.mesh)
            with jax.set_mesh(run.mesh):
                state, metrics = train_step(
                    state, batch, weights, run.key, recipe=recipe
                )
            # Logged a step late, so that the device never waits for the host.
            if waiting:
                _log(logs, state, *waiting)
                waiting = None
            if step == first + 1:
                jax.block_until_ready(metrics)
                logs.restart_clock(step)
            if step % cadence.log == 0 or step == recipe.steps:
                waiting = (step, metrics)
            due = step % cadence.checkpoint == 0 or step == recipe.steps
            stopping = stop_requested()
            if due or stopping or step % cadence.evaluate == 0:
                if waiting:
                    _log(logs, state, *waiting)
                    waiting = None
                _check_finite(state)
                loss = None if stopping else _evaluate(run, state, step, logs)
                if due or stopping:
                    checkpoints.save(step, state, _model(run, state, step, loss))
                logs.restart_clock(step)
            if stopping:
                raise Preempted(f"stopped after step {step}; a checkpoint is saved")
    return state


def _log(logs: Logs, state: TrainState, step: int, metrics: Metrics) -> None:
    _check_finite(state)
    logs.train(step, jax.device_get(metrics))


def _check_finite(state: TrainState) -> None:
    failed_at = int(state.failed_at)
    if failed_at != NEVER:
        raise UserError(
            f"loss or gradient is not finite at step {failed_at + 1}; the last "
            "checkpoint is kept. Try a lower optimizer.learning-rate"
        )


def _evaluate(run: Run, state: TrainState, step: int, logs: Logs) -> float:
    """Logs metrics on the held-out crops and returns their rate-distortion loss."""
    placed = meshes.replicate(run.held_out, run.mesh)
    with jax.set_mesh(run.mesh):
        metrics, reconstructions = evaluation_step(
            state.parameters, placed, run.recipe.objective.weights, recipe=run.recipe
        )
    values = {name: float(value) for name, value in jax.device_get(metrics).items()}
    shown = np.asarray(reconstructions[:PICTURES])
    originals = run.held_out[:PICTURES].astype(np.float32) / 255
    logs.held_out(step, values, originals, shown)
    return values["rate_distortion"]


def _model(run: Run, state: TrainState, step: int, loss: float | None) -> Model:
    return model_folder.make_model(
        run.recipe.codec,
        jax.device_get(state.parameters),
        about={**run.about, "step": step, HELD_OUT_LOSS: loss},
    )


class _stop_requests:
    """Notes SIGTERM instead of dying from it, while the block runs."""

    def __enter__(self) -> Callable[[], bool]:
        self._requested = threading.Event()
        self._previous = None
        if threading.current_thread() is threading.main_thread():
            handler = lambda *_: self._requested.set()
            self._previous = signal.signal(signal.SIGTERM, handler)
        return self._requested.is_set

    def __exit__(self, *_: object) -> None:
        if self._previous is not None:
            signal.signal(signal.SIGTERM, self._previous)
