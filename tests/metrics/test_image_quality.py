"""PSNR, and MS-SSIM against a reference implementation."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from references import synthetic
from support.paths import REFERENCES

from jaxcorr.metrics import image_quality

# Written by `references/make_ms_ssim.py`, which names the implementation.
REFERENCE = np.load(REFERENCES / "ms_ssim.npz")
SIZES = [tuple(size) for size in REFERENCE["sizes"]]


def pairs(size):
    """Returns the image pairs of the reference as two batches, in [0, 1]."""
    first, second = zip(*synthetic.pairs(*size).values(), strict=True)
    return np.stack(first) / 255.0, np.stack(second) / 255.0


@pytest.mark.fast
@pytest.mark.parametrize("size", SIZES)
def test_ms_ssim_of_numpy_arrays_equals_the_reference(size):
    assert list(REFERENCE["names"]) == list(synthetic.pairs(2, 2))
    expected = REFERENCE["values"][SIZES.index(size)]
    values = image_quality.ms_ssim(*pairs(size))
    assert isinstance(values, np.ndarray)
    # The reference stores its window in float32.
    np.testing.assert_allclose(values, expected, rtol=0, atol=1e-5)


@pytest.fixture(scope="module")
def values_and_gradient():
    """Returns MS-SSIM and its gradient for JAX arrays of the first size."""
    first, second = (jnp.asarray(array, jnp.float32) for array in pairs(SIZES[0]))

    def total(second):
        values = image_quality.ms_ssim(first, second)
        return jnp.sum(values), values

    (_, values), gradient = jax.jit(jax.value_and_grad(total, has_aux=True))(second)
    return dict(
        zip(REFERENCE["names"], zip(values, gradient, strict=True), strict=True)
    )


def test_jax_and_numpy_arrays_have_the_same_ms_ssim(values_and_gradient):
    for name, expected in zip(REFERENCE["names"], REFERENCE["values"][0], strict=True):
        assert abs(values_and_gradient[name][0] - expected) < 1e-5


def test_gradient_of_ms_ssim_is_finite_even_where_it_is_clipped(values_and_gradient):
    for _, gradient in values_and_gradient.values():
        assert jnp.all(jnp.isfinite(gradient))
    assert values_and_gradient["negative"][0] == 0
    assert jnp.any(values_and_gradient["noise"][1] != 0)


@pytest.mark.fast
def test_ms_ssim_is_symmetric_and_1_for_equal_images():
    first, second = pairs(SIZES[0])
    np.testing.assert_allclose(
        image_quality.ms_ssim(first, second),
        image_quality.ms_ssim(second, first),
        rtol=1e-12,
    )
    np.testing.assert_allclose(image_quality.ms_ssim(first, first), 1.0, rtol=1e-12)


@pytest.mark.fast
@pytest.mark.parametrize("shape", [(1, 160, 300, 3), (1, 300, 17, 3)])
def test_images_too_small_for_ms_ssim_are_refused(shape):
    message = f"sides of at least 161, got {min(shape[1:3])}"
    with pytest.raises(ValueError, match=message):
        image_quality.ms_ssim(np.zeros(shape), np.zeros(shape))


@pytest.mark.fast
def test_psnr_is_in_decibels_relative_to_255():
    mse = jnp.array([255.0**2, 1.0, 100.0])
    expected = [0.0, 48.1308, 28.1308]  # 20 log10(255) = 48.1308
    np.testing.assert_allclose(image_quality.psnr_from_mse(mse), expected, atol=1e-3)


@pytest.mark.fast
def test_psnr_of_equal_images_is_finite():
    assert jnp.isfinite(image_quality.psnr_from_mse(0.0))
    assert image_quality.psnr_from_mse(0.0) > 140
