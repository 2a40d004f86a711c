"""Networks that predict a slice of the channels of the latents."""

import itertools

import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from jaxcorr import ops
from jaxcorr.context.parameters import MeanAndScale
from jaxcorr.entropy.gaussian import SCALE_BOUND
from jaxcorr.layers.convolution import Convolution

MAX_CORRECTION = 0.5
"""Largest correction of a latent, which is the largest rounding error, in steps."""


class SliceTransform(nnx.Module):
    """Three convolutions with rectifiers between them.

    Args:
      inputs: Channels of the input.
      outputs: Channels of the output, which are the channels of the slice.
      hidden: Hidden channels of reference networks, which have 5x5 kernels; None for
        light networks.
      rngs: Source of the initial parameters.
    """

    def __init__(
        self, inputs: int, outputs: int, hidden: tuple[int, int] | None, rngs: nnx.Rngs
    ):
        sizes = (3, 3, 3) if hidden is None else (5, 5, 3)
        if hidden is None:
            # Evenly between input and output.
            hidden = ((2 * inputs + outputs) // 3, (inputs + 2 * outputs) // 3)
        widths = itertools.pairwise((inputs, *hidden, outputs))
        self.first, self.second, self.third = (
            Convolution(before, after, size=size, rngs=rngs)
            for (before, after), size in zip(widths, sizes, strict=True)
        )

    def __call__(self, x: Float[Array, "b h w i"]) -> Float[Array, "b h w o"]:
        """Returns the output, at the resolution of the input."""
        return self.third(nnx.relu(self.second(nnx.relu(self.first(x)))))


class SliceNetworks(nnx.Module):
    """Three networks of a slice: of its mean, of its scale and of its rounding errors.

    Args:
      features: Number of features of the mean, and of the scale.
      earlier: Channels of the earlier slices that the networks see.
      channels: Channels of the slice.
      hidden: As in `SliceTransform`.
      predicts_residual: Whether rounding errors are predicted.
      rngs: Source of the initial parameters.
    """

    def __init__(
        self,
        *,
        features: int,
        earlier: int,
        channels: int,
        hidden: tuple[int, int] | None,
        predicts_residual: bool,
        rngs: nnx.Rngs,
    ):

        def network(inputs: int) -> SliceTransform:
            return SliceTransform(inputs, channels, hidden, rngs)

        inputs = features + earlier
        self.mean = network(inputs)
        self.scale = network(inputs)
        self.residual = network(inputs + channels) if predicts_residual else None

    def predict(
        self,
        mean_features: Float[Array, "b h16 w16 f"],
        scale_features: Float[Array, "b h16 w16 f"],
        earlier: Float[Array, "b h16 w16 e"],
    ) -> MeanAndScale:
        """Returns means and scales, given decoded latents of earlier slices."""
        scale = self.scale(jnp.concatenate([scale_features, earlier], axis=-1))
        mean = self.mean(jnp.concatenate([mean_features, earlier], axis=-1))
        return mean, ops.lower_bound(scale, SCALE_BOUND)

    def refine(
        self,
        mean_features: Float[Array, "b h16 w16 f"],
        earlier: Float[Array, "b h16 w16 e"],
        quantized: Float[Array, "b h16 w16 c"],
    ) -> Float[Array, "b h16 w16 c"]:
        """Returns quantized latents, corrected by their predicted rounding errors."""
        assert self.residual is not None
        inputs = jnp.concatenate([mean_features, earlier, quantized], axis=-1)
        return quantized + MAX_CORRECTION * jnp.tanh(self.residual(inputs))
