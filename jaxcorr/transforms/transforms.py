"""What every architecture provides: four transforms, and their strides."""

from collections.abc import Callable

from flax import nnx
from jaxtyping import Array, Float

LATENT_STRIDE = 16
"""Pixels from one latent to the next."""
SIDE_STRIDE = 64
"""Pixels from one element of the side information to the next."""


class Transforms(nnx.Module):
    """The transforms between image, latents and side information.

        image ─► analysis  ─► y ────► hyper_analysis  ─► z
        image ◄─ synthesis ◄─ y_hat ┄ hyper_synthesis ◄─ z_hat
                                      └► features: scales, then means

    Attributes:
      analysis: Image in [0, 1] to latents.
      synthesis: Quantized latents to image.
      hyper_analysis: Latents to side information.
      hyper_synthesis: Quantized side information to two features a latent, which
        predict its scale and its mean.
    """

    def __init__(
        self,
        *,
        analysis: Callable[[Float[Array, "b h w 3"]], Float[Array, "b h16 w16 c"]],
        synthesis: Callable[[Float[Array, "b h16 w16 c"]], Float[Array, "b h w 3"]],
        hyper_analysis: Callable[
            [Float[Array, "b h16 w16 c"]], Float[Array, "b h64 w64 s"]
        ],
        hyper_synthesis: Callable[
            [Float[Array, "b h64 w64 s"]], Float[Array, "b h16 w16 f"]
        ],
    ):
        """Holds four modules."""
        self.analysis = analysis
        self.synthesis = synthesis
        self.hyper_analysis = hyper_analysis
        self.hyper_synthesis = hyper_synthesis
