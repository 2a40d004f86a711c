"""The training step and the evaluation step."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from support import codecs

from jaxcorr import codec
from jaxcorr.codec import CodecConfig
from jaxcorr.training import micro_batches, sharding
from jaxcorr.training.loss import LossConfig
from jaxcorr.training.optimizer import OptimizerConfig
from jaxcorr.training.step import (
    NEVER,
    StaticConfig,
    StepConfig,
    evaluation_step,
    initial_state,
    train_step,
)
from jaxcorr.transforms.minnen import Minnen

# Sixteen images: eight devices get two each, one for either of two micro-batches.
BATCH, SIDE = 16, 64
STATIC_CONFIG = StaticConfig(
    codec=CodecConfig(transforms=Minnen(width=4, channels=4)),
    loss=LossConfig(window=3),
    optimizer=OptimizerConfig(learning_rate=1e-3),
    step=StepConfig(),
    steps=100,
)
WEIGHTS = codecs.weights(correlation_weight=3.0)
KEY = jax.random.key(1)


@pytest.fixture(scope="module")
def crops() -> np.ndarray:
    """Colored slopes with some noise, 0 to 255."""
    rng = np.random.default_rng(0)
    down, right = np.mgrid[:SIDE, :SIDE][:, None, :, :, None] / SIDE
    color = rng.uniform(40, 200, size=(BATCH, 1, 1, 3))
    slopes = rng.uniform(-60, 60, size=(2, BATCH, 1, 1, 3))
    image = color + slopes[0] * down + slopes[1] * right
    return np.clip(image + rng.normal(0, 4, image.shape), 0, 255).astype(np.uint8)


@pytest.fixture(scope="module")
def parameters():
    """Initial parameters, as NumPy arrays, which no step can donate.

    Latents are made large enough that correlation is a good part of the loss.
    """
    drawn = jax.device_get(codec.initialize(STATIC_CONFIG.codec, jax.random.key(0)))
    last = "transforms/analysis/layers/6/kernel"
    return drawn | {last: 10 * drawn[last]}


def with_step(**changes) -> StaticConfig:
    return dataclasses.replace(STATIC_CONFIG, step=StepConfig(**changes))


def new_state(parameters, static_config=STATIC_CONFIG):
    return initial_state(static_config, jax.tree.map(jnp.array, parameters))


def take(count, state, batch, static_config=STATIC_CONFIG, *, weights=WEIGHTS, key=KEY):
    """Takes steps on one batch. Returns the last state and the metrics of each step."""
    history = []
    for _ in range(count):
        state, values = train_step(
            state, batch, weights, key, static_config=static_config
        )
        history.append(jax.device_get(values))
    return state, history


def num_programs() -> int:
    """Returns how many programs the step was compiled to."""
    return train_step._cache_size()  # pyright: ignore (untyped in JAX)


def take_sharded(count, parameters, batch, static_config=STATIC_CONFIG):
    mesh = sharding.make_mesh(sharding.MeshConfig())
    state = new_state(parameters, static_config)
    state = sharding.shard_state(state, mesh)
    split = sharding.shard_batch(batch, mesh, len(batch))
    assert [len(shard.data) for shard in split.addressable_shards] == [2] * 8
    with jax.set_mesh(mesh):
        return take(count, state, split, static_config)


def assert_same(state, history, expected_state, expected_history):
    """Checks that metrics, gradients and parameters agree to 1e-5.

    Excludes parameters whose gradient is all rounding error: Adam divides a gradient by
    its size, which turns any error into a whole step.
    """
    for values, expected_values in zip(history, expected_history, strict=True):
        for name, value in expected_values.items():
            np.testing.assert_allclose(
                values[name], value, rtol=1e-5, atol=1e-6, err_msg=name
            )
    gradient, expected_gradient = (
        optax.tree.get(train_state.optimizer, "mu")
        for train_state in (state, expected_state)
    )
    for name, value in expected_gradient.items():
        np.testing.assert_allclose(gradient[name], value, atol=1e-6, err_msg=name)
        moved = np.abs(value) > 1e-5
        np.testing.assert_allclose(
            np.asarray(state.parameters[name])[moved],
            np.asarray(expected_state.parameters[name])[moved],
            atol=1e-5,
            err_msg=name,
        )
    moves = [np.mean(np.abs(value) > 1e-5) for value in expected_gradient.values()]
    assert np.mean(moves) > 0.5


@pytest.fixture(scope="module")
def expected(parameters, crops):
    """State and metrics of three steps on the whole batch at once, on one device."""
    return take(3, new_state(parameters), crops)


def test_micro_batches_take_the_step_of_the_whole_batch(parameters, crops, expected):
    static_config = with_step(micro_batches=2)
    assert_same(
        *take(3, new_state(parameters, static_config), crops, static_config), *expected
    )


@pytest.mark.slow
def test_64_micro_batches_take_the_step_of_a_batch_of_64(
    parameters, crops, monkeypatch
):
    """In a loop, as on accelerators. Each of 64 additions rounds by 6e-8 of the sum."""
    monkeypatch.setattr(micro_batches, "_unrolled", lambda count: 1)
    batch = np.concatenate([crops, crops[:, ::-1], crops[:, :, ::-1], 255 - crops])
    in_parts = with_step(micro_batches=64)
    assert_same(
        *take(3, new_state(parameters, in_parts), batch, in_parts),
        *take(3, new_state(parameters), batch),
    )


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["transforms", "all"])
def test_rematerialization_takes_the_same_step(parameters, crops, expected, kind):
    static_config = with_step(rematerialization=kind)
    assert_same(
        *take(3, new_state(parameters, static_config), crops, static_config), *expected
    )


@pytest.mark.fast
def test_rematerialization_computes_activations_again():
    """Counts the blocks of the backward pass that begin with their inputs alone."""
    crops = jax.ShapeDtypeStruct((BATCH, SIDE, SIDE, 3), jnp.uint8)
    counts = {}
    for kind in ("none", "transforms", "all"):
        static_config = with_step(rematerialization=kind)
        step = functools.partial(train_step, static_config=static_config)
        state = jax.eval_shape(
            lambda config=static_config: initial_state(
                config, codec.initialize(config.codec, KEY)
            )
        )
        program = str(jax.make_jaxpr(step)(state, crops, WEIGHTS, KEY))
        counts[kind] = program.count("= remat2[") + program.count("= checkpoint[")
    assert counts["none"] < counts["transforms"] < counts["all"]


def test_the_mean_loss_of_micro_batches_differs_from_the_batch_loss(parameters, crops):
    def correlation_loss(batch):
        values, _ = evaluation_step(
            parameters, batch, WEIGHTS, static_config=STATIC_CONFIG
        )
        return values["correlation"]

    losses = [correlation_loss(micro_batch) for micro_batch in np.split(crops, 4)]
    assert abs(np.mean(losses) / correlation_loss(crops) - 1) > 0.01


def test_eight_devices_with_two_micro_batches_take_the_step_of_one_device(
    parameters, crops, expected
):
    assert jax.device_count() == 8
    before = num_programs()
    static_config = with_step(micro_batches=2)
    state, history = take_sharded(3, parameters, crops, static_config)
    assert_same(state, history, *expected)
    assert num_programs() == before + 1  # No step changes the sharding of its state.
    for array in jax.tree.leaves(state):
        assert array.sharding.is_fully_replicated


def test_new_loss_weights_do_not_recompile(parameters, crops):
    take(1, new_state(parameters), crops)
    before = num_programs()
    other = codecs.weights(distortion_weight=1.0, correlation_weight=0.0)
    _, history = take(1, new_state(parameters), crops, weights=other)
    assert num_programs() == before
    (values,) = history
    np.testing.assert_allclose(values["loss"], values["bpp"] + values["mse"], rtol=1e-5)


def test_noise_depends_on_key_and_step(parameters, crops, expected):
    bpp = [values["bpp"] for values in expected[1]]
    repeated = take(1, new_state(parameters), crops)[1][0]["bpp"]
    other_key = take(1, new_state(parameters), crops, key=jax.random.key(2))[1]
    later = dataclasses.replace(new_state(parameters), step=jnp.int32(5))
    assert repeated == bpp[0]
    assert other_key[0]["bpp"] != bpp[0]
    assert take(1, later, crops)[1][0]["bpp"] != bpp[0]


def test_thirty_steps_on_a_batch_lower_its_loss(parameters, crops):
    _, history = take(30, new_state(parameters), crops)
    losses = [values["loss"] for values in history]
    assert losses[-1] < 0.7 * losses[0]


def test_the_state_is_donated(parameters, crops):
    state = new_state(parameters)
    take(1, state, crops)
    assert all(array.is_deleted() for array in state.parameters.values())


def test_nothing_changes_after_a_loss_that_is_not_finite(parameters, crops):
    name = "transforms/synthesis/layers/0/kernel"
    healthy, _ = take(2, new_state(parameters), crops)
    kernel = healthy.parameters[name]
    before = jax.device_get((healthy.parameters, healthy.optimizer))
    assert healthy.failed_at == NEVER

    def with_kernel(state, kernel):
        return dataclasses.replace(state, parameters={**state.parameters, name: kernel})

    broken = with_kernel(healthy, jnp.full_like(kernel, jnp.nan))
    state, history = take(1, broken, crops)
    assert history[0]["failed_at"] == state.failed_at == 2
    # A later loss that is finite does not clear the failure.
    state, history = take(1, with_kernel(state, kernel), crops)
    assert np.isfinite(history[0]["loss"])
    assert state.failed_at == 2 and state.step == 4
    after = (state.parameters, state.optimizer)
    jax.tree.map(np.testing.assert_array_equal, after, before)


@pytest.mark.parametrize(
    "changes", [{"transform_dtype": "bfloat16"}, {"quantization": "straight_through"}]
)
def test_bfloat16_and_straight_through_lower_the_loss(parameters, crops, changes):
    static_config = with_step(**changes)
    state, history = take(
        20, new_state(parameters, static_config), crops[:2], static_config
    )
    assert history[-1]["loss"] < 0.9 * history[0]["loss"]
    for array in state.parameters.values():
        assert array.dtype == jnp.float32


def test_evaluation_rounds_instead_of_adding_noise(parameters, crops):
    @jax.jit
    def codec_output(parameters, image):
        return codec.with_parameters(STATIC_CONFIG.codec, parameters)(image)

    output = codec_output(parameters, crops / np.float32(255))
    values, reconstruction = evaluation_step(
        parameters, crops, WEIGHTS, static_config=STATIC_CONFIG
    )
    np.testing.assert_allclose(reconstruction, output.reconstruction, atol=1e-5)
    bits = output.latent_bits.sum() + output.side_bits.sum()
    np.testing.assert_allclose(values["bpp"], bits / (BATCH * SIDE**2), rtol=1e-5)
    np.testing.assert_allclose(
        values["rate_distortion"],
        values["bpp"] + WEIGHTS.distortion_weight * values["mse"],
        rtol=1e-5,
    )
