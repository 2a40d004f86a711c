"""From features to mean and scale: what several context models end with."""

import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from jaxcorr import ops
from jaxcorr.entropy.gaussian import SCALE_BOUND
from jaxcorr.layers.convolution import Pointwise

MeanAndScale = tuple[Float[Array, "*b c"], Float[Array, "*b c"]]
"""Predicted means and standard deviations; the latter at least 0.11."""


def mean_and_scale(parameters: Float[Array, "*b p"]) -> MeanAndScale:
    """Splits channels into scales and means, in this order, and bounds the scales."""
    scale, mean = jnp.split(parameters, 2, axis=-1)
    return mean, ops.lower_bound(scale, SCALE_BOUND)


class ParameterNetwork(nnx.Module):
    """Three 1x1 convolutions from features, and what neighbors say, to parameters.

    The first is linear in both inputs, so what depends on features alone is computed
    once for all passes: `network(network.features(features), described)`.

    References:
      Minnen et al., "Joint Autoregressive and Hierarchical Priors for Learned Image
      Compression", NeurIPS 2018, table 1, https://arxiv.org/abs/1809.02736.
    """

    def __init__(self, channels: int, *, rngs: nnx.Rngs):
        """Initializes the layers.

        Args:
          channels: Channels of the latents; there are twice as many features, and twice
            as many channels that describe neighbors.
          rngs: Source of the initial parameters.
        """
        inputs, wide, narrow = 2 * channels, 10 * channels // 3, 8 * channels // 3
        self.features = Pointwise(inputs, wide, rngs=rngs)
        self.neighbors = Pointwise(inputs, wide, bias=False, rngs=rngs)
        self.middle = Pointwise(wide, narrow, rngs=rngs)
        self.last = Pointwise(narrow, 2 * channels, rngs=rngs)

    def __call__(
        self,
        projected: Float[Array, "*b h"],
        described: Float[Array, "*b d"] | None = None,
    ) -> MeanAndScale:
        """Means and scales.

        Args:
          projected: What the first layer makes of features.
          described: What neighbors say; None where nothing is known of any.
        """
        if described is not None:
            projected = projected + self.neighbors(described)
        hidden = ops.leaky_relu(self.middle(ops.leaky_relu(projected)))
        return mean_and_scale(self.last(hidden))
