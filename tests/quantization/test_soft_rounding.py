import functools
import os
import subprocess

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from scipy import stats
from support.paths import REFERENCES

from jaxcorr import quantization, soft_rounding
from jaxcorr.entropy.factorized import FactorizedPrior
from jaxcorr.entropy.gaussian import SCALE_BOUND, gaussian_bits

SHARPNESS = [0.0, 1e-6, 1e-3, 0.1, 1.0, 5.0, 12.0, 30.0, 64.0]
VALUES = np.linspace(-3, 3, 49)
"""Eighths, among them all integers and the middles between them."""
NOISE = (np.arange(4000) + 0.5) / 4000 - 0.5
"""Evenly over a step: means over it are integrals over the noise."""

each_sharpness = pytest.mark.parametrize("sharpness", SHARPNESS)


@pytest.fixture
def wide():
    with jax.enable_x64(True):
        yield


def tangent(values, sharpness):
    """Soft rounding as it is defined, in float64."""
    middle = np.floor(values) + 0.5
    return middle + np.tanh(sharpness * (values - middle)) / (
        2 * np.tanh(sharpness / 2)
    )


def bits_of(scale):
    """Bits under a Gaussian of this scale around 0.3."""
    return lambda quantized, floor: gaussian_bits(
        quantized - 0.3, jnp.full_like(quantized, scale), likelihood_bound=floor
    )


def soft_bits(values, noise, sharpness, bits, *, floor=0.0):
    centers = jnp.full_like(values, 0.3)
    return quantization.soft_bits(
        bits, values, centers, noise, sharpness, likelihood_bound=floor
    )


@each_sharpness
def test_integers_and_the_middles_between_them_stay(sharpness):
    values = jnp.arange(-40, 41, dtype=jnp.float32) / 2
    for function in (soft_rounding.soft_round, soft_rounding.soft_round_inverse):
        np.testing.assert_allclose(
            function(values, sharpness), values, rtol=2e-7, atol=1e-7
        )


@pytest.mark.parametrize("sharpness", SHARPNESS[2:])
def test_between_them_it_is_a_hyperbolic_tangent(sharpness):
    values = jnp.linspace(-3.0, 3.0, 1001)
    expected = tangent(np.asarray(values, np.float64), sharpness)
    found = soft_rounding.soft_round(values, sharpness)
    assert found.dtype == jnp.float32
    np.testing.assert_allclose(found, expected, rtol=0, atol=5e-7)


def test_without_sharpness_it_is_the_identity_and_at_the_most_it_rounds():
    values = jnp.linspace(-3.0, 3.0, 1001)
    np.testing.assert_allclose(soft_rounding.soft_round(values, 0.0), values, atol=5e-7)
    clear = values[jnp.abs(values - jnp.floor(values) - 0.5) > 0.1]
    most = soft_rounding.soft_round(clear, soft_rounding.SHARPNESS_MAXIMUM)
    np.testing.assert_allclose(most, jnp.round(clear), rtol=0, atol=1e-5)


@pytest.mark.parametrize("sharpness", SHARPNESS[:-1])
def test_the_inverse_undoes_it(wide, sharpness):
    back = soft_rounding.soft_round_inverse(
        soft_rounding.soft_round(jnp.asarray(VALUES), sharpness), sharpness
    )
    # What is next to an integer has lost the digits that tell how near it was.
    lost = np.exp(sharpness) * np.finfo(np.float64).eps
    np.testing.assert_allclose(back, VALUES, rtol=0, atol=1e-13 + lost)
    again = soft_rounding.soft_round(
        soft_rounding.soft_round_inverse(jnp.asarray(VALUES), sharpness), sharpness
    )
    np.testing.assert_allclose(again, VALUES, rtol=0, atol=1e-13)


@each_sharpness
def test_both_rise(sharpness):
    values = jnp.linspace(-2.0, 2.0, 4001)
    for function in (soft_rounding.soft_round, soft_rounding.soft_round_inverse):
        assert jnp.all(jnp.diff(function(values, sharpness)) >= 0)


