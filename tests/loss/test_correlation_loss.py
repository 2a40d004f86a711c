"""The correlation loss against its definition, and its documented properties."""

import functools
import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType, NamedSharding, PartitionSpec
from jax.test_util import check_grads
from support.reference_loss import (
    PUBLISHED_WITH_LOSS,
    PUBLISHED_WITHOUT_LOSS,
    looped_maps,
    weights_of,
)

from jaxcorr import compatibility, correlation

CELLS_KEPT = {"point": 48, "short_cross": 44, "box": 40, "long_cross": 36}


def latents(shape, seed=0):
    """Samples spatially correlated latents, with means and scales."""
    rng = np.random.default_rng(seed)
    latent = rng.normal(size=shape) + 0.3 * rng.normal(size=(*shape[:-2], 1, 1))
    mean = 0.1 * rng.normal(size=shape)
    scale = rng.uniform(0.05, 2.0, size=shape)
    return tuple(array.astype(np.float32) for array in (latent, mean, scale))


def normalize(latent, mean, scale):
    return (latent.astype(np.float64) - mean) / np.maximum(scale, 0.11)


@pytest.mark.fast
@pytest.mark.parametrize("window", [3, 5, 7])
@pytest.mark.parametrize("shape", [(7, 7, 1), (3, 9, 12, 4), (2, 3, 8, 7, 5)])
def test_maps_equal_those_of_four_loops(shape, window):
    z = normalize(*latents(shape))
    z = (z / z.std()).astype(np.float32)
    expected = looped_maps(z, window)
    maps = correlation.correlation_maps(z, window=window)
    np.testing.assert_allclose(maps, expected, rtol=0, atol=1e-6)
    pooled = correlation.correlation_map(z, window=window)
    np.testing.assert_allclose(pooled, expected.mean(axis=0), rtol=0, atol=1e-6)


@pytest.mark.fast
@pytest.mark.parametrize("pool_channels", [True, False])
@pytest.mark.parametrize(
    ("window", "mask"),
    [(7, "point"), (7, "box"), (5, "short_cross"), (3, "long_cross"), (5, "weights")],
)
def test_loss_equals_that_of_four_loops(window, mask, pool_channels):
    latent, mean, scale = latents((2, 9, 11, 3))
    if mask == "weights":
        mask = weights = np.random.default_rng(1).uniform(-1, 1, (window, window))
    else:
        weights = weights_of(mask, window)
    maps = looped_maps(normalize(latent, mean, scale), window)
    if pool_channels:
        maps = maps.mean(axis=0, keepdims=True)
    expected = np.mean(np.sum((weights * maps) ** 2, axis=(1, 2)))
    loss = correlation.correlation_loss(
        latent, mean, scale, window=window, mask=mask, pool_channels=pool_channels
    )
    np.testing.assert_allclose(loss, expected, rtol=1e-6, atol=1e-6)


@pytest.mark.fast
@pytest.mark.parametrize(
    ("published", "norm"),
    [(PUBLISHED_WITHOUT_LOSS, 0.0452), (PUBLISHED_WITH_LOSS, 0.0107)],
)
def test_published_maps_have_the_published_norm(published, norm):
    map = np.array(published.split(), np.float64).reshape(7, 7)
    assert abs(correlation.masked_norm(map, "point") - norm) < 1e-4


@pytest.mark.parametrize("mask", CELLS_KEPT)
def test_named_mask_keeps_its_cells(mask):
    assert correlation.masked_norm(np.ones((7, 7)), mask) == CELLS_KEPT[mask]
    # 49 maps, each with another cell, show which cells the mask keeps.
    cells = np.eye(49).reshape(49, 7, 7)
    kept = correlation.masked_norm(cells, mask).reshape(7, 7)
    np.testing.assert_array_equal(kept, weights_of(mask, 7))


def test_boolean_mask_selects_cells():
    mask = np.zeros((7, 7), bool)
    mask[0, :3] = True
    assert correlation.masked_norm(np.full((7, 7), 2.0), mask) == 3 * 2.0**2


