"""The variants of the correlation term: micro-batches, devices and averages."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from support import codecs

from jaxcorr import correlation, correlation_variants, whitening
from jaxcorr.codec import CodecConfig, CodecOutput
from jaxcorr.context.channelwise import Channelwise
from jaxcorr.training import (
    checkpoints,
    member_axis,
    micro_batches,
    sharding,
    sweep,
)
from jaxcorr.training.averaging import StatisticsAverage, empty_average
from jaxcorr.training.loss import Batch, LossConfig, LossWeights
from jaxcorr.training.optimizer import OptimizerConfig
from jaxcorr.training.step import StaticConfig, StepConfig
from jaxcorr.training.sweep import SweepConfig
from jaxcorr.transforms.minnen import Minnen

BATCH, SIDE, CHANNELS = 16, 6, 4
CONTEXT = Channelwise(slices=3, support=1)
VARIANTS = {
    "published": LossConfig(window=3),
    "unbiased": LossConfig(window=5, estimator="unbiased", weight="auto"),
    "averaged": LossConfig(window=3, estimator="averaged", pool_channels=False),
    "context": LossConfig(window=5, mask="context", weight="auto"),
    "unbiased_context": LossConfig(window=3, mask="context", estimator="unbiased"),
    "whitening": LossConfig(window=3, measure="whitening", estimator="averaged"),
    "offset": LossConfig(window=3, measure="whitening", price_offset=True),
}


def smooth_latents(batch=BATCH, seed=0):
    rng = np.random.default_rng(seed)
    latents = rng.normal(size=(batch, SIDE, SIDE, CHANNELS))
    latents += np.roll(latents, 1, axis=2) + 0.3
    return jnp.asarray(latents, jnp.float32)


def output_of(latent):
    """Returns the output of a codec that predicts mean 0, scale 1 and no bits."""
    zeros = jnp.zeros_like(latent)
    return CodecOutput(
        reconstruction=jnp.zeros((len(latent), 8, 8, 3)),
        latent=latent,
        quantized=latent,
        latent_hat=latent,
        mean=zeros,
        scale=zeros + 1,
        latent_bits=zeros,
        side_bits=zeros,
    )


def average_of_steps(loss_config, steps=3):
    """Returns the average over some steps with other latents, if there is one."""
    if loss_config.estimator != "averaged":
        return None
    batch = Batch(images=BATCH, context=CONTEXT)
    seen = [
        loss_config.statistics(output_of(smooth_latents(seed=1 + number)), batch)
        for number in range(steps)
    ]
    average = empty_average(seen[0])
    for statistics in seen:
        average = average.updated(statistics, loss_config.average_decay)
    return average


def penalty_and_gradient(loss_config, latent, *, count=1, alpha=1.0):
    """Computes the correlation term of a batch in `count` micro-batches."""
    only_correlation = LossWeights(distortion_weight=0.0, correlation_weight=alpha)
    batch = Batch(images=len(latent), context=CONTEXT)
    average = average_of_steps(loss_config)

    @jax.jit
    def compute(latent):
        def penalty(latent, statistics=None):
            image = jnp.zeros((len(latent), 8, 8, 3))
            _, values, _ = loss_config.of_part(
                output_of(latent),
                image,
                only_correlation,
                statistics,
                batch=batch,
                average=average,
            )
            return values["loss"]

        if count == 1:
            return jax.value_and_grad(penalty)(latent)
        parts = micro_batches.split(latent, count)
        statistics = micro_batches.mean_over(
            lambda part: loss_config.statistics(output_of(part), batch), parts
        )
        values, gradients = jax.lax.map(
            lambda part: jax.value_and_grad(penalty)(part, statistics), parts
        )
        whole = jnp.moveaxis(gradients, 0, 1).reshape(latent.shape) / count
        return jnp.mean(values), whole

    return compute(latent)


@pytest.mark.parametrize("name", VARIANTS)
def test_eight_devices_with_micro_batches_have_the_term_of_one_device(name):
    latent = smooth_latents()
    mesh = sharding.make_mesh(sharding.MeshConfig())
    shards = jax.device_put(latent, sharding.batch_sharding(mesh))
    assert len(shards.sharding.device_set) == 8
    expected, expected_gradient = penalty_and_gradient(VARIANTS[name], latent)
    with jax.set_mesh(mesh):
        value, gradient = penalty_and_gradient(VARIANTS[name], shards, count=2)
    assert abs(expected) > 1e-3
    np.testing.assert_allclose(value, expected, rtol=1e-6)
    np.testing.assert_allclose(gradient, expected_gradient, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("name", VARIANTS)
def test_members_of_a_sweep_on_four_devices_each_have_the_term_of_one_device(name):
    latent, alphas = smooth_latents(), jnp.array([1.0, 4.0])
    mesh = sharding.make_mesh(sharding.MeshConfig(sweep=2))
    shards = jax.device_put(latent, sharding.batch_sharding(mesh))

    @jax.jit
    def terms(alphas, latent):
        def term(alpha, latent):
            return penalty_and_gradient(VARIANTS[name], latent, count=2, alpha=alpha)

        return member_axis.map_members(term, alphas, latent)

    with jax.set_mesh(mesh):
        values, gradients = terms(alphas, shards)
    for alpha, value, gradient in zip(alphas, values, gradients, strict=True):
        expected, expected_gradient = penalty_and_gradient(
            VARIANTS[name], latent, alpha=alpha
        )
        np.testing.assert_allclose(value, expected, rtol=1e-6)
        np.testing.assert_allclose(gradient, expected_gradient, rtol=1e-4, atol=1e-6)


@pytest.mark.fast
def test_variants_are_those_of_the_functions():
    latent = smooth_latents()
    map = correlation.correlation_map(latent, window=5)
    weight = correlation_variants.natural_weight(map[2, 2], channels=CHANNELS)
    zeros = jnp.zeros_like(latent)
    unbiased = correlation_variants.unbiased_correlation_loss(
        latent, zeros, zeros + 1, window=5
    )
    value, _ = penalty_and_gradient(VARIANTS["unbiased"], latent)
    np.testing.assert_allclose(value, weight * unbiased, rtol=1e-4)
    value, _ = penalty_and_gradient(VARIANTS["offset"], latent)
    expected = whitening.whitening_loss(latent, offset=True)
    np.testing.assert_allclose(value, expected, rtol=1e-5)


@pytest.mark.fast
def test_slices_of_a_context_have_their_own_maps_weighted_by_their_channels():
    latent = smooth_latents()
    loss_config = LossConfig(window=3, mask="context")
    value, _ = penalty_and_gradient(loss_config, latent)
    maps = correlation.correlation_maps(latent, window=3)
    slices = [maps[:2].mean(axis=0), maps[2], maps[3]]  # CONTEXT: 2 + 1 + 1 channels.
    norms = [float(correlation.masked_norm(map, "point")) for map in slices]
    np.testing.assert_allclose(value, np.dot([2, 1, 1], norms) / 4, rtol=1e-5)


@pytest.mark.fast
def test_an_average_with_decay_zero_is_the_published_loss():
    latent = smooth_latents()
    averaged = LossConfig(window=3, estimator="averaged", average_decay=0.0)
    value, gradient = penalty_and_gradient(averaged, latent)
    expected, expected_gradient = penalty_and_gradient(VARIANTS["published"], latent)
    np.testing.assert_allclose(value, expected, rtol=1e-5)
    np.testing.assert_allclose(gradient, expected_gradient, rtol=1e-4, atol=1e-7)


@pytest.mark.fast
def test_an_average_starts_as_a_mean_and_then_decays():
    average, values = empty_average(jnp.float32(0)), [1.0, 3.0, 8.0, 4.0]
    seen = []
    for value in values:
        average = average.updated(jnp.float32(value), 0.75)
        seen.append(float(average.average))
    np.testing.assert_allclose(seen, [1, 2, 4, 4])
    later = average.updated(jnp.float32(0.0), 0.75)
    assert later.count == 5 and later.average == 0.75 * 4


STATIC_CONFIG = StaticConfig(
    codec=CodecConfig(transforms=Minnen(width=4, channels=4)),
    loss=LossConfig(window=3, estimator="averaged", weight="auto"),
    optimizer=OptimizerConfig(learning_rate=1e-3),
    step=StepConfig(),
    steps=10,
)
MEMBERS = SweepConfig(correlation_weight=(1.0, 4.0), seed=3).members


def take_steps(static_config, mesh, states, *, count=2):
    crops = np.random.default_rng(0).integers(0, 256, (8, 64, 64, 3), np.uint8)
    history = []
    with jax.set_mesh(mesh):
        for _ in range(count):
            states, metrics = sweep.train_members(
                states,
                sharding.shard_batch(crops, mesh, len(crops)),
                sweep.stack_member_weights(MEMBERS),
                sweep.stack_member_noise_keys(MEMBERS),
                static_config=static_config,
                in_one_program=sweep.runs_members_in_one_program(mesh),
            )
            history.append(jax.device_get(metrics))
    return states, history


def initial_states(mesh):
    drawn = jax.tree.map(jnp.asarray, codecs.draw(STATIC_CONFIG.codec))
    states = sweep.initial_member_states(STATIC_CONFIG, [drawn, drawn])
    return sharding.shard_state(states, mesh, members=True)


@pytest.mark.slow
def test_a_sharded_sweep_averages_as_one_device_and_resumes_bit_for_bit(tmp_path):
    single = sharding.make_mesh(sharding.MeshConfig(data=1), jax.devices()[:1])
    states, history = take_steps(STATIC_CONFIG, single, initial_states(single))
    assert np.array_equal(states.statistics.count, [2, 2])
    assert np.all(history[1]["penalty"] != history[1]["correlation"])

    split = dataclasses.replace(STATIC_CONFIG, step=StepConfig(micro_batches=2))
    mesh = sharding.make_mesh(sharding.MeshConfig(sweep=2))
    others, other_history = take_steps(split, mesh, initial_states(mesh))
    for values, expected in zip(other_history, history, strict=True):
        for name in ("penalty", "correlation", "loss"):
            np.testing.assert_allclose(values[name], expected[name], rtol=1e-5)
    np.testing.assert_allclose(
        others.statistics.average["map"],
        states.statistics.average["map"],
        rtol=1e-4,
        atol=1e-6,
    )

    with checkpoints.open_checkpoints(tmp_path, max_to_keep=1) as saved:
        saved.save(2, states, {}, {})
    abstract = jax.tree.map(
        lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=x.sharding), states
    )
    with checkpoints.open_checkpoints(tmp_path, max_to_keep=1) as saved:
        restored = saved._manager.restore(  # pyright: ignore (no models in it)
            2,
            args=checkpoints.ocp.args.Composite(
                state=checkpoints.ocp.args.StandardRestore(abstract)
            ),
        )["state"]
    jax.tree.map(np.testing.assert_array_equal, restored, states)
    assert isinstance(restored.statistics, StatisticsAverage)


@pytest.mark.fast
def test_only_an_averaging_loss_has_statistics_in_its_state():
    published = dataclasses.replace(STATIC_CONFIG, loss=LossConfig(window=3))
    drawn = jax.tree.map(jnp.asarray, codecs.draw(STATIC_CONFIG.codec))
    with_average, without = (
        sweep.initial_member_states(config, [drawn])
        for config in (STATIC_CONFIG, published)
    )
    names = ["parameters", "optimizer", "step", "failed_at"]
    assert without.statistics is None
    paths = jax.tree_util.tree_flatten_with_path(without)[0]
    assert {path[0].name for path, _ in paths} == set(names)
    assert with_average.statistics.average["map"].shape == (1, 3, 3)
