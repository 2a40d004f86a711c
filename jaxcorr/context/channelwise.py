"""Channel-wise context (ChARM): slices of channels are coded one after another."""

import dataclasses
import itertools
from typing import Literal

import numpy as np
from flax import nnx
from jaxtyping import Array
from typing_extensions import override

from jaxcorr import compatibility, serialization
from jaxcorr.context.parameters import MeanAndScale
from jaxcorr.context.passes import PassContext
from jaxcorr.context.schedule import Pass
from jaxcorr.context.slices import SliceNetworks
from jaxcorr.errors import require


@serialization.stored("Channelwise")
@dataclasses.dataclass(frozen=True, kw_only=True)
class Channelwise:
    """One pass per slice of channels, predicted from features and earlier slices."""

    slices: int = 10
    """Number of slices; the first have a channel more if the channels do not divide."""
    support: int = 5
    """Number of slices, from the first, that later slices are predicted from."""
    networks: Literal["reference", "light"] = "reference"
    """Networks of a slice. `reference`: 5x5 convolutions on the features of all slices
    (Minnen and Singh 2020). `light`: 3x3 convolutions on the features of the slice (Zhu
    et al. 2022)."""
    hidden: tuple[int, int] = (224, 128)
    """Hidden channels of the reference networks. The hidden channels of light networks
    lie evenly between input and output."""
    residual_prediction: bool = True
    """Predicts rounding errors, and subtracts them from decoded latents."""

    def __post_init__(self):
        """Checks the slices and the widths."""
        within = 0 <= self.support <= self.slices
        require(self, "slices", "at least 1", self.slices >= 1)
        require(self, "support", f"from 0 to slices ({self.slices})", within)
        require(self, "hidden", "at least 1 each", min(self.hidden) >= 1)

    def check_channels(self, channels: int) -> None:
        """Checks that every slice has a channel of the latents."""
        rule = f"at most the channels of the latents ({channels})"
        require(self, "slices", rule, self.slices <= channels)

    def build(self, *, channels: int, rngs: nnx.Rngs) -> "ChannelwiseContext":
        """Builds the context model, with initial parameters."""
        return ChannelwiseContext(self, channels, rngs=rngs)


LIGHT = Channelwise(slices=10, support=10, networks="light")
"""Light networks that see all earlier slices, as in Zhu et al., who do not predict
rounding errors."""


class ChannelwiseContext(PassContext):
    """Predicts slice after slice, each with its own networks.

    The reference has two hyper-syntheses, of means and of scales. Here they are the
    halves of one.

    Args:
      settings: Slices and kind of the networks.
      channels: Channels of the latents.
      rngs: Source of the initial parameters.

    References:
      Minnen and Singh, "Channel-wise Autoregressive Entropy Models for Learned Image
      Compression", ICIP 2020, https://arxiv.org/abs/2007.08739; light networks as in
      Zhu et al., "Transformer-Based Transform Coding", ICLR 2022, appendix A,
      https://openreview.net/forum?id=IDwN6xjHnK8.
    """

    def __init__(self, settings: Channelwise, channels: int, *, rngs: nnx.Rngs):
        pieces = np.array_split(range(channels), settings.slices)
        widths = [piece.size for piece in pieces]
        ends = [0, *itertools.accumulate(widths)]
        self.own_features = settings.networks == "light"
        self.refines = settings.residual_prediction
        # Three convolutions of 3x3, or two of 5x5 and one of 3x3.
        self.reach = 3 if self.own_features else 5
        self.schedule = tuple(
            Pass(channels=bounds) for bounds in itertools.pairwise(ends)
        )
        self.support_channels = tuple(
            ends[min(index, settings.support)] for index in range(settings.slices)
        )
        self.slices = compatibility.List(
            SliceNetworks(
                features=width if self.own_features else channels,
                earlier=support,
                channels=width,
                hidden=None if self.own_features else settings.hidden,
                predicts_residual=settings.residual_prediction,
                rngs=rngs,
            )
            for width, support in zip(widths, self.support_channels, strict=True)
        )

    @override
    def network_inputs(
        self, prepared: Array, latent_hat: Array, index: int
    ) -> tuple[Array, Array, Array]:
        half = prepared.shape[-1] // 2
        start, end = self.schedule[index].channels if self.own_features else (0, half)
        mean_features = prepared[..., half + start : half + end]
        scale_features = prepared[..., start:end]
        earlier = latent_hat[..., : self.support_channels[index]]
        return mean_features, scale_features, earlier

    @override
    def predict(self, inputs: tuple[Array, Array, Array], index: int) -> MeanAndScale:
        return self.slices[index].predict(*inputs)

    @override
    def refine(
        self, inputs: tuple[Array, Array, Array], quantized: Array, index: int
    ) -> Array:
        mean_features, _, earlier = inputs
        return self.slices[index].refine(mean_features, earlier, quantized)
