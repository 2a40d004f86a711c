"""The examples in Equinox, and in Linen with CoDeX, use the loss as they should."""

import itertools

import equinox as eqx
import equinox_codec
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from support.codex_homes import HOMES, import_with_codex

from jaxcorr.entropy.gaussian import gaussian_bits


@pytest.fixture(params=HOMES)
def linen_codec(request, monkeypatch):
    """The example in Linen, with CoDeX from one of its homes."""
    return import_with_codex(request.param, monkeypatch, "linen_codec")


def looped_loss(latent, mean, scale, window):
    """Computes the loss of [batch, channels, height, width] by its definition."""
    z = (latent - mean) / np.maximum(scale, 0.11)
    middle, (height, width) = window // 2, z.shape[-2:]
    loss = 0.0
    for i, j in itertools.product(range(window), repeat=2):
        products = [
            (z[..., y, x] * z[..., y + i - middle, x + j - middle]).mean()
            for y in range(middle, height - middle)
            for x in range(middle, width - middle)
        ]
        loss += np.mean(products) ** 2 if (i, j) != (middle, middle) else 0.0
    return loss


def test_equinox_example_computes_the_loss_of_the_whole_batch(key):
    model = equinox_codec.MeanScaleHyperprior(8, 6, key=key)
    brightness = jnp.array([0.1, 1.0, 3.0])[:, None, None, None]
    images = brightness * jax.random.uniform(key, (3, 3, 64, 96))
    keys = jax.random.split(key, 3)
    coded = jax.jit(jax.vmap(lambda image, key: model(image, key)))(images, keys)
    arrays = [
        np.asarray(a, np.float64) for a in (coded.latent, coded.mean, coded.scale)
    ]
    assert arrays[0].shape == (3, 6, 8, 12)
    _, terms = eqx.filter_jit(equinox_codec.objective)(model, images, key, 0.0)
    expected = looped_loss(*arrays, window=5)
    np.testing.assert_allclose(terms["correlation"], expected, rtol=1e-4)
    # The mistakes that the example warns of give other numbers.
    losses = [looped_loss(*(a[[i]] for a in arrays), window=5) for i in range(3)]
    assert sum(losses) / 3 > 1.01 * expected
    unmoved = looped_loss(*(np.moveaxis(a, -1, 1) for a in arrays), window=5)
    assert abs(unmoved / expected - 1) > 0.01


def assert_training_leaves_less_correlation(train):
    sizes = {"steps": 60, "width": 8, "channels": 8}
    without, with_loss = (train(weight, **sizes) for weight in (0.0, 1.0))
    assert with_loss["correlation"] < 0.7 * without["correlation"]
    assert all(np.isfinite(value) for value in with_loss.values())


@pytest.mark.slow
def test_training_in_equinox_with_the_loss_leaves_less_correlation():
    assert_training_leaves_less_correlation(equinox_codec.train)


@pytest.mark.slow
@jax.numpy_rank_promotion("allow")  # CoDeX broadcasts ranks.
def test_training_in_linen_with_the_loss_leaves_less_correlation(linen_codec):
    assert_training_leaves_less_correlation(linen_codec.train)


@jax.numpy_rank_promotion("allow")
def test_bits_of_codex_equal_ours(linen_codec):
    residual = jnp.linspace(-40.0, 40.0, 161)
    for scale in (0.11, 1.0, 30.0):
        scales = jnp.full_like(residual, scale)
        theirs = linen_codec.GaussianConditional(scale=scales).bin_bits(residual)
        ours = gaussian_bits(residual, scales)
        near = np.abs(residual) < 6 * scale  # Beyond, theirs loses digits.
        np.testing.assert_allclose(ours[near], theirs[near], rtol=1e-3, atol=1e-5)
