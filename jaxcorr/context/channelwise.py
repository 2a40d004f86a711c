"""Channel-wise context (ChARM): slices of channels, one after another."""

import dataclasses
import itertools
from typing import Literal

import numpy as np
from flax import nnx
from jaxtyping import Array
from typing_extensions import override

from jaxcorr import serialization
from jaxcorr.context.parameters import MeanAndScale
from jaxcorr.context.passes import Pass, PassContext
from jaxcorr.context.slices import Slice
from jaxcorr.errors import require


@serialization.stored("Channelwise")
@dataclasses.dataclass(frozen=True, kw_only=True)
class Channelwise:
    """A pass for each slice of channels, which earlier slices help to predict."""

    slices: int = 10
    """Slices of the channels of the latents; uneven where they do not divide."""
    support: int = 5
    """How many slices, from the first, later ones are predicted from."""
    networks: Literal["reference", "light"] = "reference"
    """Networks of a slice: 5x5 convolutions on the features of all slices, as Minnen
    and Singh have them, or 3x3 ones on the features of the slice, as Zhu et al."""
    hidden: tuple[int, int] = (224, 128)
    """Hidden channels of the reference networks; those of the light ones lie evenly
    between input and output."""
    residual_prediction: bool = True
    """Whether rounding errors are predicted too, and taken off."""

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
        """Initializes the networks."""
        return ChannelwiseContext(self, channels, rngs=rngs)


LIGHT = Channelwise(slices=10, support=10, networks="light")
"""Light networks that see all earlier slices, as those of Zhu et al.; theirs predict no
rounding errors."""


class ChannelwiseContext(PassContext):
    """Predicts slice after slice, with networks for each.

    References:
      Minnen and Singh, "Channel-wise Autoregressive Entropy Models for Learned Image
      Compression", ICIP 2020, https://arxiv.org/abs/2007.08739; light networks as in
      Zhu et al., "Transformer-Based Transform Coding", ICLR 2022, appendix A,
      https://openreview.net/forum?id=IDwN6xjHnK8. The reference has two
      hyper-syntheses, one of means and one of scales; here they are halves of one.
    """

    def __init__(self, settings: Channelwise, channels: int, *, rngs: nnx.Rngs):
        """Initializes the networks.

        Args:
          settings: Slices and kind of the networks.
          channels: Channels of the latents.
          rngs: Source of the initial parameters.
        """
        widths = [
            part.size for part in np.array_split(range(channels), settings.slices)
        ]
        ends = [0, *itertools.accumulate(widths)]
        self.own_features = settings.networks == "light"
        self.refines = settings.residual_prediction
        self.schedule = tuple(
            Pass(channels=bounds) for bounds in itertools.pairwise(ends)
        )
        self.seen = tuple(
            ends[min(index, settings.support)] for index in range(settings.slices)
        )
        self.slices = nnx.List(
            Slice(
                features=width if self.own_features else channels,
                earlier=seen,
                channels=width,
                hidden=None if self.own_features else settings.hidden,
                predicts_residual=settings.residual_prediction,
                rngs=rngs,
            )
            for width, seen in zip(widths, self.seen, strict=True)
        )

    @override
    def network_inputs(
        self, prepared: Array, latent_hat: Array, index: int
    ) -> tuple[Array, Array, Array]:
        half = prepared.shape[-1] // 2
        start, end = self.schedule[index].channels if self.own_features else (0, half)
        mean_features = prepared[..., half + start : half + end]
        scale_features = prepared[..., start:end]
        return mean_features, scale_features, latent_hat[..., : self.seen[index]]

    @override
    def predict(self, seen: tuple[Array, Array, Array], index: int) -> MeanAndScale:
        return self.slices[index].predict(*seen)

    @override
    def refine(
        self, seen: tuple[Array, Array, Array], quantized: Array, index: int
    ) -> Array:
        mean_features, _, earlier = seen
        return self.slices[index].refine(mean_features, earlier, quantized)
