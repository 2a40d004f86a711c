"""The training loop, with a step that computes nothing."""

import itertools

import jax.numpy as jnp
import numpy as np
import pytest

from jaxcorr.config import TrainConfig
from jaxcorr.data.sources import DataConfig
from jaxcorr.errors import UserError
from jaxcorr.provenance import Provenance
from jaxcorr.training import loop, sharding, step_cost, sweep
from jaxcorr.training.checkpoints import Checkpoints, IntervalConfig
from jaxcorr.training.held_out import HeldOut
from jaxcorr.training.logger import RunLogger
from jaxcorr.training.sweep import SweepConfig
from jaxcorr.training.train_state import NEVER, TrainState

STEPS = 13


class Events(Checkpoints, RunLogger):
    """Records the order of events, in place of checkpoints and logs."""

    def __init__(self):
        self.all: list[tuple[str, int]] = []
        self.saved: list[int] = []

    def save(self, step, state, models, losses):
        self.all.append(("save", step))
        self.saved = list(models)

    def log_data_wait(self, seconds):
        pass

    def log_step(self, step, metrics, *, batch_size, flops=None):
        self.all.append(("log", step))

    def log_held_out(self, step, member, metrics, images, reconstructions):
        self.all.append(("evaluate", step))

    def log_message(self, line):
        self.all.append((line, 0))

    def restart_timer(self, step):
        pass

    def of(self, kind: str) -> list[int]:
        return [step for name, step in self.all if name == kind]


def make_state(step: int, failed_at) -> TrainState:
    """The state of all members after `step` steps, without parameters."""
    failed_at = jnp.array(failed_at, jnp.int32)
    steps = jnp.full(len(failed_at), step, jnp.int32)
    return TrainState(parameters={}, optimizer=(), step=steps, failed_at=failed_at)


def make_run(intervals: IntervalConfig, members: int) -> loop.Run:
    config = TrainConfig(
        steps=STEPS,
        sweep=SweepConfig(
            distortion_weight=0.01, correlation_weight=(0.0, 0.1)[:members]
        ),
        data=DataConfig(batch_size=8),
    )
    return loop.Run(
        static_config=config.static_config,
        members=config.members,
        stages=config.run_stages(),
        intervals=intervals,
        mesh=sharding.make_mesh(sharding.MeshConfig()),
        held_out=HeldOut(crops=np.zeros((1, 64, 64, 3), np.uint8)),
        provenance=Provenance(),
    )


@pytest.fixture
def train(monkeypatch):
    """Runs the loop. Members may fail at a step or on held-out images."""

    def run(
        intervals: IntervalConfig,
        *,
        members: int = 1,
        fails_at: dict[int, int] | None = None,
        held_out_losses: tuple[float, ...] = (1.0, 1.0),
    ) -> Events:
        events = Events()
        after_last_step = STEPS + 1
        failures = [(fails_at or {}).get(n, after_last_step) for n in range(members)]

        def count_step(state, batch, weights, keys, *, static_config, in_one_program):
            step = int(state.step[0]) + 1
            events.all.append(("step", step))
            failed = [NEVER if step < failure else failure - 1 for failure in failures]
            state = make_state(step, np.maximum(failed, np.asarray(state.failed_at)))
            loss = jnp.full(members, step, jnp.float32)
            return state, {"loss": loss, "failed_at": state.failed_at}

        def evaluate(function, parameters, images, weights, **options):
            losses = jnp.array(held_out_losses[:members], jnp.float32)
            return {"rate_distortion": losses}, np.zeros((members, 1, 64, 64, 3))

        def make_models(run, state, step, losses, members):
            return members

        monkeypatch.setattr(sweep, "train_members", count_step)
        monkeypatch.setattr(step_cost, "train_flops", lambda *_, **__: None)
        monkeypatch.setattr(sweep, "evaluate_members", evaluate)
        monkeypatch.setattr(loop, "_make_models", make_models)
        state = make_state(0, [NEVER] * members)
        batches = itertools.repeat(np.zeros((8, 64, 64, 3), np.uint8))
        try:
            loop.train(make_run(intervals, members), state, batches, events, events)
        except UserError as error:
            events.all.append((str(error), 0))
        return events

    return run


@pytest.mark.fast
def test_intervals_count_steps_and_the_last_step_ends_all_of_them(train):
    events = train(IntervalConfig(log_every=5, eval_every=4, checkpoint_every=6))
    assert events.of("step") == list(range(1, STEPS + 1))
    assert events.of("log") == [5, 10, 13]
    assert events.of("evaluate") == [4, 6, 8, 12, 13]
    assert events.of("save") == [6, 12, 13]


@pytest.mark.fast
def test_a_step_is_logged_while_the_next_step_runs(train):
    events = train(
        IntervalConfig(log_every=1, eval_every=STEPS, checkpoint_every=STEPS)
    )
    assert events.all[:5] == [
        ("step", 1),
        ("step", 2),
        ("log", 1),
        ("step", 3),
        ("log", 2),
    ]


@pytest.mark.fast
@pytest.mark.parametrize("log", [1, 5, 100])
def test_a_failed_step_is_named_and_never_saved(train, log):
    events = train(
        IntervalConfig(log_every=log, eval_every=4, checkpoint_every=4), fails_at={0: 6}
    )
    assert events.all[-1][0].startswith("loss or gradient is not finite at step 6; ")
    assert events.of("save") == [4]
    assert all(step < 6 for step in events.of("log"))


@pytest.mark.fast
def test_a_held_out_loss_that_is_not_finite_is_not_saved(train):
    events = train(
        IntervalConfig(log_every=1, eval_every=2, checkpoint_every=4),
        held_out_losses=(float("inf"),),
    )
    assert events.all[-1][0].startswith(
        "loss on held-out images is not finite at step 2; "
    )
    assert not events.of("save") and not events.of("evaluate")


def test_a_failed_member_is_named_and_the_others_continue(train):
    events = train(
        IntervalConfig(log_every=1, eval_every=5, checkpoint_every=5),
        members=2,
        fails_at={0: 6},
    )
    assert events.of("step")[-1] == STEPS
    assert events.of("save") == [5, 10, 13] and events.saved == [1]
    (line,) = (name for name, _ in events.all if name.startswith("member"))
    assert line == (
        "member 0 (λ 0.01, α 0, seed 0) stops: loss or gradient is not finite at step "
        "6; the others go on"
    )


def test_a_sweep_stops_when_its_last_member_fails(train):
    intervals = IntervalConfig(log_every=1, eval_every=4, checkpoint_every=4)
    events = train(intervals, members=2, fails_at={0: 6, 1: 9})
    assert events.all[-1][0].startswith("loss or gradient is not finite at step 9; ")
    assert events.of("save") == [4, 8]


def test_a_member_with_a_held_out_loss_that_is_not_finite_stops(train):
    intervals = IntervalConfig(log_every=1, eval_every=4, checkpoint_every=4)
    events = train(intervals, members=2, held_out_losses=(1.0, float("nan")))
    named = [name for name, _ in events.all if name.startswith("member")]
    assert len(named) == 1 and "member 1 (" in named[0] and "at step 4;" in named[0]
    assert events.of("step")[-1] == STEPS and events.saved == [0]
