"""No context: side information alone predicts the latents, all in one pass."""

import dataclasses
from typing import Any

import numpy as np
from flax import nnx
from jaxtyping import Array, ArrayLike, Bool, Float

from jaxcorr import ops, settings
from jaxcorr.context.context import (
    MEAN_AND_SCALE,
    Network,
    Positions,
    Prediction,
    on_latents,
)
from jaxcorr.context.parameters import mean_and_scale


@settings.stored("Independent")
@dataclasses.dataclass(frozen=True, kw_only=True)
class Independent:
    """Latents are independent, given the side information: the hyperprior."""

    def build(self, *, channels: int, rngs: nnx.Rngs) -> "IndependentContext":
        """Initializes the context model; it has no parameters."""
        del channels, rngs
        return IndependentContext()


class IndependentContext(nnx.Module):
    """Reads mean and scale off the features of the side information.

    References:
      Minnen et al., "Joint Autoregressive and Hierarchical Priors for Learned Image
      Compression", NeurIPS 2018, section 2, https://arxiv.org/abs/1809.02736.
    """

    decoder_input: ops.DecoderInput = "noise"

    def parallel(
        self,
        features: Float[Array, "b h16 w16 f"],
        latent: Float[Array, "b h16 w16 c"],
        quantize: ops.Quantizer,
        coded: Bool[Array, "#b h16 w16 1"],
    ) -> Prediction:
        """See `Context`."""
        del coded
        mean, scale = mean_and_scale(features)
        hat = quantize(latent, mean)
        return Prediction(mean=mean, scale=scale, quantized=hat, latent_hat=hat)

    def passes(self, height: int, width: int) -> int:
        """See `Context`."""
        del height, width
        return 1

    def start(self, features: Float[Array, "h16 w16 f"], size: tuple[int, int]) -> Any:
        """See `Context`."""
        rows, columns = size
        return tuple(np.asarray(x)[:rows, :columns] for x in mean_and_scale(features))

    def predict(
        self, state: Any, index: int
    ) -> tuple[Positions, Float[ArrayLike, "..."], Float[ArrayLike, "..."]]:
        """See `Context`."""
        del index
        mean, scale = state
        return np.s_[: mean.shape[0], : mean.shape[1]], mean, scale

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
        del index, latent_hat
        return state

    def networks(self, channels: int) -> dict[str, Network]:
        """See `Context`."""
        return {
            "predict": Network(
                function=mean_and_scale,
                inputs={"features": on_latents(2 * channels)},
                outputs=MEAN_AND_SCALE,
                meaning="The only pass: of all latents.",
            )
        }
