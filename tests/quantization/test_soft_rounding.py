"""Soft rounding, its inverse and the conditional mean, against their definitions."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from support import reference_soft_rounding
from support.reference_soft_rounding import SHARPNESS, VALUES

from jaxcorr import soft_rounding

each_sharpness = pytest.mark.parametrize("sharpness", SHARPNESS)


@each_sharpness
def test_integers_and_half_integers_are_fixed_points(sharpness):
    values = jnp.arange(-40, 41, dtype=jnp.float32) / 2
    for function in (soft_rounding.soft_round, soft_rounding.soft_round_inverse):
        np.testing.assert_allclose(
            function(values, sharpness), values, rtol=2e-7, atol=1e-7
        )


@pytest.mark.parametrize("sharpness", SHARPNESS[2:])
def test_soft_rounding_is_a_hyperbolic_tangent_between_integers(sharpness):
    values = jnp.linspace(-3.0, 3.0, 1001)
    expected = reference_soft_rounding.soft_round(
        np.asarray(values, np.float64), sharpness
    )
    rounded = soft_rounding.soft_round(values, sharpness)
    assert rounded.dtype == jnp.float32
    np.testing.assert_allclose(rounded, expected, rtol=0, atol=5e-7)


def test_sharpness_0_is_the_identity_and_the_maximum_is_rounding():
    values = jnp.linspace(-3.0, 3.0, 1001)
    np.testing.assert_allclose(soft_rounding.soft_round(values, 0.0), values, atol=5e-7)
    unambiguous = values[jnp.abs(values - jnp.floor(values) - 0.5) > 0.1]
    sharpest = soft_rounding.soft_round(unambiguous, soft_rounding.SHARPNESS_MAXIMUM)
    np.testing.assert_allclose(sharpest, jnp.round(unambiguous), rtol=0, atol=1e-5)


@pytest.mark.parametrize("sharpness", SHARPNESS[:-1])
def test_inverse_inverts_soft_rounding(float64, sharpness):
    values = jnp.asarray(VALUES)
    restored = soft_rounding.soft_round_inverse(
        soft_rounding.soft_round(values, sharpness), sharpness
    )
    # Rounding errors next to an integer are magnified by the slope of the inverse.
    error = np.exp(sharpness) * np.finfo(np.float64).eps
    np.testing.assert_allclose(restored, VALUES, rtol=0, atol=1e-13 + error)
    restored = soft_rounding.soft_round(
        soft_rounding.soft_round_inverse(values, sharpness), sharpness
    )
    np.testing.assert_allclose(restored, VALUES, rtol=0, atol=1e-13)


@each_sharpness
def test_soft_rounding_and_its_inverse_rise(sharpness):
    values = jnp.linspace(-2.0, 2.0, 4001)
    for function in (soft_rounding.soft_round, soft_rounding.soft_round_inverse):
        assert jnp.all(jnp.diff(function(values, sharpness)) >= 0)


@each_sharpness
def test_slopes_are_finite_and_match_the_hyperbolic_tangent(sharpness):
    values = jnp.asarray(VALUES, jnp.float32)

    def slope(function):
        return jax.vmap(jax.grad(lambda x: function(x, sharpness)))(values)

    # The slope is the same from both sides of an integer and of a half-integer.
    from_middle = np.asarray(VALUES - np.floor(VALUES) - 0.5)
    height = sharpness / (2 * np.tanh(sharpness / 2)) if sharpness else 1.0
    expected = height / np.cosh(sharpness * from_middle) ** 2
    np.testing.assert_allclose(slope(soft_rounding.soft_round), expected, rtol=2e-5)
    inverse = slope(soft_rounding.soft_round_inverse)
    assert jnp.all(jnp.isfinite(inverse) & (inverse > 0))
    steepest = np.expm1(sharpness) - np.expm1(-sharpness)
    steepest = steepest / (2 * sharpness) if sharpness else 1.0
    np.testing.assert_allclose(inverse[VALUES == 1], steepest, rtol=1e-5)


@pytest.mark.parametrize("sharpness", [0.1, 1.0, 5.0, 12.0])
def test_conditional_mean_is_over_all_values_that_could_have_produced_it(sharpness):
    values = np.linspace(-5, 5, 2_000_001)
    soft = reference_soft_rounding.soft_round(values, sharpness)
    noisy = np.array([-2.5, -1.3, -0.6, 0.0, 0.2, 0.5, 1.49])
    means = soft_rounding.conditional_mean(jnp.asarray(noisy, jnp.float32), sharpness)
    for value, mean in zip(noisy, means, strict=True):
        # Noise of at most half a step produces the noisy value, equally likely from
        # each of these.
        expected = values[np.abs(soft - value) < 0.5].mean()
        np.testing.assert_allclose(mean, expected, rtol=0, atol=2e-5)
