"""The interface of context models.

A context model says in how many passes latents are coded, and which latents each pass
codes. It predicts their means and scales from features of the side information and from
the latents that are already known. Coding goes from pass to pass; training sees all
latents, and so needs no such walk.
"""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any, Protocol

import jax
from jaxtyping import Array, ArrayLike, Bool, Float

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
      quantized: Latents rounded around their means, or with what stands in for that.
      latent_hat: What is made of them for the synthesis; `quantized` itself, but where
        the context model predicts rounding errors.
    """

    mean: Float[Array, "b h16 w16 c"]
    scale: Float[Array, "b h16 w16 c"]
    quantized: Float[Array, "b h16 w16 c"]
    latent_hat: Float[Array, "b h16 w16 c"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Network:
    """A function of arrays, described for programs that know nothing of jaxcorr.

    Attributes:
      function: The function; it computes in the precision of its inputs.
      inputs: Shape of each input by its name, with symbols for what is free, such as
        `b, 4*h, 4*w, 192`. An empty shape is that of an integer.
      outputs: Names of what it gives.
      meaning: What it computes, in a sentence or two.
    """

    function: Callable[..., Any]
    inputs: Mapping[str, str]
    outputs: tuple[str, ...]
    meaning: str


class Context(Protocol):
    """Predicts latents, in training all at once and in coding pass by pass.

    Attributes:
      decoder_input: What it was published with in training.
    """

    decoder_input: ops.DecoderInput

    def parallel(
        self,
        features: Float[Array, "b h16 w16 f"],
        latent: Float[Array, "b h16 w16 c"],
        quantize: ops.Quantizer,
        coded: Bool[Array, "#b h16 w16 1"],
    ) -> Prediction:
        """Predicts and quantizes all latents, as the passes would.

        Args:
          features: Features of the side information.
          latent: Latents before quantization.
          quantize: Quantizes latents around their means. With `ops.round_around`, the
            result is what coding gives, but for the grid of its means. What it makes of
            latents is also what predictions of other latents see.
          coded: Where latents are coded. Elsewhere the decoder has zeros.
        """
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

    def refine(
        self, state: Any, index: int, quantized: Float[ArrayLike, "..."]
    ) -> Float[ArrayLike, "..."]:
        """What to make of the quantized latents of a pass; mostly `quantized` itself.

        Whatever else it is, it is rounded to the grid of the means, and so goes into
        the next passes and the synthesis.
        """
        ...

    def update(
        self, state: Any, index: int, latent_hat: Float[ArrayLike, "..."]
    ) -> Any:
        """State after a pass, given the latents that it decoded.

        The state before may be changed in place.
        """
        ...

    def networks(self, channels: int) -> dict[str, Network]:
        """What `predict` and `refine` compute, as functions without state.

        Args:
          channels: Channels of the latents.
        """
        ...


MEAN_AND_SCALE = ("mean", "scale")


def on_latents(channels: int) -> str:
    """Shape, in the symbols of a `Network`, of an array over all latents."""
    return f"b, 4*h, 4*w, {channels}"
