"""Checkerboard context: half of the latents first, then the rest from its neighbors."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, ArrayLike, Bool, Float, Int

from jaxcorr import ops, settings
from jaxcorr.context import decoded
from jaxcorr.context.context import (
    MEAN_AND_SCALE,
    Network,
    Positions,
    Prediction,
    on_latents,
)
from jaxcorr.context.decoded import Decoded
from jaxcorr.context.parameters import MeanAndScale, ParameterNetwork
from jaxcorr.layers.convolution import MaskedConvolution

ODD_TAPS = tuple(
    (row, column)
    for row in range(-2, 3)
    for column in range(-2, 3)
    if (row + column) % 2
)
"""The anchors within a 5x5 square around a latent that is none."""


@settings.stored("Checkerboard")
@dataclasses.dataclass(frozen=True, kw_only=True)
class Checkerboard:
    """Two passes: latents of even row plus column, then those between them."""

    def build(self, *, channels: int, rngs: nnx.Rngs) -> "CheckerboardContext":
        """Initializes the networks."""
        return CheckerboardContext(channels, rngs=rngs)


class CheckerboardContext(nnx.Module):
    """Predicts anchors from features alone, the others from the anchors around too.

    Training takes both passes, with straight-through rounding between them.

    References:
      He et al., "Checkerboard Context Model for Efficient Learned Image Compression",
      CVPR 2021, https://arxiv.org/abs/2103.15306.
    """

    decoder_input: ops.DecoderInput = "straight_through"

    def __init__(self, channels: int, *, rngs: nnx.Rngs):
        """Initializes the networks.

        Args:
          channels: Channels of the latents.
          rngs: Source of the initial parameters.
        """
        self.neighbors = MaskedConvolution(
            channels, 2 * channels, taps=ODD_TAPS, rngs=rngs
        )
        self.network = ParameterNetwork(channels, rngs=rngs)
        self.channels = channels

    def parallel(
        self,
        features: Float[Array, "b h16 w16 f"],
        latent: Float[Array, "b h16 w16 c"],
        quantize: ops.Quantizer,
        coded: Bool[Array, "#b h16 w16 1"],
    ) -> Prediction:
        """See `Context`."""
        anchor = is_anchor(*map(jnp.arange, latent.shape[1:3]))[None, ..., None]
        projected = self.network.features(features)
        anchor_mean, anchor_scale = self.network(projected)
        anchors = jnp.where(anchor & coded, quantize(latent, anchor_mean), 0.0)
        other_mean, other_scale = self.network(projected, self.neighbors(anchors))
        mean = jnp.where(anchor, anchor_mean, other_mean)
        scale = jnp.where(anchor, anchor_scale, other_scale)
        hat = quantize(latent, mean)
        return Prediction(mean=mean, scale=scale, quantized=hat, latent_hat=hat)

    def passes(self, height: int, width: int) -> int:
        """See `Context`."""
        del height, width
        return 2

    def start(self, features: Float[Array, "h16 w16 f"], size: tuple[int, int]) -> Any:
        """See `Context`."""
        projected = _project(self, features)
        return decoded.nothing_yet(projected, size, channels=self.channels)

    def predict(
        self, state: Any, index: int
    ) -> tuple[Positions, Float[ArrayLike, "..."], Float[ArrayLike, "..."]]:
        """See `Context`."""
        positions = self._positions(state, index)
        anchors = state.latent_hat if index else None
        mean, scale = _predict(self, state.features, anchors)
        return positions, np.asarray(mean)[positions], np.asarray(scale)[positions]

    def refine(
        self, state: Any, index: int, quantized: Float[ArrayLike, "..."]
    ) -> Float[ArrayLike, "..."]:
        """See `Context`."""
        del state, index
        return quantized

    def update(
        self, state: Any, index: int, latent_hat: Float[ArrayLike, "..."]
    ) -> Any:
        """See `Context`."""
        state.latent_hat[self._positions(state, index)] = latent_hat
        return state

    def networks(self, channels: int) -> dict[str, Network]:
        """See `Context`."""

        def anchors(features: Array) -> MeanAndScale:
            return self.network(self.network.features(features))

        def others(features: Array, latent_hat: Array) -> MeanAndScale:
            projected = self.network.features(features)
            return self.network(projected, self.neighbors(latent_hat))

        features = {"features": on_latents(2 * channels)}
        latent_hat = {"latent_hat": on_latents(channels)}
        return {
            "predict_0": Network(
                function=anchors,
                inputs=features,
                outputs=MEAN_AND_SCALE,
                meaning="First pass: codes the latents whose row + column is even.",
            ),
            "predict_1": Network(
                function=others,
                inputs=features | latent_hat,
                outputs=MEAN_AND_SCALE,
                meaning="Second pass: codes the other latents, given the first.",
            ),
        }

    def _positions(self, state: Decoded, index: int) -> Positions:
        return np.nonzero(is_anchor(*map(np.arange, state.size)) == (index == 0))


def is_anchor(
    rows: Int[Any, " rows"], columns: Int[Any, " columns"]
) -> Bool[Any, "rows columns"]:
    """Which latents at these rows and columns the first pass codes."""
    return (rows[:, None] + columns[None]) % 2 == 0


@jax.jit
def _project(
    context: CheckerboardContext, features: Float[Array, "h16 w16 f"]
) -> Float[Array, "h16 w16 h"]:
    """What both passes need of the features."""
    return context.network.features(features)


@jax.jit
def _predict(
    context: CheckerboardContext,
    projected: Float[Array, "h16 w16 h"],
    anchors: Float[Array, "h16 w16 c"] | None,
) -> MeanAndScale:
    """Means and scales on the whole canvas: of anchors, or given them of the others."""
    described = None if anchors is None else context.neighbors(anchors[None])[0]
    return context.network(projected, described)
