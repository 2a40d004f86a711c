import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from support.context_models import (
    CHANNELS,
    CONTEXTS,
    QUANTIZATIONS,
    coded_on,
    features_and_latents,
    make_context,
    walk,
)

from jaxcorr.codec import CodecConfig
from jaxcorr.context.autoregressive import CAUSAL_TAPS
from jaxcorr.context.checkerboard import ODD_TAPS

CANVAS = (7, 5)
SIZES = [(1, 1), (1, 5), (5, 1), (3, 4), (7, 5)]
SLICES = ((0, 2), (2, 3), (3, 4))  # Of four channels.

each_context = pytest.mark.parametrize("name", CONTEXTS)


@functools.cache
def context_of(name):
    return make_context(CONTEXTS[name])


@functools.cache
def parallel_of(name, quantize):
    context, quantization = context_of(name), QUANTIZATIONS[quantize]
    return jax.jit(lambda f, y, coded: context.forward(f, y, quantization, coded))


def pass_of(name, size):
    """The pass that codes each latent, and how often each is coded."""
    context = context_of(name)
    features, _ = features_and_latents(CANVAS, dtype=np.float32)
    state = context.begin_coding(jnp.asarray(features), size)
    passes = np.full((*size, CHANNELS), -1)
    times = np.zeros((*size, CHANNELS), int)
    number = np.arange(times.size).reshape(times.shape)
    for index in range(context.num_passes(*size)):
        positions, mean, scale = state.predict(index)
        here = number[positions]
        assert np.shape(mean) == np.shape(scale) == here.shape
        # In raster order, channels last: so the symbols stand in the file.
        assert np.all(np.diff(here.ravel()) > 0)
        passes[positions] = index
        times[positions] += 1
        state.update(index, np.asarray(mean))
    return passes, times


@pytest.mark.fast
@pytest.mark.parametrize("size", SIZES, ids=str)
@each_context
def test_passes_code_every_latent_once_in_raster_order(name, size):
    passes, times = pass_of(name, size)
    np.testing.assert_array_equal(times, 1)
    assert passes.max() < context_of(name).num_passes(*size)


@functools.cache
def influence(name, quantize):
    """Which latents the mean or the scale of each depends on: `[h w c h w c]`."""
    features, latent = features_and_latents(CANVAS, dtype=np.float32)
    parallel = parallel_of(name, quantize)

    @jax.jit
    @jax.jacrev
    def jacobian(latent):
        out = parallel(features[None], latent[None], coded_on(CANVAS, CANVAS))
        return jnp.stack([out.mean[0], out.scale[0]])

    return np.any(np.asarray(jacobian(jnp.asarray(latent))) != 0, axis=0)


@pytest.mark.parametrize("quantize", ["towards center", "straight through"])
@each_context
def test_no_prediction_sees_latents_of_its_own_pass_or_a_later_one(name, quantize):
    passes, _ = pass_of(name, CANVAS)
    seen = influence(name, quantize)
    shape = passes.shape
    for place in np.ndindex(shape):
        assert not seen[place][passes >= passes[place]].any()
    assert seen.any() == (name != "independent")


def expected_taps(name):
    """Positions that a prediction sees at one hop: `[h w h w]`."""
    taps = CAUSAL_TAPS if name == "autoregressive" else ODD_TAPS
    expected = np.zeros((*CANVAS, *CANVAS), bool)
    for i, j in np.ndindex(CANVAS):
        if name == "checkerboard" and (i + j) % 2 == 0:
            continue
        for row, column in taps:
            if 0 <= i + row < CANVAS[0] and 0 <= j + column < CANVAS[1]:
                expected[i, j, i + row, j + column] = True
    return expected


# Rounding straight through hands gradients on, but those of centers stop: one hop.
@pytest.mark.parametrize("name", ["autoregressive", "checkerboard"])
def test_spatial_contexts_see_all_their_taps_and_no_others(name):
    seen = influence(name, "straight through")
    expected = expected_taps(name)[:, :, None, :, :, None]
    np.testing.assert_array_equal(seen, np.broadcast_to(expected, seen.shape))


