"""Training with soft rounding."""

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
RECIPE = StaticConfig(
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
    return codecs.draw(RECIPE.codec)


def start(parameters, static_config=RECIPE):
    return initial_state(static_config, jax.tree.map(jnp.array, parameters))


def take(state, batches, static_config=RECIPE, *, weights=WEIGHTS, key=None):
    """Takes a step on each batch; gives the last state and the metrics of each step."""
    key, taken = jax.random.key(1) if key is None else key, []
    for batch in batches:
        state, values = train_step(
            state, batch, weights, key, static_config=static_config
        )
        taken.append(jax.device_get(values))
    return state, taken


@pytest.fixture(scope="module")
def run(parameters, crops):
    """A run from start to end, and how many programs were compiled for it."""
    before = train_step._cache_size()  # pyright: ignore (untyped in JAX)
    state, taken = take(start(parameters), crops)
    programs = train_step._cache_size() - before  # pyright: ignore (as above)
    return jax.device_get(state), taken, programs


def assert_same(state, taken, expected_state, expected):
    """The same metrics, and first moments of the gradients."""
    for values, others in zip(taken, expected, strict=True):
        for name, value in others.items():
            np.testing.assert_allclose(
                values[name], value, rtol=2e-5, atol=1e-5, err_msg=name
            )
    for one, other in zip(
        jax.tree.leaves(state.optimizer),
        jax.tree.leaves(expected_state.optimizer),
        strict=True,
    ):
        np.testing.assert_allclose(one, other, rtol=1e-3, atol=1e-5)


def test_the_sharpness_rises_evenly_and_no_step_compiles_another_program(run):
    _, taken, programs = run
    np.testing.assert_allclose(
        [values["sharpness"] for values in taken], [0.5, 3.0, 5.5, 8.0], rtol=1e-6
    )
    assert programs == 1


@pytest.mark.fast
def test_a_run_of_one_step_has_the_first_sharpness():
    assert STEP.sharpness(jnp.int32(0), steps=1) == 0.5


def test_the_sharpness_changes_what_is_trained(parameters, crops, run):
    before = start(parameters)
    later = dataclasses.replace(before, step=jnp.int32(STEPS - 1))
    (first,), (last,) = run[1][:1], take(later, crops[:1])[1]
    # Of 5.5, by the third step; both have the noise of their own step.
    assert last["sharpness"] == 8.0
    assert abs(last["bpp"] / first["bpp"] - 1) > 0.01


def test_a_run_resumed_halfway_repeats_itself_bit_for_bit(parameters, crops, run):
    half, first = take(start(parameters), crops[:2])
    resumed = jax.tree.map(jnp.array, jax.device_get(half))
    state, second = take(resumed, crops[2:])
    jax.tree.map(np.testing.assert_array_equal, first + second, run[1])
    jax.tree.map(np.testing.assert_array_equal, jax.device_get(state), run[0])


def test_two_micro_batches_on_four_devices_give_the_same_steps(parameters, crops, run):
    static_config = dataclasses.replace(
        RECIPE, step=dataclasses.replace(STEP, micro_batches=2)
    )
    mesh = sharding.make_mesh(MeshConfig(data=4), jax.devices()[:4])
    state = sharding.shard_state(start(parameters, static_config), mesh)
    batches = [sharding.shard_batch(batch, mesh, BATCH) for batch in crops]
    with jax.set_mesh(mesh):
        state, taken = take(state, batches, static_config)
    assert_same(state, taken, *run[:2])


def test_members_of_a_sweep_share_the_sharpness_and_train_as_alone(crops):
    drawn = [
        jax.tree.map(jnp.asarray, codecs.draw(RECIPE.codec, seed=member.seed))
        for member in MEMBERS
    ]
    mesh = sharding.make_mesh(MeshConfig(sweep=2), jax.devices()[:2])
    states = sweep.initial_member_states(RECIPE, drawn)
    states = sharding.shard_state(states, mesh, members=True)
    weights, keys = sweep.stacked_weights(MEMBERS), sweep.stacked_noise_keys(MEMBERS)
    alone = [
        take(start(each), crops, weights=one_of(weights, number), key=keys[number])[1]
        for number, each in enumerate(drawn)
    ]
    for step, batch in enumerate(crops):
        with jax.set_mesh(mesh):
            states, values = sweep.train_members(
                *(states, sharding.shard_batch(batch, mesh, BATCH), weights, keys),
                static_config=RECIPE,
                in_one_program=True,
            )
        assert values["sharpness"][0] == values["sharpness"][1]
        for number, taken in enumerate(alone):
            for name, value in taken[step].items():
                np.testing.assert_allclose(
                    values[name][number], value, rtol=2e-5, atol=1e-5, err_msg=name
                )


def one_of(weights, number):
    return jax.tree.map(lambda x: x[number], weights)


@pytest.mark.parametrize("context", codecs.CONTEXTS)
def test_a_step_with_each_context_model_moves_every_part(crops, context):
    static_config = dataclasses.replace(
        RECIPE,
        codec=CodecConfig(
            transforms=codecs.TRANSFORMS["minnen"], context=codecs.CONTEXTS[context]
        ),
        step=dataclasses.replace(STEP, sharpness_start=4.0),
    )
    drawn = dict(codecs.make_combination("minnen", context).parameters)
    state, (values,) = take(start(drawn, static_config), crops[:1, :2], static_config)
    assert values["sharpness"] == 4.0
    for value in values.values():
        assert np.isfinite(value)
    codecs.assert_every_part_changed(drawn, jax.device_get(state.parameters))


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
def test_a_sharpness_out_of_range_or_that_falls_is_refused(changes, message):
    with pytest.raises(UserError, match=rf"^StepConfig\.sharpness_{message}"):
        StepConfig(**changes)
