import dataclasses
import functools
import itertools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from support import codecs
from support.context_models import (
    code_pass_by_pass,
    coded_mask,
    features_and_latents,
    make_context,
)
from support.reference_layers import apply_convolution, relu

from jaxcorr import compatibility
from jaxcorr.bitstream import coding
from jaxcorr.bitstream.container import Arithmetic
from jaxcorr.context import pass_coding
from jaxcorr.context.channelwise import Channelwise
from jaxcorr.quantization import AdditiveNoise, Rounding, uniform_noise

SIZE, CHANNELS = (3, 4), 7
KINDS = {
    "light": Channelwise(slices=3, support=2, networks="light"),
    "reference": Channelwise(slices=3, support=1, hidden=(6, 5)),
    "no residual": Channelwise(
        slices=3, support=3, networks="light", residual_prediction=False
    ),
    "no support": Channelwise(slices=3, support=0, hidden=(6, 5)),
}

each_kind = pytest.mark.parametrize("kind", KINDS)


@functools.cache
def context_of(kind):
    return make_context(KINDS[kind], CHANNELS, scale_bias=0.0)


def random_inputs(dtype: type = np.float32):
    features, latent = features_and_latents(SIZE, channels=CHANNELS, dtype=dtype)
    return jnp.asarray(features[None]), jnp.asarray(latent[None])


@functools.cache
def rounded_output(kind):
    """Returns the output with rounding, in float64."""
    context, coded = context_of(kind), coded_mask(SIZE, SIZE)
    forward = jax.jit(lambda f, y: context.forward(f, y, Rounding(), coded))
    with compatibility.enable_x64(True):
        return forward(*random_inputs(np.float64))


def abstract(settings, channels):
    return nnx.eval_shape(lambda: settings.build(channels=channels, rngs=nnx.Rngs(0)))


def widths(network):
    """Returns channels before and after each convolution, and sides of kernels."""
    kernels = [
        layer.kernel.shape for layer in (network.first, network.second, network.third)
    ]
    for before, after in itertools.pairwise(kernels):
        assert before[3] == after[2]
    return (*(shape[2] for shape in kernels), kernels[-1][3]), [s[0] for s in kernels]


def slice_transform(network, x):
    """Three convolutions with rectifiers between them, by their definition."""
    hidden = relu(apply_convolution(x, network.first))
    return apply_convolution(
        relu(apply_convolution(hidden, network.second)), network.third
    )


def by_definition(context, settings, features, latent):
    """ChARM by its definition, for 7 channels in slices of 3, 2 and 2."""

    def join(*arrays):
        return np.concatenate(arrays, axis=-1)

    bounds = [(0, 3), (3, 5), (5, 7)]
    scale_features, mean_features = features[..., :7], features[..., 7:]
    outputs, hats = [], [np.zeros((*latent.shape[:3], 0))]
    for index, (start, end) in enumerate(bounds):
        own = slice(start, end) if settings.networks == "light" else slice(None)
        earlier = join(*hats[: 1 + min(index, settings.support)])
        networks = context.slices[index]
        mean_inputs = join(mean_features[..., own], earlier)
        mean = slice_transform(networks.mean, mean_inputs)
        scale = slice_transform(networks.scale, join(scale_features[..., own], earlier))
        quantized = np.rint(latent[..., start:end] - mean) + mean
        hat = quantized
        if settings.residual_prediction:
            error = slice_transform(networks.residual, join(mean_inputs, quantized))
            hat = quantized + np.tanh(error) / 2
        hats.append(hat)
        outputs.append((mean, np.maximum(scale, 0.11), quantized, hat))
    return [join(*arrays) for arrays in zip(*outputs, strict=True)]


@each_kind
def test_slices_are_predicted_by_their_definition(kind):
    features, latent = features_and_latents(SIZE, channels=CHANNELS)
    expected = by_definition(
        context_of(kind), KINDS[kind], features[None], latent[None]
    )
    names = ("mean", "scale", "quantized", "latent_hat")
    for name, array in zip(names, expected, strict=True):
        output = getattr(rounded_output(kind), name)
        np.testing.assert_allclose(output, array, rtol=0, atol=1e-10)


@pytest.mark.fast
def test_uneven_slices_differ_by_one_channel_and_wider_slices_come_first():
    def bounds(slices, channels):
        context = abstract(Channelwise(slices=slices, support=0), channels)
        return [coding_pass.channels for coding_pass in context.schedule]

    assert bounds(3, 7) == [(0, 3), (3, 5), (5, 7)]
    assert bounds(2, 2) == [(0, 1), (1, 2)]
    assert bounds(10, 192)[:3] == [(0, 20), (20, 40), (40, 59)]
    assert bounds(1, 5) == [(0, 5)]


@pytest.mark.fast
@pytest.mark.parametrize("support", range(4))
def test_networks_take_features_and_the_supported_earlier_slices(support):
    ends, slices = [0, 3, 5, 7], [3, 2, 2]
    for kind in ("light", "reference"):
        settings = Channelwise(slices=3, support=support, networks=kind)
        context = abstract(settings, 7)
        for index, networks in enumerate(context.slices):
            features = slices[index] if kind == "light" else 7
            inputs = features + ends[min(index, support)]
            assert widths(networks.mean)[0][0] == widths(networks.scale)[0][0] == inputs
            assert widths(networks.residual)[0][0] == inputs + slices[index]
            for network in (networks.mean, networks.scale, networks.residual):
                assert widths(network)[0][-1] == slices[index]


