"""The loop around a step that computes nothing."""

import dataclasses
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxcorr.codec import CodecSettings
from jaxcorr.errors import UserError
from jaxcorr.training import loop
from jaxcorr.training import mesh as meshes
from jaxcorr.training.checkpoints import Cadence, Checkpoints
from jaxcorr.training.logs import Logs
from jaxcorr.training.objective import Objective
from jaxcorr.training.optimizer import Optimizer
from jaxcorr.training.step import NEVER, Recipe, Step, TrainState

STEPS = 13


class Events(Checkpoints, Logs):
    """What happened in which order; stands in for checkpoints and logs."""

    def __init__(self):
        self.all: list[tuple[str, int]] = []

    def save(self, step, state, model):
        self.all.append(("save", step))

    def train(self, step, metrics):
        self.all.append(("log", step))

    def held_out(self, step, metrics, images, reconstructions):
        self.all.append(("evaluate", step))

    def restart_clock(self, step):
        pass

    def of(self, kind: str) -> list[int]:
        return [step for name, step in self.all if name == kind]


@pytest.fixture
def train(monkeypatch):
    """Runs the loop; a step fails, or the held-out loss does, where told."""

    def run(
        cadence: Cadence, *, fails_at: int | None = None, held_out_loss: float = 1.0
    ) -> Events:
        events = Events()

        def step_that_counts(state, batch, weights, key, *, recipe):
            step = int(state.step) + 1
            events.all.append(("step", step))
            failed = fails_at is not None and step >= fails_at
            failed_at = jnp.int32(fails_at - 1 if failed and fails_at else NEVER)
            values = {"loss": jnp.float32(step), "failed_at": failed_at}
            return dataclasses.replace(state, step=jnp.int32(step)), values

        def evaluation(parameters, batch, weights, *, recipe):
            return {"rate_distortion": jnp.float32(held_out_loss)}, batch / 255

        monkeypatch.setattr(loop, "train_step", step_that_counts)
        monkeypatch.setattr(loop, "evaluation_step", evaluation)
        monkeypatch.setattr(loop, "_model", lambda run, state, step, loss: loss)
        settings = loop.Run(
            recipe=Recipe(
                codec=CodecSettings(),
                objective=Objective(),
                optimizer=Optimizer(),
                step=Step(),
                steps=STEPS,
            ),
            cadence=cadence,
            key=jax.random.key(0),
            mesh=meshes.make_mesh(meshes.MeshShape()),
            held_out=np.zeros((1, 64, 64, 3), np.uint8),
            about={},
        )
        state = TrainState(
            parameters={},
            optimizer=(),
            step=jnp.int32(0),
            failed_at=jnp.int32(NEVER),
        )
        batches = itertools.repeat(np.zeros((8, 64, 64, 3), np.uint8))
        try:
            loop.train(settings, state, batches, events, events)
        except UserError as error:
            events.all.append((str(error), 0))
        return events

    return run


@pytest.mark.fast
def test_cadence_counts_steps_and_the_last_one_is_looked_at(train):
    events = train(Cadence(log=5, evaluate=4, checkpoint=6))
    assert events.of("step") == list(range(1, STEPS + 1))
    assert events.of("log") == [5, 10, 13]
    assert events.of("evaluate") == [4, 6, 8, 12, 13]
    assert events.of("save") == [6, 12, 13]


@pytest.mark.fast
def test_a_step_is_logged_while_the_next_one_runs(train):
    events = train(Cadence(log=1, evaluate=STEPS, checkpoint=STEPS))
    assert events.all[:5] == [
        ("step", 1),
        ("step", 2),
        ("log", 1),
        ("step", 3),
        ("log", 2),
    ]


@pytest.mark.fast
@pytest.mark.parametrize("log", [1, 5, 100])
def test_a_step_that_failed_is_named_and_never_saved(train, log):
    events = train(Cadence(log=log, evaluate=4, checkpoint=4), fails_at=6)
    assert events.all[-1][0].startswith("loss or gradient is not finite at step 6; ")
    assert events.of("save") == [4]
    assert all(step < 6 for step in events.of("log"))


@pytest.mark.fast
def test_a_held_out_loss_that_is_not_finite_is_not_saved(train):
    events = train(Cadence(log=1, evaluate=2, checkpoint=4), held_out_loss=float("inf"))
    assert events.all[-1][0].startswith(
        "loss on held-out crops is not finite at step 2; "
    )
    assert not events.of("save") and not events.of("evaluate")
