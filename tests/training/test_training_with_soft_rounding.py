"""Training steps with soft rounding, whose sharpness rises over the run."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from support import codecs

from jaxcorr.codec import CodecConfig
from jaxcorr.errors import UserError
from jaxcorr.provenance import SweepMember
from jaxcorr.training import sharding, sweep
from jaxcorr.training.loss import LossConfig
from jaxcorr.training.optimizer import OptimizerConfig
from jaxcorr.training.sharding import MeshConfig
from jaxcorr.training.step import StaticConfig, StepConfig, initial_state, train_step
from jaxcorr.transforms.minnen import Minnen

STEPS, BATCH = 4, 8
STEP = StepConfig(quantization="soft_round", sharpness_start=0.5, sharpness_end=8.0)
STATIC_CONFIG = StaticConfig(
    codec=CodecConfig(transforms=Minnen(width=4, channels=4)),
    loss=LossConfig(window=3),
    optimizer=OptimizerConfig(learning_rate=1e-3),
    step=STEP,
    steps=STEPS,
)
WEIGHTS = codecs.weights(correlation_weight=1.0)
MEMBERS = [
    SweepMember(seed=seed, distortion_weight=0.01, correlation_weight=1.0)
    for seed in (3, 4)
]


@pytest.fixture(scope="module")
def crops():
    shape = (STEPS, BATCH, 64, 64, 3)
    return np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)


@pytest.fixture(scope="module")
def parameters():
    return codecs.draw(STATIC_CONFIG.codec)


def new_state(parameters, static_config=STATIC_CONFIG):
    return initial_state(static_config, jax.tree.map(jnp.array, parameters))


def take(state, batches, static_config=STATIC_CONFIG, *, weights=WEIGHTS, key=None):
    """Takes a step on each batch. Returns the last state and metrics of each step."""
    key, history = jax.random.key(1) if key is None else key, []
    for batch in batches:
        state, values = train_step(
            state, batch, weights, key, static_config=static_config
        )
        history.append(jax.device_get(values))
    return state, history


@pytest.fixture(scope="module")
def run(parameters, crops):
    """Last state and metrics of a run, and how many programs were compiled for it."""
    before = train_step._cache_size()  # pyright: ignore (untyped in JAX)
    state, history = take(new_state(parameters), crops)
    programs = train_step._cache_size() - before  # pyright: ignore (as above)
    return jax.device_get(state), history, programs


def assert_same(state, history, expected_state, expected_history):
    """Checks that metrics and optimizer states agree."""
    for values, expected_values in zip(history, expected_history, strict=True):
        for name, value in expected_values.items():
            np.testing.assert_allclose(
                values[name], value, rtol=2e-5, atol=1e-5, err_msg=name
            )
    for array, expected in zip(
        jax.tree.leaves(state.optimizer),
        jax.tree.leaves(expected_state.optimizer),
        strict=True,
    ):
        np.testing.assert_allclose(array, expected, rtol=1e-3, atol=1e-5)


def test_the_sharpness_rises_linearly_without_recompiling(run):
    _, history, programs = run
    np.testing.assert_allclose(
        [values["sharpness"] for values in history], [0.5, 3.0, 5.5, 8.0], rtol=1e-6
    )
    assert programs == 1


@pytest.mark.fast
def test_a_run_of_one_step_has_the_sharpness_of_the_start():
    assert STEP.sharpness(jnp.int32(0), steps=1) == 0.5


def test_the_rate_depends_on_the_sharpness(parameters, crops, run):
    before = new_state(parameters)
    later = dataclasses.replace(before, step=jnp.int32(STEPS - 1))
    (first,), (last,) = run[1][:1], take(later, crops[:1])[1]
    # Each step draws noise of its own.
    assert last["sharpness"] == 8.0
    assert abs(last["bpp"] / first["bpp"] - 1) > 0.01


def test_a_run_resumed_halfway_repeats_the_run_bit_for_bit(parameters, crops, run):
    half, first = take(new_state(parameters), crops[:2])
    resumed = jax.tree.map(jnp.array, jax.device_get(half))
    state, second = take(resumed, crops[2:])
    jax.tree.map(np.testing.assert_array_equal, first + second, run[1])
    jax.tree.map(np.testing.assert_array_equal, jax.device_get(state), run[0])


@pytest.mark.slow
def test_two_micro_batches_on_four_devices_take_the_same_steps(parameters, crops, run):
    static_config = dataclasses.replace(
        STATIC_CONFIG, step=dataclasses.replace(STEP, micro_batches=2)
    )
    mesh = sharding.make_mesh(MeshConfig(data=4), jax.devices()[:4])
    state = sharding.shard_state(new_state(parameters, static_config), mesh)
    batches = [sharding.shard_batch(batch, mesh, BATCH) for batch in crops]
    with jax.set_mesh(mesh):
        state, history = take(state, batches, static_config)
    assert_same(state, history, *run[:2])


@pytest.mark.slow
def test_members_of_a_sweep_train_as_by_themselves(crops):
    parameters = [
        jax.tree.map(jnp.asarray, codecs.draw(STATIC_CONFIG.codec, seed=member.seed))
        for member in MEMBERS
    ]
    mesh = sharding.make_mesh(MeshConfig(sweep=2), jax.devices()[:2])
    states = sweep.initial_member_states(STATIC_CONFIG, parameters)
    states = sharding.shard_state(states, mesh, members=True)
    weights = sweep.stack_member_weights(MEMBERS)
    keys = sweep.stack_member_noise_keys(MEMBERS)
    alone = [
        take(
            new_state(member_parameters),
            crops,
            weights=entry(weights, number),
            key=keys[number],
        )[1]
        for number, member_parameters in enumerate(parameters)
    ]
    for step, batch in enumerate(crops):
        with jax.set_mesh(mesh):
            states, values = sweep.train_members(
                states,
                sharding.shard_batch(batch, mesh, BATCH),
                weights,
                keys,
                static_config=STATIC_CONFIG,
                in_one_program=True,
            )
        assert values["sharpness"][0] == values["sharpness"][1]
        for number, history in enumerate(alone):
            for name, value in history[step].items():
                np.testing.assert_allclose(
                    values[name][number], value, rtol=2e-5, atol=1e-5, err_msg=name
                )


def entry(tree, number):
    return jax.tree.map(lambda x: x[number], tree)


@pytest.mark.parametrize("context", ["autoregressive", "channelwise"])
def test_a_step_changes_every_part_of_a_context_model(crops, context):
    static_config = dataclasses.replace(
        STATIC_CONFIG,
        codec=CodecConfig(
            transforms=codecs.TRANSFORMS["minnen"], context=codecs.CONTEXTS[context]
        ),
        step=dataclasses.replace(STEP, sharpness_start=4.0),
    )
    parameters = dict(codecs.make_combination("minnen", context).parameters)
    state, (values,) = take(
        new_state(parameters, static_config), crops[:1, :2], static_config
    )
    assert values["sharpness"] == 4.0
    for value in values.values():
        assert np.isfinite(value)
    codecs.assert_every_part_changed(parameters, jax.device_get(state.parameters))


@pytest.mark.fast
@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"sharpness_start": -1.0}, "start must be from 0 to 64, but is -1$"),
        ({"sharpness_start": 65.0}, "start must be from 0 to 64, but is 65$"),
        ({"sharpness_start": float("nan")}, "start must be from 0 to 64, but is nan$"),
        ({"sharpness_end": 0.5}, "end must be from .*_start .1. to 64, but is 0.5$"),
        ({"sharpness_end": float("inf")}, "end must be from .* but is inf$"),
    ],
)
def test_a_sharpness_out_of_range_or_decreasing_is_refused(changes, message):
    with pytest.raises(UserError, match=rf"^StepConfig\.sharpness_{message}"):
        StepConfig(**changes)
