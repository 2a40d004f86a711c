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
    code_pass_by_pass,
    coded_mask,
    features_and_latents,
    make_context,
)

from jaxcorr import compatibility
from jaxcorr.codec import CodecConfig
from jaxcorr.context.autoregressive import CAUSAL_TAPS
from jaxcorr.context.checkerboard import ODD_TAPS
from jaxcorr.context.strips import CodingLayout, Rows

CANVAS = (7, 5)
SIZES = [(1, 1), (1, 5), (5, 1), (3, 4), (7, 5)]
SLICES = ((0, 2), (2, 3), (3, 4))  # Of four channels.

each_context = pytest.mark.parametrize("name", CONTEXTS)


@functools.cache
def context_of(name):
    return make_context(CONTEXTS[name])


@functools.cache
def forward_of(name, quantize):
    context, quantization = context_of(name), QUANTIZATIONS[quantize]
    return jax.jit(lambda f, y, coded: context.forward(f, y, quantization, coded))


def pass_of(name, size):
    """Returns the pass of each latent, and the number of times that it is coded."""
    context = context_of(name)
    features, _ = features_and_latents(CANVAS, dtype=np.float32)
    layout = CodingLayout.whole(size, CANVAS)
    state = context.begin_coding(Rows.of(jnp.asarray(features)), layout)
    passes = np.full((*size, CHANNELS), -1)
    times = np.zeros((*size, CHANNELS), int)
    number = np.arange(times.size).reshape(times.shape)
    for index in range(context.num_passes(*size)):
        positions, mean, scale = state.predict(0, index)
        order = number[positions]
        assert np.shape(mean) == np.shape(scale) == order.shape
        # Raster order, channels last, is the order of symbols in the file.
        assert np.all(np.diff(order.ravel()) > 0)
        passes[positions] = index
        times[positions] += 1
        state.latent_hat[positions] = mean
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
    """Returns whether mean or scale depend on each latent: `[h w c h w c]`."""
    features, latent = features_and_latents(CANVAS, dtype=np.float32)
    forward = forward_of(name, quantize)

    @jax.jit
    @jax.jacrev
    def jacobian(latent):
        out = forward(features[None], latent[None], coded_mask(CANVAS, CANVAS))
        return jnp.stack([out.mean[0], out.scale[0]])

    return np.any(np.asarray(jacobian(jnp.asarray(latent))) != 0, axis=0)


@pytest.mark.parametrize("quantize", ["towards center", "straight through"])
@each_context
def test_predictions_do_not_depend_on_the_same_or_later_passes(name, quantize):
    passes, _ = pass_of(name, CANVAS)
    seen = influence(name, quantize)
    for latent in np.ndindex(passes.shape):
        assert not seen[latent][passes >= passes[latent]].any()
    assert seen.any() == (name != "none")


def expected_taps(name):
    """Returns whether a prediction sees each position directly: `[h w h w]`."""
    taps = CAUSAL_TAPS if name == "autoregressive" else ODD_TAPS
    expected = np.zeros((*CANVAS, *CANVAS), bool)
    for i, j in np.ndindex(CANVAS):
        if name == "checkerboard" and (i + j) % 2 == 0:
            continue
        for row, column in taps:
            if 0 <= i + row < CANVAS[0] and 0 <= j + column < CANVAS[1]:
                expected[i, j, i + row, j + column] = True
    return expected


# Straight-through rounding has gradients in latents and none in centers, so they show
# direct dependence only.
@pytest.mark.parametrize("name", ["autoregressive", "checkerboard"])
def test_spatial_contexts_see_all_their_taps_and_no_others(name):
    seen = influence(name, "straight through")
    expected = expected_taps(name)[:, :, None, :, :, None]
    np.testing.assert_array_equal(seen, np.broadcast_to(expected, seen.shape))


