"""Softly rounded latents for the decoder, and their bits."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from scipy import stats
from support import reference_soft_rounding
from support.reference_soft_rounding import SHARPNESS, VALUES

from jaxcorr import quantization
from jaxcorr.entropy.factorized import FactorizedPrior
from jaxcorr.entropy.gaussian import SCALE_BOUND, gaussian_bits

CENTER = 0.3
NOISE = (np.arange(4000) + 0.5) / 4000 - 0.5
"""Evenly spaced over a step, so that means over it are integrals over the noise."""

each_sharpness = pytest.mark.parametrize("sharpness", SHARPNESS)


@functools.cache
def gaussian(scale):
    """Returns an entropy model: a Gaussian of this scale around the center."""
    return lambda quantized, likelihood_bound: gaussian_bits(
        quantized - CENTER,
        jnp.full_like(quantized, scale),
        likelihood_bound=likelihood_bound,
    )


soft_quantize = jax.jit(quantization.soft_quantize)


@functools.partial(jax.jit, static_argnames=("bits", "likelihood_bound"))
def soft_bits(values, noise, sharpness, bits, *, likelihood_bound=0.0):
    centers = jnp.full_like(values, CENTER)
    return quantization.soft_bits(
        bits, values, centers, noise, sharpness, likelihood_bound=likelihood_bound
    )


def over_noise(values, dtype):
    """Repeats values along a second axis, with evenly spaced noise."""
    repeated = jnp.broadcast_to(values[:, None], (values.size, NOISE.size))
    return repeated, jnp.broadcast_to(jnp.asarray(NOISE, dtype), repeated.shape)


@pytest.mark.parametrize("sharpness", [0.1, 1.0, 5.0, 12.0])
def test_gradient_of_latents_is_that_of_their_mean_over_the_noise(float64, sharpness):
    values, centers = jnp.asarray(VALUES) + 0.01, jnp.full(VALUES.shape, CENTER)

    def total(values, centers):
        noise = jnp.full_like(values, 0.2)
        return jnp.sum(soft_quantize(values, centers, noise, sharpness))

    def mean(values, centers):
        shape = (NOISE.size, values.size)
        repeated = jnp.broadcast_to(values, shape)
        noise = jnp.broadcast_to(jnp.asarray(NOISE)[:, None], shape)
        return soft_quantize(repeated, centers[None], noise, sharpness).mean(axis=0)

    step = 1e-3
    to_values, to_centers = jax.grad(total, (0, 1))(values, centers)
    slope = (mean(values + step, centers) - mean(values - step, centers)) / (2 * step)
    tolerance = 2e-3 * float(jnp.max(slope))
    np.testing.assert_allclose(to_values, slope, rtol=0, atol=tolerance)
    # The output is a sawtooth in the center, whose mean slope over a step is 0.
    np.testing.assert_array_equal(to_centers, 0.0)
    np.testing.assert_allclose(
        mean(values, centers + 1), mean(values, centers), rtol=0, atol=1e-9
    )


@functools.cache
def off_center_prior():
    # Its first user is a function that is traced, whose programs may be cleared.
    with jax.ensure_compile_time_eval():
        return FactorizedPrior(3, init_scale=1.0, rngs=nnx.Rngs(1))


ENTROPY_MODELS = {
    "narrow": gaussian(SCALE_BOUND),
    "middle": gaussian(1.0),
    "broad": gaussian(8.0),
    "factorized": lambda quantized, likelihood_bound: off_center_prior().bits(
        quantized, likelihood_bound=likelihood_bound
    ),
}


@each_sharpness
@pytest.mark.parametrize("name", ENTROPY_MODELS)
def test_density_of_noisy_values_integrates_to_1(name, sharpness):
    # Soft rounding keeps values whole steps from the center. With noise they cover all
    # noisy values.
    whole_steps = jnp.arange(-60.0, 61.0)[:, None, None] + CENTER
    noise = (np.arange(500) + 0.5) / 500 - 0.5
    values = jnp.broadcast_to(whole_steps, (121, 500, 3))
    noise = jnp.broadcast_to(jnp.asarray(noise, jnp.float32)[:, None], values.shape)
    bits = soft_bits(values, noise, sharpness, ENTROPY_MODELS[name])
    total = jnp.mean(jnp.sum(jnp.exp2(-bits), axis=0), axis=0)
    np.testing.assert_allclose(total, np.ones(3), rtol=1e-3)


@pytest.mark.parametrize("sharpness", [0.1, 1.0, 5.0, 12.0])
@pytest.mark.parametrize("scale", [SCALE_BOUND, 1.0])
def test_density_is_that_of_softly_rounded_values_plus_noise(scale, sharpness):
    latent = np.linspace(-2.2, 2.3, 19)
    noise = np.random.default_rng(0).uniform(-0.5, 0.5, latent.size)
    bits = soft_bits(
        jnp.asarray(latent, jnp.float32),
        jnp.asarray(noise, jnp.float32),
        sharpness,
        gaussian(scale),
    )
    # The probability of all values from which noise of at most half a step produces
    # the noisy value.
    values, width = np.linspace(-5, 5, 1_000_001, retstep=True)
    soft = reference_soft_rounding.soft_round(values, sharpness)
    mass = stats.norm.pdf(values, scale=scale) * width
    noisy = reference_soft_rounding.soft_round(latent - CENTER, sharpness) + noise
    expected = [-np.log2(mass[np.abs(soft - value) < 0.5].sum()) for value in noisy]
    np.testing.assert_allclose(bits, expected, rtol=2e-3, atol=2e-4)


@pytest.mark.parametrize("sharpness", [0.0, 1e-6, 1e-3])
def test_very_small_sharpness_is_additive_noise(sharpness):
    values = jnp.linspace(-2.0, 2.0, 41)
    noise = jax.random.uniform(jax.random.key(0), (41,), minval=-0.5, maxval=0.5)
    centers = jnp.full_like(values, CENTER)
    quantized = soft_quantize(values, centers, noise, sharpness)
    np.testing.assert_allclose(quantized, values + noise, rtol=0, atol=2e-6)
    bits = soft_bits(values, noise, sharpness, gaussian(1.0))
    expected = gaussian(1.0)(values + noise, 0.0)
    np.testing.assert_allclose(bits, expected, rtol=0, atol=1e-4)


@pytest.mark.parametrize("scale", [0.5, 1.0, 8.0])
def test_bits_approach_those_of_rounding_as_sharpness_grows(scale):
    unambiguous = VALUES[np.abs(VALUES % 1 - 0.5) > 0.1]
    values = jnp.asarray(unambiguous, jnp.float32) + CENTER
    expected = gaussian(scale)(jnp.round(values - CENTER) + CENTER, 0.0)
    repeated, noise = over_noise(values, jnp.float32)

    def error(sharpness):
        bits = jnp.mean(soft_bits(repeated, noise, sharpness, gaussian(scale)), axis=1)
        return jnp.max(jnp.abs(bits - expected)) / jnp.max(expected)

    assert error(64.0) < 0.01
    assert error(64.0) < 0.6 * error(32.0) < 0.36 * error(16.0)


@pytest.mark.parametrize("sharpness", [0.1, 1.0, 5.0, 12.0])
@pytest.mark.parametrize("scale", [SCALE_BOUND, 1.0])
def test_gradient_of_bits_is_that_of_their_mean_over_the_noise(
    float64, scale, sharpness
):
    values = jnp.linspace(-1.9, 2.2, 17)

    def mean(values):
        repeated, noise = over_noise(values, jnp.float64)
        return jnp.mean(soft_bits(repeated, noise, sharpness, gaussian(scale)), axis=1)

    def total(values, noise):
        noise = jnp.full_like(values, noise)
        return jnp.sum(soft_bits(values, noise, sharpness, gaussian(scale)))

    step = 1e-3
    slope = (mean(values + step) - mean(values - step)) / (2 * step)
    tolerance = 2e-3 * float(jnp.max(jnp.abs(slope)))
    for noise in (-0.4, 0.0, 0.3):
        gradient = jax.grad(total)(values, noise)
        np.testing.assert_allclose(gradient, slope, rtol=5e-3, atol=tolerance)


@pytest.mark.parametrize("distance", [30.0, -1e4, 1e6])
@each_sharpness
def test_outliers_have_finite_bits_and_a_gradient_that_lowers_them(distance, sharpness):
    # A half-integer from the center, where soft rounding is steepest.
    value = jnp.full((1,), distance + 0.5 + CENTER)

    def total(value):
        return jnp.sum(soft_bits(value, jnp.zeros(1), sharpness, gaussian(1.0)))

    bits, gradient = jax.value_and_grad(total)(value)
    assert jnp.isfinite(bits) and bits > 400
    assert jnp.all(jnp.isfinite(gradient))
    assert jnp.all(gradient * distance > 0)


def test_likelihood_bound_limits_the_bits_and_keeps_their_gradient():
    value, noise = jnp.full((1,), 50.7), jnp.zeros(1)

    def bits_and_gradient(likelihood_bound):
        def total(value):
            bits = soft_bits(
                value, noise, 5.0, gaussian(1.0), likelihood_bound=likelihood_bound
            )
            return jnp.sum(bits)

        return jax.value_and_grad(total)(value)

    bounded, gradient = bits_and_gradient(1e-9)
    np.testing.assert_allclose(bounded, 9 * np.log2(10), rtol=1e-6)
    unbounded, expected = bits_and_gradient(0.0)
    assert unbounded > 1000
    np.testing.assert_array_equal(gradient, expected)