@each_sharpness
def test_slopes_are_finite_and_those_of_the_tangent(sharpness):
    values = jnp.asarray(VALUES, jnp.float32)
    slope = lambda f: jax.vmap(jax.grad(lambda x: f(x, sharpness)))(values)
    forward = slope(soft_rounding.soft_round)
    # Integers and middles lie where the slope turns: from both sides it is the same.
    away = np.asarray(VALUES - np.floor(VALUES) - 0.5)
    height = sharpness / (2 * np.tanh(sharpness / 2)) if sharpness else 1.0
    expected = height / np.cosh(sharpness * away) ** 2
    np.testing.assert_allclose(forward, expected, rtol=2e-5)
    backward = slope(soft_rounding.soft_round_inverse)
    assert jnp.all(jnp.isfinite(backward) & (backward > 0))
    steepest = np.expm1(sharpness) - np.expm1(-sharpness)
    steepest = steepest / (2 * sharpness) if sharpness else 1.0
    np.testing.assert_allclose(backward[VALUES == 1], steepest, rtol=1e-5)


@pytest.mark.parametrize("sharpness", [0.1, 1.0, 5.0, 12.0])
def test_the_conditional_mean_is_that_of_all_that_may_have_led_there(sharpness):
    fine = np.linspace(-5, 5, 2_000_001)
    soft = tangent(fine, sharpness)
    noisy = np.array([-2.5, -1.3, -0.6, 0.0, 0.2, 0.5, 1.49])
    found = soft_rounding.conditional_mean(jnp.asarray(noisy, jnp.float32), sharpness)
    for value, mean in zip(noisy, found, strict=True):
        # Noise of at most half a step leads from these to there, from each as likely.
        np.testing.assert_allclose(
            mean, fine[np.abs(soft - value) < 0.5].mean(), rtol=0, atol=2e-5
        )


@pytest.mark.parametrize("sharpness", [0.1, 1.0, 5.0, 12.0])
def test_the_decoder_gets_the_slope_of_the_mean_over_the_noise(wide, sharpness):
    values, centers = jnp.asarray(VALUES) + 0.01, jnp.full(VALUES.shape, 0.3)

    def quantized(values, centers, noise=0.2):
        noise = jnp.full_like(values, noise)
        return quantization.soft_quantize(values, centers, noise, sharpness)

    def mean(values, centers):
        shape = (NOISE.size, values.size)
        every, around = jnp.broadcast_to(values, shape), centers[None]
        noise = jnp.broadcast_to(jnp.asarray(NOISE)[:, None], shape)
        return quantization.soft_quantize(every, around, noise, sharpness).mean(axis=0)

    step = 1e-3
    total = lambda values, centers: jnp.sum(quantized(values, centers))
    to_values, to_centers = jax.grad(total, (0, 1))(values, centers)
    slope = (mean(values + step, centers) - mean(values - step, centers)) / (2 * step)
    scatter = 2e-3 * float(jnp.max(slope))
    np.testing.assert_allclose(to_values, slope, rtol=0, atol=scatter)
    # That of the center is a sawtooth: over a step of it, nothing is gained.
    np.testing.assert_array_equal(to_centers, 0.0)
    np.testing.assert_allclose(
        mean(values, centers + 1), mean(values, centers), rtol=0, atol=1e-9
    )


@functools.cache
def made_prior():
    """A prior that is off its center."""
    return FactorizedPrior(3, init_scale=1.0, rngs=nnx.Rngs(1))


DENSITIES = {
    "narrow": bits_of(SCALE_BOUND),
    "middle": bits_of(1.0),
    "broad": bits_of(8.0),
    "factorized": lambda hat, floor: made_prior().bits(hat, likelihood_bound=floor),
}


@each_sharpness
@pytest.mark.parametrize("density", DENSITIES)
def test_the_density_of_noisy_values_integrates_to_1(density, sharpness):
    # Values whole steps from the center stay, so with noise they are all values.
    whole = jnp.arange(-60.0, 61.0)[:, None, None] + 0.3
    every = (np.arange(500) + 0.5) / 500 - 0.5
    values = jnp.broadcast_to(whole, (121, 500, 3))
    noise = jnp.broadcast_to(jnp.asarray(every, jnp.float32)[:, None], values.shape)
    bits = soft_bits(values, noise, sharpness, DENSITIES[density])
    total = jnp.mean(jnp.sum(jnp.exp2(-bits), axis=0), axis=0)
    np.testing.assert_allclose(total, np.ones(3), rtol=1e-3)


