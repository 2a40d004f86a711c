"""The networks that predict a slice of the channels of the latents."""

import itertools

import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from jaxcorr import ops
from jaxcorr.context.parameters import MeanAndScale
from jaxcorr.entropy.gaussian import SCALE_BOUND
from jaxcorr.layers.convolution import Convolution

RESIDUAL_REACH = 0.5
"""Largest correction of a latent: rounding errs by no more."""


class SliceNetwork(nnx.Module):
    """Three convolutions with rectifiers between them."""

    def __init__(
        self, inputs: int, outputs: int, hidden: tuple[int, int] | None, rngs: nnx.Rngs
    ):
        """Initializes the convolutions.

        Args:
          inputs: Channels of the input.
          outputs: Channels of the output, those of a slice.
          hidden: Hidden channels of reference networks, which have 5x5 kernels; None
            for light networks.
          rngs: Source of the initial parameters.
        """
        sizes = (3, 3, 3) if hidden is None else (5, 5, 3)
        if hidden is None:
            # Evenly between the two.
            hidden = ((2 * inputs + outputs) // 3, (inputs + 2 * outputs) // 3)
        widths = itertools.pairwise((inputs, *hidden, outputs))
        self.first, self.second, self.third = (
            Convolution(before, after, size=size, rngs=rngs)
            for (before, after), size in zip(widths, sizes, strict=True)
        )

    def __call__(self, x: Float[Array, "b h w i"]) -> Float[Array, "b h w o"]:
        """Keeps the resolution."""
        return self.third(nnx.relu(self.second(nnx.relu(self.first(x)))))


class Slice(nnx.Module):
    """The networks of a slice: of its mean, of its scale and of its rounding errors."""

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
        """Initializes the networks.

        Args:
          features: Features of the mean, and as many of the scale.
          earlier: Channels of the earlier slices that are seen.
          channels: Channels of the slice.
          hidden: As in `SliceNetwork`.
          predicts_residual: Whether rounding errors are predicted.
          rngs: Source of the initial parameters.
        """

        def network(inputs: int) -> SliceNetwork:
            return SliceNetwork(inputs, channels, hidden, rngs)

        seen = features + earlier
        self.mean = network(seen)
        self.scale = network(seen)
        self.residual = network(seen + channels) if predicts_residual else None

    def predict(
        self,
        mean_features: Float[Array, "b h16 w16 f"],
        scale_features: Float[Array, "b h16 w16 f"],
        earlier: Float[Array, "b h16 w16 e"],
    ) -> MeanAndScale:
        """Means and scales, given earlier slices."""
        join = lambda features: jnp.concatenate([features, earlier], axis=-1)
        scale = self.scale(join(scale_features))
        return self.mean(join(mean_features)), ops.lower_bound(scale, SCALE_BOUND)

    def refine(
        self,
        mean_features: Float[Array, "b h16 w16 f"],
        earlier: Float[Array, "b h16 w16 e"],
        quantized: Float[Array, "b h16 w16 c"],
    ) -> Float[Array, "b h16 w16 c"]:
        """Returns quantized latents with their predicted rounding errors taken off."""
        assert self.residual is not None
        seen = jnp.concatenate([mean_features, earlier, quantized], axis=-1)
        return quantized + RESIDUAL_REACH * jnp.tanh(self.residual(seen))
