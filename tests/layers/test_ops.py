import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxcorr import ops, quantization

pytestmark = pytest.mark.fast


def test_noise_fills_half_a_step_to_either_side(key):
    noise = quantization.uniform_noise(
        jax.random.split(key, 2), jnp.zeros((2, 100, 100))
    )
    assert noise.min() >= -0.5
    assert noise.max() < 0.5
    # The mean of n uniform numbers deviates by sqrt(1 / 12 n): allow four times that.
    assert abs(noise.mean()) < 4 * (12 * noise.size) ** -0.5
    assert abs(noise.var() - 1 / 12) < 0.002


def test_noise_of_an_image_does_not_depend_on_its_place_in_a_split(key):
    keys, like = jax.random.split(key, 4), jnp.zeros((4, 3, 5, 2))
    whole = quantization.uniform_noise(keys, like)
    np.testing.assert_array_equal(
        whole[2:], quantization.uniform_noise(keys[2:], like[2:])
    )
    np.testing.assert_array_equal(
        whole[::-1], quantization.uniform_noise(keys[::-1], like)
    )
    assert not jnp.any(whole[0] == whole[1])


@pytest.mark.parametrize("shape", [(), (5,), (3, 3, 4, 6)])
def test_numbers_drawn_flat_are_those_drawn_in_their_shape(key, shape):
    for kind in (jax.random.uniform, jax.random.normal):
        flat = ops.sample_flat(lambda n, kind=kind: kind(key, n), shape)
        np.testing.assert_array_equal(flat, kind(key, shape))


def test_rounding_leaves_whole_steps_from_the_centers():
    values = jnp.array([[1.2, -0.3], [0.9, 7.0]])
    centers = jnp.array([[0.25, -0.75]])
    expected = [[1.25, -0.75 + 0.0], [1.25, 7.25]]
    np.testing.assert_array_equal(quantization.round_around(values, centers), expected)


@pytest.mark.parametrize(
    ("quantize", "slope"),
    [(quantization.round_around, 0.0), (quantization.straight_through_round, 1.0)],
)
def test_only_straight_through_rounding_passes_gradients(quantize, slope):
    values, centers = jnp.linspace(-2.0, 2.0, 12).reshape(3, 4), jnp.full((1, 4), 0.1)
    np.testing.assert_allclose(
        quantize(values, centers), quantization.round_around(values, centers), atol=1e-6
    )
    gradient = jax.grad(lambda values: jnp.sum(quantize(values, centers)))(values)
    np.testing.assert_array_equal(gradient, jnp.full((3, 4), slope))


def test_bound_passes_the_gradients_that_lead_above_it():
    values = jnp.array([-1.0, -1.0, 0.5, 0.5, 2.0, 2.0])
    np.testing.assert_array_equal(
        ops.lower_bound(values, 0.5), [0.5, 0.5, 0.5, 0.5, 2.0, 2.0]
    )
    # A descent step goes against the gradient: up where it is negative.
    gradient = jnp.array([1.0, -1.0, 1.0, -1.0, 1.0, -1.0])
    _, pull_back = jax.vjp(lambda values: ops.lower_bound(values, 0.5), values)
    np.testing.assert_array_equal(
        pull_back(gradient)[0], [0.0, -1.0, 1.0, -1.0, 1.0, -1.0]
    )


@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float64])
def test_bound_keeps_the_dtype(dtype):
    with jax.enable_x64(True):
        values = jnp.zeros(3, dtype)
        assert ops.lower_bound(values, 0.11).dtype == dtype
        gradient = jax.grad(lambda values: jnp.sum(ops.lower_bound(values, 0.11)))
        assert gradient(values).dtype == dtype


def test_padding_repeats_the_last_pixels():
    image = jnp.arange(1.0, 7.0).reshape(1, 2, 3, 1)
    padded = ops.pad_to(image, 4, 5)
    expected = [[1, 2, 3, 3, 3], [4, 5, 6, 6, 6], [4, 5, 6, 6, 6], [4, 5, 6, 6, 6]]
    np.testing.assert_array_equal(padded[0, ..., 0], expected)
    np.testing.assert_array_equal(ops.pad_to(image[0], 2, 3), image[0])


@pytest.mark.parametrize(
    ("length", "expected"), [(0, 0), (1, 64), (63, 64), (64, 64), (65, 128)]
)
def test_lengths_are_rounded_up_to_a_multiple(length, expected):
    assert ops.round_up(length, 64) == expected


def test_leaky_rectifier_has_slopes_of_a_hundredth_and_one():
    slope = jax.vmap(jax.grad(ops.leaky_relu))
    np.testing.assert_allclose(slope(jnp.array([-3.0, 3.0])), [0.01, 1.0])
    np.testing.assert_allclose(
        ops.leaky_relu(jnp.array([-3.0, 0.0, 3.0])), [-0.03, 0.0, 3.0]
    )