@pytest.mark.parametrize("sharpness", [0.1, 1.0, 5.0, 12.0])
@pytest.mark.parametrize("scale", [SCALE_BOUND, 1.0])
def test_the_density_is_that_of_softly_rounded_values_plus_noise(scale, sharpness):
    latent = np.linspace(-2.2, 2.3, 19)
    noise = np.random.default_rng(0).uniform(-0.5, 0.5, latent.size)
    bits = soft_bits(
        jnp.asarray(latent, jnp.float32),
        jnp.asarray(noise, jnp.float32),
        sharpness,
        bits_of(scale),
    )
    # The mass of all values that noise of at most half a step leads from there.
    fine, width = np.linspace(-5, 5, 1_000_001, retstep=True)
    soft, mass = tangent(fine, sharpness), stats.norm.pdf(fine, scale=scale) * width
    noisy = tangent(latent - 0.3, sharpness) + noise
    expected = [-np.log2(mass[np.abs(soft - each) < 0.5].sum()) for each in noisy]
    np.testing.assert_allclose(bits, expected, rtol=2e-3, atol=2e-4)


@pytest.mark.parametrize("sharpness", [0.0, 1e-6, 1e-3])
def test_next_to_no_sharpness_is_noise_in_values_and_bits(sharpness):
    values = jnp.linspace(-2.0, 2.0, 41)
    noise = jax.random.uniform(jax.random.key(0), (41,), minval=-0.5, maxval=0.5)
    centers = jnp.full_like(values, 0.3)
    quantized = quantization.soft_quantize(values, centers, noise, sharpness)
    np.testing.assert_allclose(quantized, values + noise, rtol=0, atol=2e-6)
    bits = bits_of(1.0)
    soft = soft_bits(values, noise, sharpness, bits)
    np.testing.assert_allclose(soft, bits(values + noise, 0.0), rtol=0, atol=1e-4)


@pytest.mark.parametrize("scale", [0.5, 1.0, 8.0])
def test_bits_come_as_near_to_those_of_rounding_as_it_is_sharp(scale):
    values = jnp.asarray(VALUES[np.abs(VALUES % 1 - 0.5) > 0.1], jnp.float32) + 0.3
    rounded = bits_of(scale)(jnp.round(values - 0.3) + 0.3, 0.0)
    every = jnp.broadcast_to(values[:, None], (values.size, NOISE.size))
    noise = jnp.broadcast_to(jnp.asarray(NOISE, jnp.float32), every.shape)

    def away(sharpness):
        soft = jnp.mean(soft_bits(every, noise, sharpness, bits_of(scale)), axis=1)
        return jnp.max(jnp.abs(soft - rounded)) / jnp.max(rounded)

    assert away(64.0) < 0.01
    assert away(64.0) < 0.6 * away(32.0) < 0.36 * away(16.0)


@pytest.mark.parametrize("sharpness", [0.1, 1.0, 5.0, 12.0])
@pytest.mark.parametrize("scale", [SCALE_BOUND, 1.0])
def test_bits_get_the_slope_of_their_mean_over_the_noise(wide, scale, sharpness):
    values = jnp.linspace(-1.9, 2.2, 17)

    def mean(values):
        every = jnp.broadcast_to(values[:, None], (values.size, NOISE.size))
        noise = jnp.broadcast_to(jnp.asarray(NOISE), every.shape)
        return jnp.mean(soft_bits(every, noise, sharpness, bits_of(scale)), axis=1)

    def gradient(noise):
        total = lambda values: jnp.sum(
            soft_bits(values, jnp.full_like(values, noise), sharpness, bits_of(scale))
        )
        return jax.grad(total)(values)

    step = 1e-3
    slope = (mean(values + step) - mean(values - step)) / (2 * step)
    scatter = 2e-3 * float(jnp.max(jnp.abs(slope)))
    for noise in (-0.4, 0.0, 0.3):
        np.testing.assert_allclose(gradient(noise), slope, rtol=5e-3, atol=scatter)


@pytest.mark.parametrize("distance", [30.0, -1e4, 1e6])
@each_sharpness
def test_outliers_have_finite_bits_and_gradients_that_lead_back(distance, sharpness):
    # A middle between integers, where soft rounding has its greatest slope.
    value = jnp.full((1,), distance + 0.8)
    bits = lambda value: jnp.sum(
        soft_bits(value, jnp.zeros(1), sharpness, bits_of(1.0))
    )
    found, gradient = jax.value_and_grad(bits)(value)
    assert jnp.isfinite(found) and found > 400
    assert jnp.all(jnp.isfinite(gradient))
    assert jnp.all(gradient * distance > 0)


