"""Variants of the correlation loss: estimators, weight and masks of contexts."""

import functools
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads
from support.reference_loss import looped_maps, weights_of

from jaxcorr import compatibility, correlation, correlation_variants
from jaxcorr.context import seen
from jaxcorr.context.autoregressive import Autoregressive
from jaxcorr.context.channelwise import Channelwise
from jaxcorr.context.checkerboard import Checkerboard
from jaxcorr.context.no_context import NoContext
from jaxcorr.context.space_channel import SpaceChannel

MARKS = {".": 1.0, "x": 0.0}


def latents(shape, seed=0):
    rng = np.random.default_rng(seed)
    smooth = rng.normal(size=shape) + 0.3 * rng.normal(size=(*shape[:-2], 1, 1))
    return smooth.astype(np.float32)


def unbiased(normalized, **options):
    normalized = jnp.asarray(normalized)
    zeros = jnp.zeros(normalized.shape, normalized.dtype)
    return correlation_variants.unbiased_correlation_loss(
        normalized, zeros, zeros + 1, **options
    )


@pytest.mark.fast
@pytest.mark.parametrize("pool_channels", [True, False])
def test_unbiased_loss_is_the_mean_product_over_pairs_of_images(pool_channels):
    z = latents((3, 6, 7, 2))
    maps = np.stack([looped_maps(image[None], 3) for image in z])
    if pool_channels:
        maps = maps.mean(axis=1, keepdims=True)
    weights = weights_of("short_cross", 3)
    products = [
        np.mean(np.sum(weights**2 * maps[a] * maps[b], axis=(1, 2)))
        for a, b in itertools.permutations(range(3), 2)
    ]
    loss = unbiased(z, window=3, mask="short_cross", pool_channels=pool_channels)
    np.testing.assert_allclose(loss, np.mean(products), rtol=1e-4, atol=1e-7)


@pytest.mark.fast
def test_unbiased_loss_of_one_image_multiplies_the_maps_of_its_halves():
    z = latents((1, 6, 13, 2))
    first, last = looped_maps(z[:, :, :6], 3), looped_maps(z[:, :, -6:], 3)
    products = weights_of("point", 3) * first.mean(axis=0) * last.mean(axis=0)
    np.testing.assert_allclose(unbiased(z, window=3), products.sum(), rtol=1e-4)
    upright = np.swapaxes(z, 1, 2)
    np.testing.assert_allclose(unbiased(upright, window=3), products.sum(), rtol=1e-4)


@pytest.mark.parametrize("batch", [1, 4])
def test_white_latents_have_an_unbiased_loss_of_zero_and_a_published_floor(key, batch):
    variance, window = 2.0, 5
    z = jnp.sqrt(variance) * jax.random.normal(key, (256, batch, 12, 12, 4))
    losses = jax.lax.map(lambda z: unbiased(z, window=window), z)
    error = losses.std() / np.sqrt(len(losses))
    assert abs(losses.mean()) < 4 * error
    maps = jax.lax.map(lambda z: correlation.correlation_map(z, window=window), z)
    published = correlation.masked_norm(maps, "point").mean()
    floor = 24 * variance**2 / (batch * 8 * 8 * 4)
    assert abs(published / floor - 1) < 0.1
    assert error < 0.1 * floor


@pytest.mark.fast
def test_unbiased_gradient_equals_finite_differences():
    with compatibility.enable_x64(True):
        z = latents((2, 5, 6, 2)).astype(np.float64)
        mean, scale = 0.1 * z[::-1], 0.5 + z**2
        loss = functools.partial(
            correlation_variants.unbiased_correlation_loss, window=3
        )
        assert loss(z, mean, scale).dtype == jnp.float64
        check_grads(loss, (z, mean, scale), order=1, modes=["rev"], rtol=1e-5)


@pytest.mark.fast
def test_averaged_norm_has_the_gradient_of_the_average_times_the_map():
    average, map = np.random.default_rng(0).normal(size=(2, 5, 5)).astype(np.float32)
    weights = np.array(correlation.named_mask("box", 5))
    value, gradient = jax.value_and_grad(correlation_variants.averaged_norm, argnums=1)(
        average, map, "box"
    )
    np.testing.assert_allclose(gradient, 2 * weights * average, rtol=1e-6)
    expected = np.sum(weights * (average**2 + 2 * average * (map - average)))
    np.testing.assert_allclose(value, expected, rtol=1e-5)
    assert not jax.grad(correlation_variants.averaged_norm)(average, map, "box").any()
    # At the average itself it is the published norm.
    norm = correlation.masked_norm(map, "box")
    np.testing.assert_allclose(
        correlation_variants.averaged_norm(map, map, "box"), norm, rtol=1e-6
    )


