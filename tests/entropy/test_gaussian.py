"""Bits under a Gaussian against SciPy's cumulative function."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from jaxcorr import compatibility
from jaxcorr.entropy.gaussian import SCALE_BOUND, bits_between, gaussian_bits

pytestmark = pytest.mark.fast


def scipy_bits(residual, scale):
    """Computes bits in float64, from differences in the lower tail."""
    distance = np.abs(np.asarray(residual, np.float64))
    scale = np.asarray(scale, np.float64)
    upper = stats.norm.cdf((0.5 - distance) / scale)
    return -np.log2(upper - stats.norm.cdf((-0.5 - distance) / scale))


@pytest.mark.parametrize("scale", [0.11, 0.3, 1.0, 5.0, 40.0, 256.0])
def test_bits_equal_the_differences_of_cumulative_probabilities(scale):
    # Integers and noisy values, up to 30 scales away; at 37 scales float64 underflows.
    reach = 30 * scale
    residual = np.concatenate([np.arange(-3, 4), np.linspace(-reach, reach, 101)])
    residual = residual[np.abs(residual) <= reach].astype(np.float32)
    scales = np.full_like(residual, scale)
    expected = scipy_bits(residual, scales)
    bits = gaussian_bits(jnp.asarray(residual), jnp.asarray(scales))
    np.testing.assert_allclose(bits, expected, rtol=1e-4, atol=1e-5)
    with compatibility.enable_x64(True):
        wide = gaussian_bits(
            jnp.asarray(residual, jnp.float64), jnp.asarray(scales, jnp.float64)
        )
        assert wide.dtype == jnp.float64
        np.testing.assert_allclose(wide, expected, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("mean", [0.0, 0.37])
@pytest.mark.parametrize("scale", [SCALE_BOUND, 1.0, 40.0])
def test_probabilities_of_all_integers_sum_to_1(scale, mean):
    residual = jnp.arange(-500.0, 501.0) - mean
    bits = gaussian_bits(residual, jnp.full_like(residual, scale))
    np.testing.assert_allclose(jnp.sum(jnp.exp2(-bits)), 1.0, rtol=1e-4)


@pytest.mark.parametrize("scales_away", [8.0, 50.0, 1000.0])
@pytest.mark.parametrize("scale", [0.11, 1.0, 256.0])
@pytest.mark.parametrize("sign", [-1.0, 1.0])
def test_tails_have_finite_bits_and_gradients_that_lower_them(scale, scales_away, sign):
    residual = jnp.float32(sign * scales_away * scale)
    bits, (to_residual, to_scale) = jax.value_and_grad(gaussian_bits, (0, 1))(
        residual, jnp.float32(scale)
    )
    # Far from the mean, bits grow with the square of the nearer edge of the step.
    edge = (abs(residual) - 0.5) / scale
    assert bits > 0.5 * edge**2 / np.log(2)
    assert bits < 0.6 * (edge + 3) ** 2 / np.log(2) + 10
    assert jnp.isfinite(to_residual)
    assert to_residual * sign > 0.9 * edge / scale / np.log(2)
    assert jnp.isfinite(to_scale)
    assert to_scale < 0


@pytest.mark.parametrize("residual", [1e4, -1e6, 1e9])
def test_outliers_have_finite_bits_and_gradients(residual):
    bits, gradients = jax.value_and_grad(gaussian_bits, (0, 1))(
        jnp.float32(residual), jnp.float32(SCALE_BOUND)
    )
    assert jnp.isfinite(bits)
    assert bits > 1e9
    assert jnp.isfinite(gradients[0]) & jnp.isfinite(gradients[1])
    assert gradients[0] * residual > 0
    assert gradients[1] < 0


def test_bits_and_gradients_are_finite_where_float32_cannot_resolve_a_step():
    # At 1e4 scales from the mean, both ends of a step have the same log probability in
    # float32.
    bits, gradients = jax.value_and_grad(gaussian_bits, (0, 1))(
        jnp.float32(1e9), jnp.float32(1e5)
    )
    assert jnp.isfinite(bits)
    assert jnp.isfinite(gradients[0]) & jnp.isfinite(gradients[1])


@pytest.mark.parametrize("scale", [0.11, 1.0, 20.0])
def test_gradients_equal_finite_differences(scale):
    residual, step = np.linspace(-4 * scale, 4 * scale, 9), 1e-6
    with compatibility.enable_x64(True):
        scales = jnp.full(residual.shape, scale)
        gradients = jax.grad(
            lambda residual, scale: jnp.sum(gaussian_bits(residual, scale)), (0, 1)
        )(jnp.asarray(residual), scales)
        differences = [
            (scipy_bits(residual + step, scales) - scipy_bits(residual - step, scales)),
            (scipy_bits(residual, scales + step) - scipy_bits(residual, scales - step)),
        ]
        for gradient, difference in zip(gradients, differences, strict=True):
            np.testing.assert_allclose(
                gradient, difference / (2 * step), rtol=1e-4, atol=1e-6
            )


def test_likelihood_bound_limits_the_bits_and_keeps_their_gradient():
    def bounded(residual):
        return gaussian_bits(residual, jnp.float32(1.0), likelihood_bound=1e-9)

    def unbounded(residual):
        return gaussian_bits(residual, jnp.float32(1.0))

    near, far = jnp.float32(1.5), jnp.float32(50.0)
    np.testing.assert_allclose(bounded(far), 9 * np.log2(10), rtol=1e-6)
    assert bounded(near) == unbounded(near)
    assert jax.grad(bounded)(far) == jax.grad(unbounded)(far)


def test_bits_between_are_those_of_the_difference_of_probabilities():
    upper, lower = jnp.log(jnp.array([1.0, 0.5])), jnp.log(jnp.array([0.75, 0.25]))
    np.testing.assert_allclose(bits_between(upper, lower), [2.0, 2.0], rtol=1e-6)