def test_a_floor_caps_the_bits_and_leaves_the_gradient_of_free_ones():
    value, noise = jnp.full((1,), 50.7), jnp.zeros(1)

    def found(floor):
        bits = lambda value: jnp.sum(
            soft_bits(value, noise, 5.0, bits_of(1.0), floor=floor)
        )
        return jax.value_and_grad(bits)(value)

    capped, gradient = found(1e-9)
    np.testing.assert_allclose(capped, 9 * np.log2(10), rtol=1e-6)
    free, expected = found(0.0)
    assert free > 1000
    np.testing.assert_array_equal(gradient, expected)


TFC_PYTHON = os.environ.get("JAXCORR_TFC_PYTHON")


@functools.cache
def reference():
    with np.load(REFERENCES / "soft_rounding.npz") as arrays:
        return dict(arrays)


each_sharpness = pytest.mark.parametrize("index", range(5))


@each_sharpness
def test_functions_are_those_of_tensorflow_compression(wide, index):
    sharpness, values = (
        reference()["sharpness"][index],
        jnp.asarray(reference()["values"]),
    )
    for name in ("soft_round", "soft_round_inverse", "conditional_mean"):
        found = getattr(soft_rounding, name)(values, float(sharpness))
        # At 20, theirs has lost half of its digits at integers.
        np.testing.assert_allclose(
            found, reference()[name][index], rtol=0, atol=1e-8, err_msg=name
        )


@each_sharpness
def test_normal_bits_and_gradients_are_those_of_tensorflow_compression(wide, index):
    arrays = reference()
    scale = np.broadcast_to(arrays["scales"][:, None], arrays["noise"].shape)
    latent = np.broadcast_to(arrays["values"], scale.shape)
    centers, noise = (jnp.asarray(arrays[name]) for name in ("mean", "noise"))

    def nats(latent, scale):
        bits = quantization.soft_bits(
            lambda hat, floor: gaussian_bits(
                hat - centers, scale, likelihood_bound=floor
            ),
            latent,
            jnp.broadcast_to(centers, latent.shape),
            noise,
            float(arrays["sharpness"][index]),
            likelihood_bound=0.0,
        )
        return -np.log(2) * bits

    found = nats(jnp.asarray(latent), jnp.asarray(scale))
    np.testing.assert_allclose(found, arrays["normal/log_prob"][index], rtol=1e-7)
    gradients = jax.grad(lambda *x: jnp.sum(nats(*x)), (0, 1))(
        jnp.asarray(latent), jnp.asarray(scale)
    )
    for name, gradient in zip(("to_latent", "to_scale"), gradients, strict=True):
        np.testing.assert_allclose(
            gradient, arrays[f"normal/{name}"][index], rtol=1e-6, atol=1e-9
        )


@each_sharpness
def test_bits_of_the_prior_are_those_of_tensorflow_compression(wide, index):
    arrays = reference()
    prior = FactorizedPrior(3, rngs=nnx.Rngs(0))
    named = lambda kind, number: jnp.asarray(arrays[f"parameters/{kind}_{number}"])
    for number in range(5):
        prior.matrices[number] = nnx.Param(named("matrix", number))
        prior.biases[number] = nnx.Param(named("bias", number)[..., 0])
        if number < 4:
            prior.gates[number] = nnx.Param(named("factor", number)[..., 0])
    # Values are noisy ones: what integers and half integers become with noise.
    noisy = np.broadcast_to(arrays["values"][:, None], (41, 3))
    whole = jnp.asarray(np.round(noisy))
    bits = quantization.soft_bits(
        lambda hat, floor: prior.bits(hat, likelihood_bound=floor),
        whole,
        jnp.zeros_like(whole),
        jnp.asarray(noisy) - whole,
        float(arrays["sharpness"][index]),
        likelihood_bound=0.0,
    )
    expected = -arrays["factorized/log_prob"][index] / np.log(2)
    np.testing.assert_allclose(bits, expected, rtol=1e-7)


@pytest.mark.skipif(
    TFC_PYTHON is None,
    reason="JAXCORR_TFC_PYTHON names no Python with TensorFlow Compression",
)
def test_tensorflow_compression_gives_the_same_arrays_again(tmp_path):
    path = tmp_path / "again.npz"
    script = REFERENCES / "make_soft_rounding.py"
    done = subprocess.run(
        [str(TFC_PYTHON), script, path], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    with np.load(path) as again:
        assert again.keys() == reference().keys()
        for name, array in reference().items():
            if name != "versions":
                np.testing.assert_allclose(again[name], array, rtol=1e-6, atol=1e-9)
