"""The four transforms that every architecture provides, and their grids."""

from collections.abc import Callable

import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Bool, Float

from jaxcorr import ops

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


def latents_across(pixels: int) -> int:
    """Returns the number of latents along a side of this many pixels."""
    return ops.round_up(pixels, LATENT_STRIDE) // LATENT_STRIDE


def side_across(pixels: int) -> int:
    """Returns the number of elements of z along a side of this many pixels."""
    return ops.round_up(pixels, SIDE_STRIDE) // SIDE_STRIDE


def over_image(
    grid: Float[Array, "b height width c"],
    rows: Array | int,
    columns: Array | int,
    stride: int,
) -> Bool[Array, "1 height width 1"]:
    """Returns which positions of a grid lie over the image.

    Args:
      grid: Latents or side information.
      rows: Rows of pixels of the image.
      columns: Columns of pixels of the image.
      stride: Pixels from one position to the next.
    """
    row = jnp.arange(grid.shape[1])[None, :, None, None] * stride < rows
    column = jnp.arange(grid.shape[2])[None, None, :, None] * stride < columns
    return row & column
