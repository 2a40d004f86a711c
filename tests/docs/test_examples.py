"""The examples in Equinox, and in Linen with CoDeX, use the loss as they should."""

import importlib.util
import itertools

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

EXAMPLES = "equinox_codec", "linen_codec"


@pytest.fixture(params=EXAMPLES)
def example(request):
    """The module of an example; skips if its library is not installed."""
    if request.param == "linen_codec" and not importlib.util.find_spec("codex"):
        pytest.skip("CoDeX is not installed: pip install --no-deps jax-codex==0.0.1")
    return importlib.import_module(request.param)


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
    example = importlib.import_module("equinox_codec")
    model = example.MeanScaleHyperprior(8, 6, key=key)
    brightness = jnp.array([0.1, 1.0, 3.0])[:, None, None, None]
    images = brightness * jax.random.uniform(key, (3, 3, 64, 96))
    keys = jax.random.split(key, 3)
    coded = jax.jit(jax.vmap(lambda image, key: model(image, key)))(images, keys)
    arrays = [
        np.asarray(a, np.float64) for a in (coded.latent, coded.mean, coded.scale)
    ]
    assert arrays[0].shape == (3, 6, 8, 12)
    _, terms = eqx.filter_jit(example.objective)(model, images, key, 0.0)
    expected = looped_loss(*arrays, window=5)
    np.testing.assert_allclose(terms["correlation"], expected, rtol=1e-4)
    # The mistakes that the example warns of give other numbers.
    losses = [looped_loss(*(a[[i]] for a in arrays), window=5) for i in range(3)]
    assert sum(losses) / 3 > 1.01 * expected
    unmoved = looped_loss(*(np.moveaxis(a, -1, 1) for a in arrays), window=5)
    assert abs(unmoved / expected - 1) > 0.01


def test_training_with_the_loss_leaves_less_correlation(example):
    sizes = {"steps": 60, "width": 8, "channels": 8}
    with jax.numpy_rank_promotion("allow"):  # CoDeX broadcasts ranks.
        without, with_loss = (example.train(a, **sizes) for a in (0.0, 1.0))
    assert with_loss["correlation"] < 0.7 * without["correlation"]
    assert all(np.isfinite(value) for value in with_loss.values())


def test_bits_of_codex_equal_ours(example):
    if example.__name__ != "linen_codec":
        pytest.skip("only the Linen example has the entropy models of CoDeX")
    from jaxcorr.entropy.gaussian import gaussian_bits

    residual = jnp.linspace(-40.0, 40.0, 161)
    for scale in (0.11, 1.0, 30.0):
        scales = jnp.full_like(residual, scale)
        theirs = example.GaussianConditional(scale=scales).bin_bits(residual)
        ours = gaussian_bits(residual, scales)
        near = np.abs(residual) < 6 * scale  # Beyond, theirs loses digits.
        np.testing.assert_allclose(ours[near], theirs[near], rtol=1e-3, atol=1e-5)
