import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from support import codecs

from jaxcorr import codec
from jaxcorr.codec import CodecConfig
from jaxcorr.errors import UserError
from jaxcorr.training import sharding
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
RECIPE = StaticConfig(
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
    drawn = jax.device_get(codec.initialize(RECIPE.codec, jax.random.key(0)))
    last = "transforms/analysis/layers/6/kernel"
    return drawn | {last: 10 * drawn[last]}


def with_step(**changes) -> StaticConfig:
    return dataclasses.replace(RECIPE, step=StepConfig(**changes))


def state_of(parameters, static_config=RECIPE):
    return initial_state(static_config, jax.tree.map(jnp.array, parameters))


def take(count, state, batch, static_config=RECIPE, *, weights=WEIGHTS, key=KEY):
    """Takes steps on one batch; gives the last state and the metrics of each step."""
    taken = []
    for _ in range(count):
        state, values = train_step(
            state, batch, weights, key, static_config=static_config
        )
        taken.append(jax.device_get(values))
    return state, taken


def programs() -> int:
    """How many programs the step was compiled to."""
    return train_step._cache_size()  # pyright: ignore (untyped in JAX)


def take_sharded(count, parameters, batch, static_config=RECIPE):
    mesh = sharding.make_mesh(sharding.MeshConfig())
    state = state_of(parameters, static_config)
    state = sharding.shard_state(state, mesh)
    split = sharding.shard_batch(batch, mesh, len(batch))
    assert [len(shard.data) for shard in split.addressable_shards] == [2] * 8
    with jax.set_mesh(mesh):
        return take(count, state, split, static_config)


def assert_same(state, taken, expected_state, expected):
    """The same metrics, gradients and parameters, to 1e-5.

    But for parameters whose gradient is all rounding error: Adam divides a gradient by
    its size, which makes a whole step of any error.
    """
    for values, others in zip(taken, expected, strict=True):
        for name, value in others.items():
            np.testing.assert_allclose(
                values[name], value, rtol=1e-5, atol=1e-6, err_msg=name
            )
    gradient, expected_gradient = (
        optax.tree.get(each.optimizer, "mu") for each in (state, expected_state)
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
def whole(parameters, crops):
    """Three steps on the whole batch at once, on one device."""
    return take(3, state_of(parameters), crops)


def test_micro_batches_give_the_step_of_the_whole_batch(parameters, crops, whole):
    static_config = with_step(micro_batches=4)
    assert_same(
        *take(3, state_of(parameters, static_config), crops, static_config), *whole
    )


def test_a_mean_of_correlation_losses_over_parts_is_another_loss(parameters, crops):
    loss = lambda batch: evaluation_step(
        parameters, batch, WEIGHTS, static_config=RECIPE
    )[0]
    of_parts = [loss(part)["correlation"] for part in np.split(crops, 4)]
    assert abs(np.mean(of_parts) / loss(crops)["correlation"] - 1) > 0.01


def test_a_batch_over_eight_devices_in_two_parts_gives_the_step_of_one(
    parameters, crops, whole
):
    assert jax.device_count() == 8
    before = programs()
    static_config = with_step(micro_batches=2)
    state, taken = take_sharded(3, parameters, crops, static_config)
    assert_same(state, taken, *whole)
    assert programs() == before + 1  # No step places its state anew.
    for array in jax.tree.leaves(state):
        assert array.sharding.is_fully_replicated


def test_other_weights_run_the_same_program(parameters, crops):
    take(1, state_of(parameters), crops)
    before = programs()
    other = codecs.weights(distortion_weight=1.0, correlation_weight=0.0)
    _, taken = take(1, state_of(parameters), crops, weights=other)
    assert programs() == before
    (values,) = taken
    np.testing.assert_allclose(values["loss"], values["bpp"] + values["mse"], rtol=1e-5)


def test_noise_is_a_function_of_key_and_step(parameters, crops, whole):
    bpp = [values["bpp"] for values in whole[1]]
    repeated = take(1, state_of(parameters), crops)[1][0]["bpp"]
    other_key = take(1, state_of(parameters), crops, key=jax.random.key(2))[1]
    later = dataclasses.replace(state_of(parameters), step=jnp.int32(5))
    assert repeated == bpp[0]
    assert other_key[0]["bpp"] != bpp[0]
    assert take(1, later, crops)[1][0]["bpp"] != bpp[0]


def test_loss_falls_on_a_batch_seen_thirty_times(parameters, crops):
    _, taken = take(30, state_of(parameters), crops)
    losses = [values["loss"] for values in taken]
    assert losses[-1] < 0.7 * losses[0]


def test_a_state_is_donated(parameters, crops):
    state = state_of(parameters)
    take(1, state, crops)
    assert all(array.is_deleted() for array in state.parameters.values())


def test_nothing_changes_once_a_loss_was_not_finite(parameters, crops):
    name = "transforms/synthesis/layers/0/kernel"
    healthy, _ = take(2, state_of(parameters), crops)
    kernel = healthy.parameters[name]
    before = jax.device_get((healthy.parameters, healthy.optimizer))
    assert healthy.failed_at == NEVER
    with_kernel = lambda state, kernel: dataclasses.replace(
        state, parameters={**state.parameters, name: kernel}
    )
    broken = with_kernel(healthy, jnp.full_like(kernel, jnp.nan))
    state, taken = take(1, broken, crops)
    assert taken[0]["failed_at"] == state.failed_at == 2
    # A loss that is finite again does not hide that a step was lost.
    state, taken = take(1, with_kernel(state, kernel), crops)
    assert np.isfinite(taken[0]["loss"])
    assert state.failed_at == 2 and state.step == 4
    after = (state.parameters, state.optimizer)
    jax.tree.map(np.testing.assert_array_equal, after, before)


@pytest.mark.parametrize(
    "changes", [{"transform_dtype": "bfloat16"}, {"quantization": "straight_through"}]
)
def test_options_of_the_step_train(parameters, crops, changes):
    static_config = with_step(**changes)
    state, taken = take(
        20, state_of(parameters, static_config), crops[:2], static_config
    )
    assert taken[-1]["loss"] < 0.9 * taken[0]["loss"]
    for array in state.parameters.values():
        assert array.dtype == jnp.float32


def test_an_evaluation_rounds_instead_of_adding_noise(parameters, crops):
    @jax.jit
    def rounded(parameters, image):
        return codec.with_parameters(RECIPE.codec, parameters)(image)

    output = rounded(parameters, crops / np.float32(255))
    values, reconstruction = evaluation_step(
        parameters, crops, WEIGHTS, static_config=RECIPE
    )
    np.testing.assert_allclose(reconstruction, output.reconstruction, atol=1e-5)
    bits = output.latent_bits.sum() + output.side_bits.sum()
    np.testing.assert_allclose(values["bpp"], bits / (BATCH * SIDE**2), rtol=1e-5)
    np.testing.assert_allclose(
        values["rate_distortion"],
        values["bpp"] + WEIGHTS.distortion_weight * values["mse"],
        rtol=1e-5,
    )


@pytest.mark.fast
def test_learning_rate_rises_and_drops():
    optimizer = OptimizerConfig(
        learning_rate=1.0, warmup_steps=4, drop_at=0.8, drop_factor=0.1
    )
    rate = optimizer.schedule(steps=10)
    np.testing.assert_allclose(
        [np.asarray(rate(step)) for step in range(10)],
        [0.25, 0.5, 0.75, 1, 1, 1, 1, 1, 0.1, 0.1],
        rtol=1e-6,
    )
    assert OptimizerConfig(learning_rate=1.0).schedule(10)(0) == 1  # Without a warm-up.


@pytest.mark.fast
def test_a_long_gradient_is_scaled_down_and_a_short_one_is_not():
    def first_moment(scale):
        transformation = OptimizerConfig(gradient_clip=2.0).transformation(10)
        parameters = {"a": jnp.zeros(3), "b": jnp.zeros(1)}
        gradient = {"a": scale * jnp.array([2.0, 0, 1]), "b": scale * jnp.array([2.0])}
        _, state = transformation.update(gradient, transformation.init(parameters))
        mu = optax.tree.get(state, "mu")
        return 10 * np.concatenate([mu["a"], mu["b"]])  # Adam keeps a tenth of it.

    direction = np.array([2.0, 0, 1, 2])  # Of length 3.
    np.testing.assert_allclose(first_moment(0.5), 0.5 * direction, rtol=1e-6)
    np.testing.assert_allclose(first_moment(50.0), 2 / 3 * direction, rtol=1e-6)


@pytest.mark.fast
@pytest.mark.parametrize("batch_size, parts", [(12, 1), (8, 2)])
def test_a_batch_that_devices_and_parts_cannot_share_is_refused(batch_size, parts):
    mesh = sharding.make_mesh(sharding.MeshConfig())
    sharding.check_batch(mesh, 16, parts)
    with pytest.raises(UserError, match=r"data\.batch-size must be a multiple of"):
        sharding.check_batch(mesh, batch_size, parts)
