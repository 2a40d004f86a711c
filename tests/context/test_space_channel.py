"""The space-channel context of ELIC, by its definition."""

import itertools
import math
import re

import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from support.context_models import coded_mask, features_and_latents, make_context
from support.reference_layers import apply_convolution, apply_pointwise, relu

from jaxcorr import compatibility
from jaxcorr.codec import CodecConfig
from jaxcorr.context.space_channel import SpaceChannel
from jaxcorr.errors import UserError
from jaxcorr.quantization import Rounding
from jaxcorr.transforms.minnen import Minnen

SIZE, CHANNELS = (4, 3), 7
SETTINGS = SpaceChannel(groups=(2, 2), hidden=(6, 5))


def apply_layers(layers, x, apply):
    for index, layer in enumerate(layers):
        x = apply(relu(x) if index else x, layer)
    return x


def masked(x, layer):
    """A 5x5 convolution that sees positions of the other parity only."""
    odd = np.add.outer(np.arange(5), np.arange(5)) % 2 == 1
    kernel = np.asarray(layer.kernel, np.float64) * odd[..., None, None]
    padded = np.pad(x, [(0, 0), (2, 2), (2, 2), (0, 0)])
    out = np.zeros((*x.shape[:3], kernel.shape[3]))
    for i, j in np.ndindex(x.shape[1:3]):
        window = padded[:, i : i + 5, j : j + 5]
        out[:, i, j] = np.einsum("bijc,ijco->bo", window, kernel)
    return out + np.asarray(layer.bias, np.float64)


def by_definition(context, features, latent):
    """Group by group, anchors before the latents between them."""
    ends = [0, *itertools.accumulate(SETTINGS.groups), CHANNELS]
    odd = np.add.outer(*map(np.arange, SIZE)) % 2
    hat, means, scales = (np.zeros_like(latent) for _ in range(3))
    for group, (start, end) in zip(
        context.groups, itertools.pairwise(ends), strict=True
    ):
        for parity in (0, 1):
            inputs = [features]
            if start:
                inputs.append(
                    apply_layers(group.earlier, hat[..., :start], apply_convolution)
                )
            spatial = masked(hat[..., start:end], group.neighbors)
            inputs.append(spatial * parity)
            out = apply_layers(
                group.aggregation, np.concatenate(inputs, -1), apply_pointwise
            )
            scale, mean = np.split(out, 2, axis=-1)
            at_parity = odd == parity
            y, mean = latent[..., start:end][:, at_parity], mean[:, at_parity]
            means[..., start:end][:, at_parity] = mean
            scales[..., start:end][:, at_parity] = np.maximum(scale[:, at_parity], 0.11)
            hat[..., start:end][:, at_parity] = np.rint(y - mean) + mean
    return means, scales, hat


def test_groups_are_predicted_by_their_definition():
    context = make_context(SETTINGS, CHANNELS)
    features, latent = features_and_latents(SIZE, channels=CHANNELS)
    coded = coded_mask(SIZE, SIZE)
    with compatibility.enable_x64(True):
        output = context.forward(
            jnp.asarray(features[None]), jnp.asarray(latent[None]), Rounding(), coded
        )
    expected = by_definition(context, features[None], latent[None])
    names = ("mean", "scale", "latent_hat")
    for name, array in zip(names, expected, strict=True):
        np.testing.assert_allclose(getattr(output, name), array, rtol=0, atol=1e-10)


@pytest.mark.fast
def test_the_last_group_has_the_remaining_channels():
    context = nnx.eval_shape(
        lambda: SpaceChannel().build(channels=320, rngs=nnx.Rngs(0))
    )
    channels = [coding_pass.channels for coding_pass in context.schedule]
    groups = [(0, 16), (16, 32), (32, 64), (64, 128), (128, 320)]
    assert channels == [group for group in groups for _ in range(2)]
    assert [coding_pass.parity for coding_pass in context.schedule] == [0, 1] * 5
    assert context.num_passes(100, 200) == 10


@pytest.mark.fast
def test_networks_of_a_group_see_features_earlier_groups_and_anchors():
    context = nnx.eval_shape(
        lambda: SpaceChannel().build(channels=320, rngs=nnx.Rngs(0))
    )
    third = context.groups[2]
    shapes = [layer.kernel.shape for layer in third.earlier]
    assert shapes == [(5, 5, 32, 224), (5, 5, 224, 128), (5, 5, 128, 64)]
    assert third.neighbors.kernel.shape == (5, 5, 32, 64)
    assert third.aggregation[0].kernel.shape[0] == 640 + 64 + 64
    assert third.aggregation[-1].kernel.shape[1] == 64
    assert not context.groups[0].earlier


@pytest.mark.fast
@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"groups": (16, 0)}, "groups must be at least 1 each, but is (16, 0)"),
        ({"hidden": (0, 5)}, "hidden must be at least 1 each, but is (0, 5)"),
        (
            {"groups": (100, 92)},
            "groups must be less in all than the channels of the latents (192), but is "
            "(100, 92)",
        ),
    ],
)
def test_invalid_group_sizes_are_refused(settings, message):
    with pytest.raises(UserError, match=re.escape(f"SpaceChannel.{message}")):
        CodecConfig(transforms=Minnen(), context=SpaceChannel(**settings))


@pytest.mark.fast
def test_a_single_group_is_a_checkerboard_in_two_passes():
    context = make_context(SpaceChannel(groups=()), CHANNELS)
    assert [coding_pass.channels for coding_pass in context.schedule] == [
        (0, CHANNELS)
    ] * 2
    assert math.prod(context.groups[0].neighbors.kernel.shape) == 25 * 7 * 14