@pytest.mark.fast
def test_reference_networks_have_the_published_kernels_and_widths():
    context = abstract(Channelwise(support=10), 320)
    for index, networks in enumerate(context.slices):
        expected = (320 + 32 * index, 224, 128, 32), [5, 5, 3]
        assert widths(networks.mean) == widths(networks.scale) == expected
        expected = (352 + 32 * index, 224, 128, 32), [5, 5, 3]
        assert widths(networks.residual) == expected
    assert len(context.slices) == 10


@pytest.mark.fast
def test_hidden_widths_of_light_networks_lie_evenly_between_input_and_output():
    settings = Channelwise(support=10, networks="light", residual_prediction=False)
    context = abstract(settings, 320)
    # Widths of Zhu et al.; a third of the way that is not an integer is rounded down.
    for index, hidden in [(0, (32, 32)), (1, (53, 42)), (9, (224, 128))]:
        inputs = 32 + 32 * index
        assert widths(context.slices[index].mean) == ((inputs, *hidden, 32), [3, 3, 3])
        assert context.slices[index].residual is None


@each_kind
def test_residual_prediction_moves_latents_by_at_most_half_a_step(kind):
    mean, quantized, latent_hat = (
        np.asarray(getattr(rounded_output(kind), name))
        for name in ("mean", "quantized", "latent_hat")
    )
    symbols = quantized - mean
    np.testing.assert_allclose(symbols, np.rint(symbols), rtol=0, atol=1e-10)
    moved = np.abs(latent_hat - quantized)
    if KINDS[kind].residual_prediction:
        assert np.all(moved <= 0.5) and np.mean(moved > 0.01) > 0.9
    else:
        np.testing.assert_array_equal(latent_hat, quantized)


@pytest.mark.fast
def test_a_saturated_residual_network_moves_latents_by_half_a_step():
    context = make_context(KINDS["no support"], CHANNELS)
    for networks in context.slices:
        networks.residual.third.bias[...] = jnp.full_like(
            networks.residual.third.bias[...], 99
        )
    out = context.forward(*random_inputs(), Rounding(), coded_mask(SIZE, SIZE))
    # Without support, later slices do not depend on the residual networks.
    before = np.asarray(rounded_output("no support").quantized)
    np.testing.assert_allclose(out.quantized, before, rtol=0, atol=1e-5)
    np.testing.assert_allclose(out.latent_hat, before + 0.5, rtol=0, atol=1e-5)


def test_each_slice_gets_its_channels_of_the_noise():
    features, latent = random_inputs()
    keys = jax.random.split(jax.random.key(0), 1)
    noise = uniform_noise(keys, latent)
    output = context_of("light").forward(
        features, latent, AdditiveNoise(keys), coded_mask(SIZE, SIZE)
    )
    np.testing.assert_allclose(output.quantized - latent, noise, rtol=0, atol=1e-5)
    assert not jnp.any(jnp.abs(noise[..., 3:5] - noise[..., 5:7]) < 1e-6)


def test_later_slices_see_refined_latents():
    context = make_context(KINDS["light"], CHANNELS)
    features, latent = features_and_latents(SIZE, channels=CHANNELS, dtype=np.float32)
    before = code_pass_by_pass(context, features, latent, SIZE)
    context.slices[0].residual.third.bias[...] = jnp.full(3, 99.0)
    after = code_pass_by_pass(context, features, latent, SIZE)
    np.testing.assert_array_equal(before.mean[..., :3], after.mean[..., :3])
    assert jnp.all(before.mean[..., 3:] != after.mean[..., 3:])


@pytest.mark.parametrize("arithmetic", Arithmetic)
def test_refined_latents_are_on_the_grid_and_decode_exactly(arithmetic):
    model = codecs.make_combination("minnen", "channelwise")
    for size in [(40, 50), (1, 1)]:
        image = codecs.blocks(*size)
        container, encoded = coding.encode(model, image, arithmetic=arithmetic)
        _, decoded = coding.decode(model, container)
        for field in dataclasses.fields(encoded):
            one, other = (getattr(x, field.name) for x in (encoded, decoded))
            np.testing.assert_array_equal(one, other)
        points = encoded.latent_hat * 64 - container.offset / 256
        np.testing.assert_array_equal(points, np.rint(points))
        moved = np.abs(encoded.latent_hat - encoded.symbols - encoded.mean)
        assert 0 < moved.max() <= 0.5 + 1 / 128


def test_images_on_equal_canvases_share_one_program_per_slice():
    model = codecs.make_combination("minnen", "channelwise")
    programs: list[Any] = [pass_coding._predict, pass_coding._refine]
    for program in programs:
        program.clear_cache()
    for size in [(90, 128), (17, 33), (1, 1)]:
        container, _ = coding.encode(model, codecs.blocks(*size))
        coding.decode(model, container)
        assert [program._cache_size() for program in programs] == [3, 3]
