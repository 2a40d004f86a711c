"""Additive noise, rounding and straight-through rounding."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxcorr import quantization

pytestmark = pytest.mark.fast


def test_noise_is_uniform_over_one_step(key):
    noise = quantization.uniform_noise(
        jax.random.split(key, 2), jnp.zeros((2, 100, 100))
    )
    assert noise.min() >= -0.5
    assert noise.max() < 0.5
    # The mean of n uniform numbers deviates by sqrt(1 / 12 n): allow four times that.
    assert abs(noise.mean()) < 4 * (12 * noise.size) ** -0.5
    assert abs(noise.var() - 1 / 12) < 0.002


def test_noise_of_an_image_does_not_depend_on_the_rest_of_the_batch(key):
    keys, like = jax.random.split(key, 4), jnp.zeros((4, 3, 5, 2))
    noise = quantization.uniform_noise(keys, like)
    np.testing.assert_array_equal(
        noise[2:], quantization.uniform_noise(keys[2:], like[2:])
    )
    np.testing.assert_array_equal(
        noise[::-1], quantization.uniform_noise(keys[::-1], like)
    )
    assert not jnp.any(noise[0] == noise[1])


def test_latents_are_rounded_to_whole_steps_from_their_centers():
    values = jnp.array([[1.2, -0.3], [0.9, 7.0]])
    centers = jnp.array([[0.25, -0.75]])
    expected = [[1.25, -0.75 + 0.0], [1.25, 7.25]]
    np.testing.assert_array_equal(quantization.round_around(values, centers), expected)


@pytest.mark.parametrize(
    ("quantize", "slope"),
    [(quantization.round_around, 0.0), (quantization.straight_through_round, 1.0)],
)
def test_only_straight_through_rounding_has_a_gradient(quantize, slope):
    values, centers = jnp.linspace(-2.0, 2.0, 12).reshape(3, 4), jnp.full((1, 4), 0.1)
    np.testing.assert_allclose(
        quantize(values, centers), quantization.round_around(values, centers), atol=1e-6
    )
    gradient = jax.grad(lambda values: jnp.sum(quantize(values, centers)))(values)
    np.testing.assert_array_equal(gradient, jnp.full((3, 4), slope))