def test_white_noise_has_a_loss_of_48_squared_variances_per_product(key):
    variance, shape = 2.0, (2, 16, 16, 8)
    products = 2 * 10 * 10 * 8
    z = jnp.sqrt(variance) * jax.random.normal(key, (64, *shape))
    maps = jax.lax.map(correlation.correlation_map, z)
    loss = correlation.masked_norm(maps, "point").mean()
    # 24 independent lags, twice each, in 64 samples: a relative deviation of 0.036.
    assert abs(loss / (48 * variance**2 / products) - 1) < 4 * 0.036


def test_maps_of_micro_batches_average_to_that_of_the_batch_but_losses_do_not():
    z = correlation.normalize(*latents((4, 8, 9, 3)))
    halves = jnp.stack([correlation.correlation_map(half) for half in jnp.split(z, 2)])
    batch = correlation.correlation_map(z)
    np.testing.assert_allclose(halves.mean(axis=0), batch, rtol=1e-5, atol=1e-6)
    mean_of_norms = correlation.masked_norm(halves, "point").mean()
    assert mean_of_norms > 1.01 * correlation.masked_norm(batch, "point")


@pytest.mark.parametrize("pool_channels", [True, False])
def test_sharded_batch_has_the_loss_and_gradient_of_one_device(pool_channels):
    mesh = jax.make_mesh((8,), ("data",), axis_types=(AxisType.Auto,))
    arrays = latents((16, 8, 9, 4))
    sharding = NamedSharding(mesh, PartitionSpec("data"))
    shards = tuple(jax.device_put(array, sharding) for array in arrays)
    assert len(shards[0].sharding.device_set) == 8

    @jax.jit
    @jax.value_and_grad
    def loss(arrays):
        return correlation.correlation_loss(*arrays, pool_channels=pool_channels)

    expected, expected_gradients = loss(jax.device_put(arrays, jax.devices()[0]))
    value, gradients = loss(shards)
    np.testing.assert_allclose(value, expected, rtol=1e-6, atol=1e-6)
    for gradient, reference in zip(gradients, expected_gradients, strict=True):
        assert gradient.sharding.is_equivalent_to(sharding, gradient.ndim)
        np.testing.assert_allclose(gradient, reference, rtol=1e-4, atol=1e-6)


def test_gradient_equals_finite_differences():
    with compatibility.enable_x64(True):
        latent, mean, scale = (a.astype(np.float64) for a in latents((2, 5, 6, 2)))
        loss = functools.partial(correlation.correlation_loss, window=3)
        assert loss(latent, mean, scale).dtype == jnp.float64
        # All scales are above the bound, where the loss is smooth.
        check_grads(loss, (latent, mean, scale + 0.2), order=1, rtol=1e-6)


@pytest.mark.parametrize(
    ("scale", "has_gradient"), [(0.11, True), (0.1, False), (-1.0, False)]
)
def test_gradient_of_the_scale_is_finite_and_zero_below_the_bound(scale, has_gradient):
    latent, mean, _ = latents((1, 7, 7, 2))
    scales = jnp.full(latent.shape, scale)
    gradients = jax.grad(correlation.correlation_loss, argnums=(0, 1, 2))(
        latent, mean, scales
    )
    assert all(jnp.isfinite(gradient).all() for gradient in gradients)
    assert jnp.any(gradients[2] != 0) == has_gradient
    if has_gradient:
        # A scale that equals the bound has the full gradient, not half of it.
        above = jax.grad(correlation.correlation_loss, argnums=2)(
            latent, mean, scales + 1e-6
        )
        np.testing.assert_allclose(gradients[2], above, rtol=1e-3, atol=1e-4)


def test_stopped_scale_has_no_gradient():
    gradients = jax.grad(correlation.correlation_loss, argnums=(0, 2))
    to_latent, to_scale = gradients(*latents((1, 7, 7, 2)), stop_scale_gradient=True)
    assert jnp.any(to_latent != 0)
    assert jnp.all(to_scale == 0)


def test_bfloat16_is_accumulated_in_float32():
    arrays = tuple(jnp.asarray(a, jnp.bfloat16) for a in latents((2, 12, 13, 4)))
    z = correlation.normalize(*arrays)
    assert z.dtype == jnp.float32
    wide = tuple(array.astype(jnp.float32) for array in arrays)
    np.testing.assert_array_equal(z, correlation.normalize(*wide))

    map = correlation.correlation_map(arrays[0])
    assert map.dtype == jnp.float32
    expected = looped_maps(wide[0], 7).mean(axis=0)
    np.testing.assert_allclose(map, expected, rtol=0, atol=1e-6)
    ones = jnp.ones((7, 7), jnp.bfloat16)
    norm = correlation.masked_norm(ones, np.full((7, 7), 1.001))
    np.testing.assert_allclose(norm, 49 * 1.001**2, rtol=1e-6)


