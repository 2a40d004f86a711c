"""The space-channel context of ELIC, by its definition."""

import itertools
import math
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from support.context_models import coded_on, features_and_latents, make_context
from support.reference_layers import apply_convolution, apply_pointwise, relu

from jaxcorr.codec import CodecConfig
from jaxcorr.context.space_channel import SpaceChannel
from jaxcorr.errors import UserError
from jaxcorr.quantization import Rounding
from jaxcorr.transforms.minnen import Minnen

SIZE, CHANNELS = (4, 3), 7
SETTINGS = SpaceChannel(groups=(2, 2), hidden=(6, 5))


def in_turn(layers, x, apply):
    for index, layer in enumerate(layers):
        x = apply(relu(x) if index else x, layer)
    return x


def masked(x, layer):
    """The 5x5 convolution that sees positions of the other parity alone."""
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
            seen = [features]
            if start:
                seen.append(in_turn(group.earlier, hat[..., :start], apply_convolution))
            spatial = masked(hat[..., start:end], group.neighbors)
            seen.append(spatial * parity)
            out = in_turn(group.aggregation, np.concatenate(seen, -1), apply_pointwise)
            scale, mean = np.split(out, 2, axis=-1)
            here = odd == parity
            y, mean = latent[..., start:end][:, here], mean[:, here]
            means[..., start:end][:, here] = mean
            scales[..., start:end][:, here] = np.maximum(scale[:, here], 0.11)
            hat[..., start:end][:, here] = np.rint(y - mean) + mean
    return means, scales, hat


def test_groups_are_predicted_by_the_definition():
    context = make_context(SETTINGS, CHANNELS)
    features, latent = features_and_latents(SIZE, channels=CHANNELS)
    coded = coded_on(SIZE, SIZE)
    with jax.enable_x64(True):
        found = context.forward(
            *map(jnp.asarray, (features[None], latent[None])), Rounding(), coded
        )
    expected = by_definition(context, features[None], latent[None])
    names = ("mean", "scale", "latent_hat")
    for name, array in zip(names, expected, strict=True):
        np.testing.assert_allclose(getattr(found, name), array, rtol=0, atol=1e-10)


@pytest.mark.fast
def test_the_last_group_has_the_channels_that_are_left():
    context = nnx.eval_shape(
        lambda: SpaceChannel().build(channels=320, rngs=nnx.Rngs(0))
    )
    bounds = [part.channels for part in context.schedule]
    ends = [(0, 16), (16, 32), (32, 64), (64, 128), (128, 320)]
    assert bounds == [each for each in ends for _ in range(2)]
    assert [part.parity for part in context.schedule] == [0, 1] * 5
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
def test_sizes_that_no_group_has_are_refused(settings, message):
    with pytest.raises(UserError, match=re.escape(f"SpaceChannel.{message}")):
        CodecConfig(transforms=Minnen(), context=SpaceChannel(**settings))


@pytest.mark.fast
def test_one_group_alone_is_a_checkerboard_in_two_passes():
    context = make_context(SpaceChannel(groups=()), CHANNELS)
    assert [part.channels for part in context.schedule] == [(0, CHANNELS)] * 2
    assert math.prod(context.groups[0].neighbors.kernel.shape) == 25 * 7 * 14
