"""The interface of context models.

A context model is causal: it codes latents in passes, and each pass predicts means and
scales from features of the side information and from the latents of earlier passes.
Coding runs pass by pass. Training runs all passes in one program, given the latents
that the decoder will have (teacher forcing).

Passes differ in their positions, in their channels or in both. Anchors are the
positions of a checkerboard that are coded first. Slices are groups of channels that are
coded one after another.
"""

import dataclasses
from typing import Any, Protocol, runtime_checkable

import jax
import numpy as np
from jaxtyping import Array, ArrayLike, Bool, Float, Float64

from jaxcorr.context.strips import CodingLayout, Rows
from jaxcorr.quantization import Quantization, QuantizationName

Positions = tuple[Any, ...]
"""A NumPy index into latents `h16 w16 c`."""


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True, kw_only=True)
class Prediction:
    """Predicted distributions of latents, and the latents quantized around them.

    Attributes:
      mean: Predicted mean, in quantization steps.
      scale: Predicted standard deviation, in quantization steps; at least 0.11.
      quantized: Latents, quantized around their means.
      latent_hat: Input of the synthesis. It is `quantized`, unless the context model
        predicts rounding errors.
    """

    mean: Float[Array, "b h16 w16 c"]
    scale: Float[Array, "b h16 w16 c"]
    quantized: Float[Array, "b h16 w16 c"]
    latent_hat: Float[Array, "b h16 w16 c"]


@runtime_checkable
class CodingState(Protocol):
    """The state of coding an image: the latents that are decoded so far.

    Attributes:
      latent_hat: Decoded latents, to which the caller writes those of a pass before it
        asks for the next.
    """

    latent_hat: Float64[np.ndarray, "h16 w16 c"]

    def num_passes(self, strip: int) -> int:
        """Returns the number of passes of a strip."""
        ...

    def coded_rows(self, strip: int) -> int:
        """Returns how many rows, from the top, are coded after a strip."""
        ...

    def predict(
        self, strip: int, index: int
    ) -> tuple[Positions, Float[ArrayLike, "..."], Float[ArrayLike, "..."]]:
        """Returns the positions that a pass codes, and the means and scales there.

        The file holds the symbols in the order of the positions.
        """
        ...

    def refine(
        self, strip: int, index: int, quantized: Float64[np.ndarray, "..."]
    ) -> tuple[Positions, Float[ArrayLike, "..."]]:
        """Returns positions and decoded latents, given quantized latents of a pass.

        Returns the positions of the pass and `quantized` itself unless rounding errors
        are predicted. The caller rounds any other result to the grid of the means.
        """
        ...


class ContextModel(Protocol):
    """Predicts means and scales of latents, causally in the order of its passes.

    Training calls `forward`, which predicts all latents in one program by teacher
    forcing: each pass sees the quantized latents of earlier passes. Coding calls
    `begin_coding`, and predicts pass by pass from decoded latents.

    Attributes:
      default_quantization: Quantization in training, as in the context model's paper.
    """

    default_quantization: QuantizationName

    def forward(
        self,
        features: Float[Array, "b h16 w16 f"],
        latent: Float[Array, "b h16 w16 c"],
        quantization: Quantization,
        coded: Bool[Array, "#b h16 w16 1"],
    ) -> Prediction:
        """Predicts and quantizes all latents in one program (teacher forcing).

        Args:
          features: Features of the side information.
          latent: Latents before quantization.
          quantization: Quantizes latents around their means, for the synthesis and for
            the prediction of later passes. `Rounding` gives the latents of coding,
            except that coding rounds the means to a grid.
          coded: Whether a position is coded. The decoder has zeros elsewhere.
        """
        ...

    def num_passes(self, height: int, width: int) -> int:
        """Returns the number of passes over latents of this size."""
        ...

    def num_strips(self, layout: CodingLayout) -> int:
        """Returns the number of strips in which an image is coded."""
        ...

    def begin_coding(self, features: Rows, layout: CodingLayout) -> CodingState:
        """Returns the state of coding before the first pass.

        Args:
          features: Features of the side information, on the columns of the canvas.
          layout: Sizes of the arrays, and the strips.
        """
        ...
