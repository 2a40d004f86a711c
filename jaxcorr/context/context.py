"""The interface of context models.

A context model is a sequence of passes. Each pass codes some of the latents, with a
mean and a scale predicted from the features of the side information and from what
earlier passes decoded. Training evaluates all passes at once; coding walks them in
order.
"""

import dataclasses
from typing import Any, Protocol

import jax
from jaxtyping import Array, ArrayLike, Float

from jaxcorr import ops

Positions = tuple[Any, ...]
"""A NumPy index into latents `h16 w16 c`."""


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True, kw_only=True)
class Prediction:
    """What a context model says of all latents.

    Attributes:
      mean: Predicted mean, in quantization steps.
      scale: Predicted standard deviation, in quantization steps; at least 0.11.
      latent_hat: Quantized latents.
    """

    mean: Float[Array, "b h16 w16 c"]
    scale: Float[Array, "b h16 w16 c"]
    latent_hat: Float[Array, "b h16 w16 c"]


class Context(Protocol):
    """Predicts latents, in training all at once and in coding pass by pass."""

    def parallel(
        self,
        features: Float[Array, "b h16 w16 f"],
        latent: Float[Array, "b h16 w16 c"],
        quantize: ops.Quantizer,
    ) -> Prediction:
        """Predicts and quantizes all latents, as the passes would."""
        ...

    def passes(self, height: int, width: int) -> int:
        """Number of passes over latents of this size."""
        ...

    def start(self, features: Float[Array, "h16 w16 f"], size: tuple[int, int]) -> Any:
        """State before the first pass: what the decoder knows of the image.

        Args:
          features: Features of the side information, perhaps with padding at the end.
          size: Rows and columns of latents that are coded, from the top left.
        """
        ...

    def predict(
        self, state: Any, index: int
    ) -> tuple[Positions, Float[ArrayLike, "..."], Float[ArrayLike, "..."]]:
        """Positions that a pass codes, their means and their scales.

        Means and scales have the shape of the latents at these positions.
        """
        ...

    def update(
        self, state: Any, index: int, latent_hat: Float[ArrayLike, "..."]
    ) -> Any:
        """State after a pass, given the latents that it decoded."""
        ...
