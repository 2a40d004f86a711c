"""Channel-wise context (ChARM): slices of channels, one after another."""

import dataclasses
import itertools
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, ArrayLike, Bool, Float

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
from jaxcorr.context.parameters import MeanAndScale
from jaxcorr.context.slices import Slice
from jaxcorr.errors import UserError


@settings.stored("Channelwise")
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
        """Refuses what no channels could be sliced by."""
        if self.slices < 1:
            raise UserError(
                f"codec.context.slices must be at least 1, but is {self.slices}"
            )
        if not 0 <= self.support <= self.slices:
            raise UserError(
                f"codec.context.support must be from 0 to {self.slices}, "
                f"codec.context.slices, but is {self.support}"
            )
        if min(self.hidden) < 1:
            raise UserError(
                f"codec.context.hidden must be at least 1 each, but is {self.hidden}"
            )

    def check_channels(self, channels: int) -> None:
        """Refuses latents with too few channels for a slice each."""
        if self.slices > channels:
            raise UserError(
                f"codec.context.slices must be at most {channels}, the channels of the "
                f"latents, but is {self.slices}"
            )

    def build(self, *, channels: int, rngs: nnx.Rngs) -> "ChannelwiseContext":
        """Initializes the networks."""
        return ChannelwiseContext(self, channels, rngs=rngs)


LIGHT = Channelwise(slices=10, support=10, networks="light")
"""Light networks that see all earlier slices, as those of Zhu et al.; theirs predict no
rounding errors."""


