"""Sampling, bounds, padding and the leaky ReLU."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxcorr import compatibility, ops

pytestmark = pytest.mark.fast


@pytest.mark.parametrize("shape", [(), (5,), (3, 3, 4, 6)])
def test_sample_flat_equals_sampling_in_the_shape(key, shape):
    for sample in (jax.random.uniform, jax.random.normal):
        values = ops.sample_flat(functools.partial(sample, key), shape)
        np.testing.assert_array_equal(values, sample(key, shape))


def test_lower_bound_passes_gradients_that_raise_the_value():
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
def test_lower_bound_keeps_the_dtype(dtype):
    with compatibility.enable_x64(True):
        values = jnp.zeros(3, dtype)
        assert ops.lower_bound(values, 0.11).dtype == dtype
        gradient = jax.grad(lambda values: jnp.sum(ops.lower_bound(values, 0.11)))
        assert gradient(values).dtype == dtype


def test_padding_repeats_the_last_row_and_column():
    image = jnp.arange(1.0, 7.0).reshape(1, 2, 3, 1)
    padded = ops.pad_to(image, 4, 5)
    expected = [[1, 2, 3, 3, 3], [4, 5, 6, 6, 6], [4, 5, 6, 6, 6], [4, 5, 6, 6, 6]]
    np.testing.assert_array_equal(padded[0, ..., 0], expected)
    np.testing.assert_array_equal(ops.pad_to(image[0], 2, 3), image[0])


@pytest.mark.parametrize(
    ("length", "expected"), [(0, 0), (1, 64), (63, 64), (64, 64), (65, 128)]
)
def test_round_up_returns_the_next_multiple(length, expected):
    assert ops.round_up(length, 64) == expected


def test_leaky_relu_has_slopes_0_01_and_1():
    slope = jax.vmap(jax.grad(ops.leaky_relu))
    np.testing.assert_allclose(slope(jnp.array([-3.0, 3.0])), [0.01, 1.0])
    np.testing.assert_allclose(
        ops.leaky_relu(jnp.array([-3.0, 0.0, 3.0])), [-0.03, 0.0, 3.0]
    )