@pytest.mark.fast
@pytest.mark.parametrize(
    ("channels", "weight"), [(64, 0.09), (128, 0.18), (192, 0.27), (320, 0.45)]
)
def test_natural_weight_is_that_of_the_width_and_has_no_gradient(channels, weight):
    natural = functools.partial(correlation_variants.natural_weight, channels=channels)
    assert abs(natural(1.0) - weight) < 0.003
    np.testing.assert_allclose(natural(0.5), 4 * natural(1.0), rtol=1e-6)
    assert jax.grad(natural)(0.7) == 0


@pytest.mark.fast
def test_latents_of_zero_have_a_priced_loss_of_zero():
    def priced(normalized):
        map = correlation.correlation_map(normalized, window=3)
        weight = correlation_variants.natural_weight(map[1, 1], channels=4)
        return weight * correlation.masked_norm(map, "point")

    value, gradient = jax.value_and_grad(priced)(jnp.zeros((2, 5, 5, 4)))
    assert value == 0 and not gradient.any()


@pytest.mark.fast
def test_with_the_natural_weight_the_loss_is_the_bits_of_the_correlation():
    # Bits that independent coding of an autoregressive process loses, exactly.
    rho, channels = 0.3, 192
    lags = [rho ** abs(lag) for lag in range(-3, 4)]
    map = np.zeros((7, 7))
    map[3] = 0.8 * np.array(lags)
    weight = correlation_variants.natural_weight(map[3, 3], channels=channels)
    bits = weight * correlation.masked_norm(map, "point") * 256 / channels
    assert abs(bits / (-0.5 * np.log2(1 - rho**2)) - 1) < 0.1


CHECKERBOARD_7 = """
    . . . . . . .
    . . x . x . .
    . x . x . x .
    . . x x x . .
    . x . x . x .
    . . x . x . .
    . . . . . . .
"""
AUTOREGRESSIVE_7 = """
    . . . . . . .
    . x x x x x .
    . x x x x x .
    . x x x x x .
    . x x x x x .
    . x x x x x .
    . . . . . . .
"""
POINT_7 = """
    . . . . . . .
    . . . . . . .
    . . . . . . .
    . . . x . . .
    . . . . . . .
    . . . . . . .
    . . . . . . .
"""


@pytest.mark.fast
@pytest.mark.parametrize(
    ("context", "drawing"),
    [
        (Checkerboard(), CHECKERBOARD_7),
        (SpaceChannel(groups=(1,)), CHECKERBOARD_7),
        (Autoregressive(), AUTOREGRESSIVE_7),
        (Channelwise(), POINT_7),
        (NoContext(), POINT_7),
    ],
)
def test_mask_of_a_context_leaves_out_what_it_sees(context, drawing):
    mask = correlation_variants.context_mask(7, seen.seen_offsets(context))
    expected = [[MARKS[x] for x in line.split()] for line in drawing.split("\n")[1:-1]]
    assert mask == expected


@pytest.mark.fast
def test_groups_of_channels_are_those_that_are_coded_together():
    assert seen.channel_groups(Channelwise(slices=3, support=1), 8) == (
        (0, 3),
        (3, 6),
        (6, 8),
    )
    assert seen.channel_groups(SpaceChannel(groups=(1, 2)), 8) == (
        (0, 1),
        (1, 3),
        (3, 8),
    )
    assert seen.channel_groups(Checkerboard(), 8) == ((0, 8),)


@pytest.mark.fast
def test_variants_that_do_not_fit_are_refused():
    taps = seen.seen_offsets(Autoregressive())
    with pytest.raises(ValueError, match="context model sees all of a 5x5 map"):
        correlation_variants.context_mask(5, taps)
    with pytest.raises(ValueError, match=r"half of the longer side .*\(4\), but is 5"):
        unbiased(np.ones((1, 8, 8, 1)), window=5)
    with pytest.raises(ValueError, match=r"`window` must be odd.*, but is 9"):
        unbiased(np.ones((2, 8, 8, 1)), window=9)
    with pytest.raises(ValueError, match=r"\[batch, height, .* is \(8, 8, 1\)"):
        unbiased(np.ones((8, 8, 1)))
    with pytest.raises(ValueError, match="`parts` must be at least 2, but is 1"):
        correlation_variants.unbiased_norm(1.0, 1.0, parts=1)
    with pytest.raises(ValueError, match=r"`window` must be odd and .* but is 4"):
        correlation_variants.context_mask(4, taps)
    with pytest.raises(ValueError, match=r"shape of `map`, \(5, 5\), but has \(3, 3\)"):
        correlation_variants.averaged_norm(np.ones((3, 3)), np.ones((5, 5)), "point")
    with pytest.raises(ValueError, match="`channels` must be at least 1, but is 0"):
        correlation_variants.natural_weight(1.0, channels=0)
    with pytest.raises(ValueError, match="`stride` must be at least 1, but is 0"):
        correlation_variants.natural_weight(1.0, channels=8, stride=0)
    with pytest.raises(ValueError, match="`mask` must be one of"):
        unbiased(np.ones((2, 8, 8, 1)), mask="cross")
