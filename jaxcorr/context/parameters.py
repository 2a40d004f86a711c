"""Networks from features to means and scales, shared by context models."""

import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from jaxcorr import ops
from jaxcorr.entropy.gaussian import SCALE_BOUND
from jaxcorr.layers.convolution import Pointwise

MeanAndScale = tuple[Float[Array, "*b c"], Float[Array, "*b c"]]
"""Predicted means and standard deviations, which are at least 0.11."""


def mean_and_scale(parameters: Float[Array, "*b p"]) -> MeanAndScale:
    """Splits channels into scales and means, in this order, and bounds the scales."""
    scale, mean = jnp.split(parameters, 2, axis=-1)
    return mean, ops.lower_bound(scale, SCALE_BOUND)


class ParameterNetwork(nnx.Module):
    """Three 1x1 convolutions from features and neighbors to means and scales.

    The first layer is linear in both inputs, so its output for the features is computed
    once for all passes: `network(network.features(features), neighbors)`.

    Args:
      channels: Channels of the latents. There are twice as many features, and twice as
        many channels that describe neighbors.
      rngs: Source of the initial parameters.

    References:
      Minnen et al., "Joint Autoregressive and Hierarchical Priors for Learned Image
      Compression", NeurIPS 2018, table 1, https://arxiv.org/abs/1809.02736.
    """

    def __init__(self, channels: int, *, rngs: nnx.Rngs):
        inputs, wide, narrow = 2 * channels, 10 * channels // 3, 8 * channels // 3
        self.features = Pointwise(inputs, wide, rngs=rngs)
        self.neighbors = Pointwise(inputs, wide, bias=False, rngs=rngs)
        self.middle = Pointwise(wide, narrow, rngs=rngs)
        self.last = Pointwise(narrow, 2 * channels, rngs=rngs)

    def __call__(
        self,
        projected: Float[Array, "*b h"],
        neighbors: Float[Array, "*b d"] | None = None,
    ) -> MeanAndScale:
        """Returns means and scales.

        Args:
          projected: Features after the first layer.
          neighbors: Description of the decoded neighbors; None before any is decoded.
        """
        if neighbors is not None:
            projected = projected + self.neighbors(neighbors)
        hidden = ops.leaky_relu(self.middle(ops.leaky_relu(projected)))
        return mean_and_scale(self.last(hidden))