class ChannelwiseContext(nnx.Module):
    """Predicts slice after slice, with networks for each.

    References:
      Minnen and Singh, "Channel-wise Autoregressive Entropy Models for Learned Image
      Compression", ICIP 2020, https://arxiv.org/abs/2007.08739; light networks as in
      Zhu et al., "Transformer-Based Transform Coding", ICLR 2022, appendix A,
      https://openreview.net/forum?id=IDwN6xjHnK8. The reference has two
      hyper-syntheses, one of means and one of scales; here they are halves of one.
    """

    decoder_input: ops.DecoderInput = "straight_through"

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
        self.bounds = tuple(itertools.pairwise(ends))
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

    def parallel(
        self,
        features: Float[Array, "b h16 w16 f"],
        latent: Float[Array, "b h16 w16 c"],
        quantize: ops.Quantizer,
        coded: Bool[Array, "#b h16 w16 1"],
    ) -> Prediction:
        """See `Context`."""
        found: list[tuple[Array, ...]] = []
        latent_hat = jnp.zeros((*latent.shape[:-1], 0), latent.dtype)
        for index, (start, end) in enumerate(self.bounds):
            networks = self.slices[index]
            mean_features, scale_features = self._features(features, index)
            earlier = latent_hat[..., : self.seen[index]]
            mean, scale = networks.predict(mean_features, scale_features, earlier)
            # All channels at once: noise is drawn for whole latents.
            center = jnp.zeros_like(latent).at[..., start:end].set(mean)
            quantized = quantize(latent, center)[..., start:end]
            quantized = jnp.where(coded, quantized, 0.0)
            refined = networks.refine(mean_features, earlier, quantized)
            refined = jnp.where(coded, refined, 0.0)
            latent_hat = jnp.concatenate([latent_hat, refined], axis=-1)
            found.append((mean, scale, quantized))
        mean, scale, quantized = (
            jnp.concatenate(parts, axis=-1) for parts in zip(*found, strict=True)
        )
        return Prediction(
            mean=mean, scale=scale, quantized=quantized, latent_hat=latent_hat
        )

    def passes(self, height: int, width: int) -> int:
        """See `Context`."""
        del height, width
        return len(self.bounds)

    def start(self, features: Float[Array, "h16 w16 f"], size: tuple[int, int]) -> Any:
        """See `Context`."""
        return decoded.nothing_yet(features, size, channels=self.bounds[-1][1])

    def predict(
        self, state: Any, index: int
    ) -> tuple[Positions, Float[ArrayLike, "..."], Float[ArrayLike, "..."]]:
        """See `Context`."""
        mean, scale = _predict(
            self.slices[index],
            *self._features(state.features, index),
            state.latent_hat[..., : self.seen[index]],
        )
        positions = self._positions(state, index)
        within = lambda x: np.asarray(x)[positions[:2]]
        return positions, within(mean), within(scale)

    def refine(
        self, state: Any, index: int, quantized: Float[ArrayLike, "..."]
    ) -> Float[ArrayLike, "..."]:
        """See `Context`."""
        if self.slices[index].residual is None:
            return quantized
        positions = self._positions(state, index)
        start, end = self.bounds[index]
        canvas = np.zeros_like(state.latent_hat[..., start:end])
        canvas[positions[:2]] = quantized
        refined = _refine(
            self.slices[index],
            self._features(state.features, index)[0],
            state.latent_hat[..., : self.seen[index]],
            canvas,
        )
        return np.asarray(refined)[positions[:2]]

    def update(
        self, state: Any, index: int, latent_hat: Float[ArrayLike, "..."]
    ) -> Any:
        """See `Context`."""
        state.latent_hat[self._positions(state, index)] = latent_hat
        return state

    def networks(self, channels: int) -> dict[str, Network]:
        """See `Context`."""
        found = {}
        for index in range(len(self.bounds)):
            found |= self._networks(index, channels)
        return found

    def _networks(self, index: int, channels: int) -> dict[str, Network]:
        """Those of one slice."""
        start, end = self.bounds[index]
        networks = self.slices[index]
        earlier = lambda latent_hat: latent_hat[..., : self.seen[index]]
        inputs = {
            "features": on_latents(2 * channels),
            "latent_hat": on_latents(channels),
        }

        def predict(features: Array, latent_hat: Array) -> MeanAndScale:
            seen = self._features(features, index)
            return networks.predict(*seen, earlier(latent_hat))

        def refine(features: Array, latent_hat: Array, quantized: Array) -> Array:
            seen, _ = self._features(features, index)
            return networks.refine(seen, earlier(latent_hat), quantized)

        found = {
            f"predict_{index}": Network(
                function=predict,
                inputs=inputs,
                outputs=MEAN_AND_SCALE,
                meaning=f"Pass {index}: codes channels {start} to {end - 1}.",
            )
        }
        if networks.residual is not None:
            found[f"refine_{index}"] = Network(
                function=refine,
                inputs=inputs | {"quantized": on_latents(end - start)},
                outputs=("refined",),
                meaning=f"Pass {index}: what goes into `latent_hat` for `quantized`.",
            )
        return found

    def _features(self, features: Array, index: int) -> tuple[Array, Array]:
        """Features of mean and of scale that the networks of a slice see."""
        half = features.shape[-1] // 2
        start, end = self.bounds[index] if self.own_features else (0, half)
        return features[..., half + start : half + end], features[..., start:end]

    def _positions(self, state: Decoded, index: int) -> Positions:
        return np.s_[: state.size[0], : state.size[1], slice(*self.bounds[index])]


@jax.jit
def _predict(
    networks: Slice,
    mean_features: Float[Array, "h16 w16 f"],
    scale_features: Float[Array, "h16 w16 f"],
    earlier: Float[Array, "h16 w16 e"],
) -> MeanAndScale:
    """Means and scales of a slice on the whole canvas."""
    mean, scale = networks.predict(
        mean_features[None], scale_features[None], earlier[None]
    )
    return mean[0], scale[0]


@jax.jit
def _refine(
    networks: Slice,
    mean_features: Float[Array, "h16 w16 f"],
    earlier: Float[Array, "h16 w16 e"],
    quantized: Float[Array, "h16 w16 c"],
) -> Float[Array, "h16 w16 c"]:
    """Refined latents of a slice on the whole canvas."""
    return networks.refine(mean_features[None], earlier[None], quantized[None])[0]
