"""The interface of context models.

A context model codes latents in passes. Each pass predicts the means and scales of some
latents from features of the side information and from the latents of earlier passes.
Coding goes from pass to pass; training takes all passes in one program.
"""

import dataclasses
from typing import Any, Protocol, runtime_checkable

import jax
from jaxtyping import Array, ArrayLike, Bool, Float

from jaxcorr.quantization import Quantization, QuantizationName

Positions = tuple[Any, ...]
"""A NumPy index into latents `h16 w16 c`."""


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True, kw_only=True)
class Prediction:
    """Everything that a context model says about latents.

    Attributes:
      mean: Predicted mean, in quantization steps.
      scale: Predicted standard deviation, in quantization steps; at least 0.11.
      quantized: Latents, quantized around their means.
      latent_hat: Input of the synthesis: `quantized`, unless the context model predicts
        rounding errors.
    """

    mean: Float[Array, "b h16 w16 c"]
    scale: Float[Array, "b h16 w16 c"]
    quantized: Float[Array, "b h16 w16 c"]
    latent_hat: Float[Array, "b h16 w16 c"]


@runtime_checkable
class CodingState(Protocol):
    """The state of coding an image: everything that the decoder knows so far."""

    def predict(
        self, index: int
    ) -> tuple[Positions, Float[ArrayLike, "..."], Float[ArrayLike, "..."]]:
        """Returns the positions that a pass codes, their means and their scales.

        Positions index latents in the order in which the file holds their symbols.
        """
        ...

    def refine(
        self, index: int, quantized: Float[ArrayLike, "..."]
    ) -> Float[ArrayLike, "..."]:
        """Returns the decoded latents of a pass, given the quantized ones.

        They are `quantized` itself unless rounding errors are predicted. Otherwise the
        caller rounds them to the grid of the means.
        """
        ...

    def update(self, index: int, latent_hat: Float[ArrayLike, "..."]) -> None:
        """Takes in the decoded latents of a pass."""
        ...


class ContextModel(Protocol):
    """Predicts latents: in training all at once, in coding pass by pass.

    Attributes:
      default_quantization: How the context model's paper quantizes in training.
    """

    default_quantization: QuantizationName

    def forward(
        self,
        features: Float[Array, "b h16 w16 f"],
        latent: Float[Array, "b h16 w16 c"],
        quantization: Quantization,
        coded: Bool[Array, "#b h16 w16 1"],
    ) -> Prediction:
        """Predicts and quantizes all latents, as the passes would.

        Args:
          features: Features of the side information.
          latent: Latents before quantization.
          quantization: Quantizes latents around their means, for the synthesis and for
            the prediction of later latents. With `Rounding` the result is that of
            coding, except for the grid of the means.
          coded: Which positions are coded. The decoder has zeros elsewhere.
        """
        ...

    def num_passes(self, height: int, width: int) -> int:
        """Returns the number of passes over latents of this size."""
        ...

    def begin_coding(
        self, features: Float[Array, "h16 w16 f"], size: tuple[int, int]
    ) -> CodingState:
        """Returns the state of coding before the first pass.

        Args:
          features: Features of the side information, on the canvas.
          size: Rows and columns of latents that are coded, from the top left.
        """
        ...