@pytest.mark.parametrize("window", [-3, 0, 1, 4, 9])
def test_bad_window_is_refused(window):
    with pytest.raises(ValueError, match=f"`window` must be odd.* 8, .* is {window}"):
        correlation.correlation_map(np.ones((1, 8, 12, 1)), window=window)


@pytest.mark.parametrize("shape", [(), (8, 8), (0, 8, 8, 1)])
def test_latents_of_a_bad_shape_are_refused(shape):
    with pytest.raises(ValueError, match=r"\[..., height, width, channels\]"):
        correlation.correlation_loss(np.ones(shape), np.ones(shape), np.ones(shape))


@pytest.mark.parametrize("argument", [0, 1, 2])
def test_unequal_shapes_are_refused(argument):
    arrays = [np.ones((1, 8, 8, 2)) for _ in range(3)]
    arrays[argument] = np.ones((1, 8, 8, 1))
    with pytest.raises(ValueError, match=r"must have the same shape.*\(1, 8, 8, 1\)"):
        correlation.correlation_loss(*arrays)


@pytest.mark.parametrize("bound", [0.0, -0.1, float("nan")])
def test_scale_bound_that_is_not_positive_is_refused(bound):
    with pytest.raises(ValueError, match=f"`scale_bound` must be positive.*{bound}"):
        correlation.correlation_loss(*latents((1, 7, 7, 1)), scale_bound=bound)


@pytest.mark.parametrize(
    ("mask", "window", "message"),
    [
        ("cross", 7, "point, short_cross, box, long_cross .* but is 'cross'"),
        ("box", 3, "at least one cell, but 'box' leaves none of a 3x3 map"),
        (np.ones((5, 5)), 7, r"shape of the map, \(7, 7\), but has \(5, 5\)"),
        (np.ones(7), 7, r"shape of the map, \(7, 7\), but has \(7,\)"),
    ],
)
def test_bad_mask_is_refused(mask, window, message):
    with pytest.raises(ValueError, match=f"`mask` must .*{message}"):
        correlation.correlation_loss(*latents((1, 7, 7, 1)), window=window, mask=mask)


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ((7,), r"`map` must have the shape .* but has \(7,\)"),
        ((7, 5), r"`map` must have the shape .* but has \(7, 5\)"),
        ((4, 4), "must be odd, at least 3, but is 4"),
        ((1, 1), "must be odd, at least 3, but is 1"),
    ],
)
def test_bad_map_is_refused(shape, message):
    with pytest.raises(ValueError, match=message):
        correlation.masked_norm(np.ones(shape), "point")


@pytest.mark.fast
def test_numpy_and_jax_arrays_give_the_same_loss():
    arrays = latents((1, 8, 8, 2))
    loss = correlation.correlation_loss(*arrays)
    assert isinstance(loss, jax.Array)
    assert loss == correlation.correlation_loss(*map(jnp.asarray, arrays))


@pytest.mark.fast
@pytest.mark.parametrize(
    "names", [["correlation"], ["whitening"], ["correlation", "correlation_variants"]]
)
def test_copied_modules_need_neither_jaxcorr_nor_flax(names, tmp_path):
    """They are copied as their first lines say."""
    for name in names:
        text = Path(correlation.__file__).with_name(f"{name}.py").read_text()
        copied = text.replace("from jaxcorr import correlation", "import correlation")
        (tmp_path / f"{name}.py").write_text(copied)
    code = (
        f"import sys, {names[-1]}\n"
        "packages = {name.partition('.')[0] for name in sys.modules}\n"
        "unwanted = {'jaxcorr', 'flax', 'optax', 'orbax', 'tensorflow', 'beartype'}\n"
        "print(*packages & unwanted)\n"
    )
    run = [sys.executable, "-c", code]
    process = subprocess.run(
        run, cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert process.stdout == "\n"