@pytest.mark.parametrize(
    ("name", "support"), [("light channelwise", 1), ("reference channelwise", 2)]
)
def test_a_slice_sees_the_earlier_ones_up_to_the_support(name, support):
    seen = influence(name, "straight through").any(axis=(0, 1, 3, 4))
    expected = np.zeros((CHANNELS, CHANNELS), bool)
    for index, (start, end) in enumerate(SLICES):
        expected[start:end, : SLICES[min(index, support)][0]] = True
    np.testing.assert_array_equal(seen, expected)


@pytest.mark.parametrize(
    ("canvas", "size"),
    [(CANVAS, size) for size in SIZES] + [((1, 1), (1, 1))],
    ids=str,
)
@each_context
def test_all_at_once_is_what_the_passes_give_in_order(name, canvas, size):
    features, latent = features_and_latents(canvas)
    latent[size[0] :] = latent[:, size[1] :] = 1e4  # Nothing may depend on these.
    with jax.enable_x64(True):
        expected = walk(context_of(name), features, latent, size)
        found = parallel_of(name, "rounding")(
            features[None], latent[None], coded_on(canvas, size)
        )
    at = np.s_[:, : size[0], : size[1]]
    for field in dataclasses.fields(expected):
        one, other = (getattr(out, field.name) for out in (found, expected))
        assert one.dtype == other.dtype == np.float64
        np.testing.assert_allclose(one[at], other, rtol=0, atol=1e-10)
    symbols = np.asarray(expected.quantized - expected.mean)
    np.testing.assert_allclose(symbols, np.rint(symbols), rtol=0, atol=1e-10)


@pytest.mark.parametrize("quantize", ["straight through", "rounding"])
@each_context
def test_latents_that_are_not_coded_change_nothing(name, quantize):
    features, latent = features_and_latents(CANVAS, dtype=np.float32)
    rows, columns = 4, 3
    other = np.full_like(latent, np.nan)
    other[:rows, :columns] = latent[:rows, :columns]
    coded = coded_on(CANVAS, (rows, columns))
    parallel = parallel_of(name, quantize)
    one, two = (parallel(features[None], y[None], coded) for y in (latent, other))
    for field in dataclasses.fields(one):
        first, second = (
            getattr(out, field.name)[:, :rows, :columns] for out in (one, two)
        )
        assert np.all(np.isfinite(first))
        np.testing.assert_array_equal(first, second)


@pytest.mark.parametrize("name", ["autoregressive", "light channelwise"])
def test_images_of_a_batch_do_not_see_each_other(name):
    features, latent = features_and_latents((2, *CANVAS), dtype=np.float32)
    parallel = parallel_of(name, "rounding")
    coded = [coded_on(CANVAS, (7, 5)), coded_on(CANVAS, (4, 3))]
    both = parallel(features, latent, jnp.concatenate(coded))
    for index in range(2):
        here = np.s_[index : index + 1]
        alone = parallel(features[here], latent[here], coded[index])
        for field in dataclasses.fields(alone):
            one, other = (getattr(out, field.name) for out in (both, alone))
            shown = np.where(coded[index], one[here] - other, 0)
            np.testing.assert_allclose(shown, 0, atol=1e-5)


@each_context
def test_scales_are_at_their_bound_or_above_at_once_and_pass_by_pass(name):
    context = make_context(CONTEXTS[name], scale_bias=-0.5)
    features, latent = features_and_latents(CANVAS, dtype=np.float32)
    features[..., :CHANNELS] -= 4
    coded = coded_on(CANVAS, CANVAS)
    quantization = QUANTIZATIONS["towards center"]
    run = jax.jit(lambda f, y: context.forward(f, y, quantization, coded).scale)
    found = run(features[None], latent[None])
    for scale in (found, walk(context, features, latent, CANVAS).scale):
        assert scale.min() == np.float32(0.11)
        assert scale.max() > 0.2


@pytest.mark.fast
def test_each_context_is_trained_as_it_was_published():
    assert {name: context_of(name).default_quantization for name in CONTEXTS} == {
        "independent": "noise",
        "checkerboard": "straight_through",
        "space-channel": "straight_through",
        "autoregressive": "noise",
        "light channelwise": "straight_through",
        "reference channelwise": "straight_through",
    }


@pytest.mark.fast
def test_the_settings_without_a_context_model_are_the_hyperprior():
    assert CodecConfig().context == CONTEXTS["independent"]
