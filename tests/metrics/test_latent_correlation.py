"""Correlation of the latents of images that share a canvas."""

import jax.numpy as jnp
import numpy as np
import pytest

from jaxcorr import correlation
from jaxcorr.metrics import latent_correlation

pytestmark = pytest.mark.fast

SIZES = ((4, 7), (6, 3), (6, 7))
"""Rows and columns that lie over each image, of latents of 6 x 7."""


@pytest.fixture(scope="module")
def normalized():
    rng = np.random.default_rng(0)
    return rng.normal(0.3, 1, (len(SIZES), 6, 7, 2)).astype(np.float32)


@pytest.fixture(scope="module")
def inside():
    mask = np.zeros((len(SIZES), 6, 7, 1), bool)
    for row, (height, width) in zip(mask, SIZES, strict=True):
        row[:height, :width] = True
    return jnp.asarray(mask)


def test_products_of_an_image_are_those_of_its_own_latents(normalized, inside):
    products, windows = latent_correlation.window_products(
        jnp.asarray(normalized), inside, window=3
    )
    for number, (height, width) in enumerate(SIZES):
        own = normalized[number, :height, :width]
        maps = correlation.correlation_maps(own, window=3)
        count = (height - 2) * (width - 2)
        assert windows[number] == count
        np.testing.assert_allclose(products[number] / count, maps, rtol=1e-5, atol=1e-6)


def test_an_image_without_a_whole_window_has_no_products(normalized):
    inside = jnp.zeros((len(SIZES), 6, 7, 1), bool).at[:, :2, :7].set(True)
    products, windows = latent_correlation.window_products(
        jnp.asarray(normalized), inside, window=3
    )
    assert not products.any() and not windows.any()


def test_offsets_are_means_over_an_image(normalized, inside):
    centered = latent_correlation.without_offsets(normalized, inside)
    for number, (height, width) in enumerate(SIZES):
        own = normalized[number, :height, :width]
        expected = own - own.mean(axis=(0, 1))
        actual = centered[number, :height, :width]
        np.testing.assert_allclose(actual, expected, atol=1e-6)


def test_the_share_of_offsets_is_what_they_add_to_the_loss():
    assert latent_correlation.offset_share(4.0, 1.0) == 0.75
    assert latent_correlation.offset_share(0.0, 0.0) == 0.0
