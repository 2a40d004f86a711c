"""Space-channel context: uneven groups of channels, each coded as a checkerboard."""

import dataclasses
import itertools
from collections.abc import Callable, Iterable

import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float
from typing_extensions import override

from jaxcorr import compatibility, serialization
from jaxcorr.context.checkerboard import ODD_TAPS
from jaxcorr.context.parameters import MeanAndScale, mean_and_scale
from jaxcorr.context.passes import PassContext
from jaxcorr.context.schedule import Pass
from jaxcorr.errors import require
from jaxcorr.layers.convolution import Convolution, MaskedConvolution, Pointwise


@serialization.stored("SpaceChannel")
@dataclasses.dataclass(frozen=True, kw_only=True)
class SpaceChannel:
    """Two passes per group of channels: anchors, then the latents between them."""

    groups: tuple[int, ...] = (16, 16, 32, 64)
    """Channels of each group except the last, which takes the remaining channels."""
    hidden: tuple[int, int] = (224, 128)
    """Hidden channels of the 5x5 convolutions that see earlier groups."""

    def __post_init__(self):
        """Checks the groups and the widths."""
        for name in ("groups", "hidden"):
            smallest = min(getattr(self, name), default=1)
            require(self, name, "at least 1 each", smallest >= 1)

    def check_channels(self, channels: int) -> None:
        """Checks that the last group has a channel of the latents."""
        rule = f"less in all than the channels of the latents ({channels})"
        require(self, "groups", rule, sum(self.groups) < channels)

    def build(self, *, channels: int, rngs: nnx.Rngs) -> "SpaceChannelContext":
        """Builds the context model, with initial parameters."""
        return SpaceChannelContext(self, channels, rngs=rngs)


class GroupNetworks(nnx.Module):
    """The networks of a group of channels.

    Args:
      start: First channel of the group.
      end: Channel after its last.
      features: Features of the side information.
      hidden: Hidden channels of the network that sees earlier groups.
      rngs: Source of the initial parameters.
    """

    def __init__(
        self,
        *,
        start: int,
        end: int,
        features: int,
        hidden: tuple[int, int],
        rngs: nnx.Rngs,
    ):
        outputs = 2 * (end - start)
        widths = itertools.pairwise((start, *hidden, outputs))
        self.earlier = compatibility.List(
            Convolution(before, after, size=5, rngs=rngs)
            for before, after in (widths if start else ())
        )
        self.neighbors = MaskedConvolution(
            end - start, outputs, taps=ODD_TAPS, rngs=rngs
        )
        inputs = features + outputs * (2 if start else 1)
        # The widths of the 1x1 convolutions lie evenly between input and output.
        ramp = [inputs + (outputs - inputs) * step // 3 for step in range(4)]
        self.aggregation = compatibility.List(
            Pointwise(before, after, rngs=rngs)
            for before, after in itertools.pairwise(ramp)
        )
        self.channels = (start, end)

    def __call__(
        self,
        features: Float[Array, "b h16 w16 f"],
        latent_hat: Float[Array, "b h16 w16 k"],
        *,
        after_anchors: bool,
    ) -> MeanAndScale:
        """Returns means and scales of the group.

        Args:
          features: Features of the side information.
          latent_hat: Decoded latents of earlier groups, and of the group's anchors.
          after_anchors: Whether the group's anchors are decoded.
        """
        start, end = self.channels
        inputs = [features]
        if start:
            inputs.append(_apply_layers(self.earlier, latent_hat[..., :start]))
        if after_anchors:
            inputs.append(self.neighbors(latent_hat[..., start:end]))
        else:
            shape = (*features.shape[:-1], 2 * (end - start))
            inputs.append(jnp.zeros(shape, features.dtype))
        joined = jnp.concatenate(inputs, axis=-1)
        return mean_and_scale(_apply_layers(self.aggregation, joined))


class SpaceChannelContext(PassContext):
    """Predicts each group from earlier groups, and its second pass from anchors too.

    Args:
      settings: Sizes of the groups and of their networks.
      channels: Channels of the latents.
      rngs: Source of the initial parameters.

    References:
      He et al., "ELIC: Efficient Learned Image Compression with Unevenly Grouped
      Space-Channel Contextual Adaptive Coding", CVPR 2022, sections 3.2 and 3.3,
      https://arxiv.org/abs/2203.10886.
    """

    def __init__(self, settings: SpaceChannel, channels: int, *, rngs: nnx.Rngs):
        ends = [0, *itertools.accumulate(settings.groups), channels]
        bounds = list(itertools.pairwise(ends))
        features, hidden = 2 * channels, settings.hidden
        self.groups = compatibility.List(
            GroupNetworks(
                start=start, end=end, features=features, hidden=hidden, rngs=rngs
            )
            for start, end in bounds
        )
        self.schedule = tuple(
            Pass(channels=group, parity=parity) for group in bounds for parity in (0, 1)
        )
        self.reach = 6  # Three convolutions of 5x5.

    @override
    def predict(self, inputs: tuple[Array, Array], index: int) -> MeanAndScale:
        return self.groups[index // 2](*inputs, after_anchors=index % 2 == 1)


def _apply_layers(layers: Iterable[Callable[[Array], Array]], x: Array) -> Array:
    """Applies layers with rectifiers between them."""
    for index, layer in enumerate(layers):
        x = layer(nnx.relu(x) if index else x)
    return x
