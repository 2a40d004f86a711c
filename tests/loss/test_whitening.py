"""The whitening loss against known prediction gains and NumPy."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads

from jaxcorr import compatibility, whitening

CAUSAL = [(r, c) for r in range(-2, 1) for c in range(-2, 3) if (r, c) < (0, 0)]


def filtered(shape, *, down, right, seed=0):
    """Samples a field whose rows and columns are autoregressive, of variance 1."""
    rng = np.random.default_rng(seed)
    field = rng.normal(size=shape)
    for axis, rho in ((1, down), (2, right)):
        field = np.moveaxis(field, axis, 0)
        for line in range(1, len(field)):
            field[line] = rho * field[line - 1] + np.sqrt(1 - rho**2) * field[line]
        field = np.moveaxis(field, 0, axis)
    return field


def windows_of(field):
    """Returns the causal neighbors, the center and 1 of each position, by loops."""
    rows = []
    for y in range(2, field.shape[1]):
        for x in range(2, field.shape[2] - 2):
            taps = [field[:, y + r, x + c] for r, c in [*CAUSAL, (0, 0)]]
            rows.append(np.stack([*taps, np.ones_like(taps[0])], axis=1))
    return np.concatenate(rows).astype(np.float64)  # [positions, 14, channels]


@pytest.mark.fast
@pytest.mark.parametrize("shape", [(3, 6, 7, 2), (1, 5, 2 * whitening.BLOCK + 7, 2)])
def test_moments_and_bits_equal_those_of_numpy(shape):
    field = filtered(shape, down=0.6, right=-0.4)
    field = (field + 0.5).astype(np.float32)
    windows = windows_of(field)
    expected = np.einsum("nic,njc->cij", windows, windows) / len(windows)
    moments = whitening.neighbor_moments(field)
    np.testing.assert_allclose(moments, expected, rtol=0, atol=1e-5)
    for offset in (False, True):
        bits = whitening.whitening_bits(moments, offset=offset)
        for channel, matrix in enumerate(expected):
            mean = matrix[13, :13]
            matrix = matrix[:13, :13] - offset * np.outer(mean, mean)
            matrix = matrix + 1e-3 * np.eye(13)
            inner, edge = matrix[:12, :12], matrix[12, :12]
            left = matrix[12, 12] - edge @ np.linalg.solve(inner, edge)
            gain = 0.5 * np.log2(matrix[12, 12] / left)
            gain += offset * mean[12] ** 2 / (2 * np.log(2))
            np.testing.assert_allclose(bits[channel], gain, rtol=1e-3)


@pytest.mark.parametrize("axis", ["down", "right"])
def test_an_autoregressive_process_saves_the_bits_of_its_prediction(axis):
    down, right = (0.6, 0.0) if axis == "down" else (0.0, 0.6)
    field = filtered((64, 40, 40, 1), down=down, right=right)
    (bits,) = whitening.whitening_bits(whitening.neighbor_moments(field))
    assert abs(bits / (-0.5 * np.log2(1 - 0.6**2)) - 1) < 0.03


def test_a_field_that_depends_on_rows_and_columns_saves_both_predictions():
    field = filtered((64, 40, 40, 1), down=0.5, right=0.4)
    (bits,) = whitening.whitening_bits(whitening.neighbor_moments(field))
    # The error of the best prediction has the variance (1 - down²) (1 - right²).
    expected = -0.5 * np.log2((1 - 0.5**2) * (1 - 0.4**2))
    assert abs(bits / expected - 1) < 0.03


@pytest.mark.fast
def test_loss_is_in_bits_per_pixel_and_does_not_depend_on_the_scale():
    field = filtered((2, 16, 16, 6), down=0.5, right=0.5)
    bits = whitening.whitening_bits(whitening.neighbor_moments(field))
    loss = whitening.whitening_loss(field)
    np.testing.assert_allclose(loss, np.sum(bits) / 256, rtol=1e-6)
    np.testing.assert_allclose(
        whitening.whitening_loss(field, stride=8), 4 * loss, rtol=1e-6
    )
    np.testing.assert_allclose(
        whitening.whitening_loss(2 * field), loss, rtol=0.01
    )  # But for the ridge.


@pytest.mark.fast
def test_white_latents_lose_the_bits_of_twelve_fitted_coefficients(key):
    field = jax.random.normal(key, (4, 32, 32, 64))
    bits = whitening.whitening_bits(whitening.neighbor_moments(field))
    expected = 12 / (2 * 4 * 30 * 28 * np.log(2))
    # 64 means of chi-squared variables with 12 degrees of freedom.
    assert abs(np.mean(bits) / expected - 1) < 4 * np.sqrt(2 / 12 / 64)


@pytest.mark.fast
def test_latents_of_zero_lose_nothing_and_have_a_finite_gradient():
    zeros = jnp.zeros((1, 6, 6, 2))
    loss, gradient = jax.value_and_grad(whitening.whitening_loss)(zeros)
    assert abs(loss) < 1e-8 and np.all(np.isfinite(gradient))


@pytest.mark.fast
def test_a_mean_offset_is_priced_apart():
    field = np.random.default_rng(0).normal(size=(16, 32, 32, 2))
    moments = whitening.neighbor_moments(field + 0.3)
    priced = whitening.whitening_bits(moments, offset=True)
    np.testing.assert_allclose(priced, 0.3**2 / (2 * np.log(2)), atol=0.01)


@pytest.mark.parametrize("offset", [False, True])
def test_gradient_equals_finite_differences(offset):
    with compatibility.enable_x64(True):
        field = np.random.default_rng(0).normal(size=(2, 6, 6, 2))
        loss = functools.partial(whitening.whitening_loss, offset=offset)
        assert loss(field).dtype == jnp.float64
        check_grads(loss, (field,), order=1, modes=["rev"], rtol=1e-5)


@pytest.mark.fast
@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ((6, 6), r"\[..., height, width, channels\].* is \(6, 6\)"),
        ((0, 6, 6, 1), r"not be empty, but their shape is \(0, 6, 6, 1\)"),
        ((1, 2, 6, 1), "at least 3 high and 5 wide.* 2 high and 6 wide"),
        ((1, 6, 4, 1), "at least 3 high and 5 wide.* 6 high and 4 wide"),
    ],
)
def test_latents_without_neighbors_are_refused(shape, message):
    with pytest.raises(ValueError, match=message):
        whitening.whitening_loss(np.ones(shape))


@pytest.mark.fast
def test_moments_of_another_shape_and_strides_below_1_are_refused():
    with pytest.raises(ValueError, match="`stride` must be at least 1, but is 0"):
        whitening.whitening_loss(np.ones((1, 6, 6, 1)), stride=0)
    with pytest.raises(ValueError, match=r"\[..., 14, 14\], but has \(13, 13\)"):
        whitening.whitening_bits(np.eye(13))


@pytest.mark.fast
def test_the_gradient_calls_no_library_whose_threads_may_wait_for_each_other():
    latents = jax.ShapeDtypeStruct((2, 8, 9, 64), jnp.float32)
    program = jax.jit(jax.grad(whitening.whitening_loss)).lower(latents)
    assert "custom_call" not in program.as_text()


@pytest.mark.fast
def test_strong_correlations_leave_the_variance_of_a_factorization():
    rng = np.random.default_rng(0)
    field = np.cumsum(rng.normal(size=(4, 12, 12, 3)), axis=2).astype(np.float32)
    moments = whitening.neighbor_moments(field / field.std())
    covariance = np.asarray(moments, np.float64)[:, :13, :13] + 1e-3 * np.eye(13)
    root = np.linalg.cholesky(covariance)[:, -1, -1]
    expected = 0.5 * np.log2(covariance[:, -1, -1] / root**2)
    assert expected.min() > 1
    np.testing.assert_allclose(whitening.whitening_bits(moments), expected, rtol=1e-4)