@pytest.mark.parametrize(
    ("name", "support"), [("light channelwise", 1), ("reference channelwise", 2)]
)
def test_a_slice_sees_earlier_slices_up_to_the_support(name, support):
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
def test_forward_equals_coding_pass_by_pass(name, canvas, size):
    features, latent = features_and_latents(canvas)
    latent[size[0] :] = latent[:, size[1] :] = 1e4  # Nothing may depend on these.
    with compatibility.enable_x64(True):
        expected = code_pass_by_pass(context_of(name), features, latent, size)
        output = forward_of(name, "rounding")(
            features[None], latent[None], coded_mask(canvas, size)
        )
    on_image = np.s_[:, : size[0], : size[1]]
    for field in dataclasses.fields(expected):
        one, other = (getattr(out, field.name) for out in (output, expected))
        assert one.dtype == other.dtype == np.float64
        np.testing.assert_allclose(one[on_image], other, rtol=0, atol=1e-10)
    symbols = np.asarray(expected.quantized - expected.mean)
    np.testing.assert_allclose(symbols, np.rint(symbols), rtol=0, atol=1e-10)


@pytest.mark.parametrize("quantize", ["straight through", "rounding"])
@each_context
def test_latents_that_are_not_coded_do_not_change_the_output(name, quantize):
    features, latent = features_and_latents(CANVAS, dtype=np.float32)
    rows, columns = 4, 3
    other = np.full_like(latent, np.nan)
    other[:rows, :columns] = latent[:rows, :columns]
    coded = coded_mask(CANVAS, (rows, columns))
    forward = forward_of(name, quantize)
    one, two = (forward(features[None], y[None], coded) for y in (latent, other))
    for field in dataclasses.fields(one):
        first, second = (
            getattr(out, field.name)[:, :rows, :columns] for out in (one, two)
        )
        assert np.all(np.isfinite(first))
        np.testing.assert_array_equal(first, second)


@pytest.mark.parametrize("name", ["autoregressive", "light channelwise"])
def test_images_of_a_batch_do_not_see_each_other(name):
    features, latent = features_and_latents((2, *CANVAS), dtype=np.float32)
    forward = forward_of(name, "rounding")
    coded = [coded_mask(CANVAS, (7, 5)), coded_mask(CANVAS, (4, 3))]
    both = forward(features, latent, jnp.concatenate(coded))
    for index in range(2):
        image = np.s_[index : index + 1]
        alone = forward(features[image], latent[image], coded[index])
        for field in dataclasses.fields(alone):
            one, other = (getattr(out, field.name) for out in (both, alone))
            difference = np.where(coded[index], one[image] - other, 0)
            np.testing.assert_allclose(difference, 0, atol=1e-5)


@each_context
def test_scales_are_at_least_their_bound_in_training_and_coding(name):
    context = make_context(CONTEXTS[name], scale_bias=-0.5)
    features, latent = features_and_latents(CANVAS, dtype=np.float32)
    features[..., :CHANNELS] -= 4
    coded = coded_mask(CANVAS, CANVAS)
    quantization = QUANTIZATIONS["towards center"]
    forward = jax.jit(lambda f, y: context.forward(f, y, quantization, coded).scale)
    scale_in_training = forward(features[None], latent[None])
    for scale in (
        scale_in_training,
        code_pass_by_pass(context, features, latent, CANVAS).scale,
    ):
        assert scale.min() == np.float32(0.11)
        assert scale.max() > 0.2


@pytest.mark.fast
def test_default_quantization_is_that_of_each_paper():
    assert {name: context_of(name).default_quantization for name in CONTEXTS} == {
        "none": "noise",
        "checkerboard": "straight_through",
        "space-channel": "straight_through",
        "autoregressive": "noise",
        "light channelwise": "straight_through",
        "reference channelwise": "straight_through",
    }


@pytest.mark.fast
def test_the_default_codec_has_no_context_model():
    assert CodecConfig().context == CONTEXTS["none"]
