"""The four transforms of every architecture, and the grids of y and z."""

import dataclasses
import itertools
from collections.abc import Callable, Sequence
from typing import Any

import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Bool, Float

from jaxcorr import compatibility, ops

LATENT_STRIDE = 16
"""Pixels from one latent to the next."""
SIDE_STRIDE = 64
"""Pixels from one element of z to the next."""

Layer = Callable[..., Any]
"""A module, or a function without parameters."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Reach:
    """Distances, to either side, over which outputs of four transforms see inputs.

    A unit is a position of the coarser of input and output: a latent for analysis and
    synthesis, and an element of z for the hyper transforms.

    Attributes:
      analysis: Units on either side that an output of the analysis depends on.
      synthesis: The same for the synthesis.
      hyper_analysis: The same for the hyper analysis.
      hyper_synthesis: The same for the hyper synthesis.
      align: Windows of an image start at multiples of this many latents.
      side_align: Windows of side information start at multiples of this many units.
    """

    analysis: int
    synthesis: int
    hyper_analysis: int
    hyper_synthesis: int
    align: int = 1
    side_align: int = 1


class Transforms(nnx.Module):
    """The transforms between image, latents and side information.

        image ─► analysis  ─► y ────► hyper_analysis  ─► z
        image ◄─ synthesis ◄─ y_hat ┄ hyper_synthesis ◄─ z_hat
                                      └► features: scales, then means

    Attributes:
      analysis: Maps an image in [0, 1] to latents.
      synthesis: Maps quantized latents to an image.
      hyper_analysis: Maps latents to side information.
      hyper_synthesis: Maps quantized side information to two features per latent, from
        which its scale and its mean are predicted.
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
        self.analysis = analysis
        self.synthesis = synthesis
        self.hyper_analysis = hyper_analysis
        self.hyper_synthesis = hyper_synthesis


def chain(*stages: Sequence[Layer]) -> nnx.Module:
    """Returns the layers of all stages, one after another, as one module.

    Args:
      *stages: Layers of each stage. The grouping is for the reader only: parameters are
        named by the index of their layer among all layers.
    """
    return compatibility.Sequential(*itertools.chain.from_iterable(stages))


def latents_across(pixels: int) -> int:
    """Returns the number of latents along a side of an image, given in pixels."""
    return ops.round_up(pixels, LATENT_STRIDE) // LATENT_STRIDE


def side_across(pixels: int) -> int:
    """Returns the number of elements of z along a side of an image, given in pixels."""
    return ops.round_up(pixels, SIDE_STRIDE) // SIDE_STRIDE


def image_mask(
    grid: Float[Array, "b height width c"],
    rows: Array | int,
    columns: Array | int,
    stride: int,
) -> Bool[Array, "#b height width 1"]:
    """Returns a mask of the grid positions that lie over the image, not the padding.

    Args:
      grid: Latents or side information of the padded image.
      rows: Height of the images before padding, in pixels; or one for each image, of
        shape [b].
      columns: Width of the images before padding, in the same form.
      stride: Pixels from one position of the grid to the next.
    """
    row, column = (jnp.arange(side) * stride for side in grid.shape[1:3])
    is_row = row[None, :, None, None] < _each_image(rows)
    return is_row & (column[None, None, :, None] < _each_image(columns))


def _each_image(side: Array | int) -> Array | int:
    """Returns a side of all images, or of each, so that it broadcasts with a batch."""
    return jnp.asarray(side)[:, None, None, None] if jnp.ndim(side) else side


def repeat_last_latents(
    latents: Float[Array, "b h16 w16 c"], rows: Array | int, columns: Array | int
) -> Float[Array, "b h16 w16 c"]:
    """Returns latents with the last ones over the image repeated beyond it.

    The image is padded by its last pixels too. A synthesis that saw zeros beyond would
    spoil the border (`benchmarks/border.csv`).

    Args:
      latents: Latents of the padded image.
      rows: Height of the images before padding, in pixels; or one for each image, of
        shape [b].
      columns: Width of the images before padding, in the same form.
    """
    for axis, pixels in (1, rows), (2, columns):
        across = latents.shape[axis]
        if isinstance(pixels, int) and latents_across(pixels) == across:
            continue
        last = -(-jnp.reshape(pixels, (-1, 1)) // LATENT_STRIDE) - 1
        index = jnp.minimum(jnp.arange(across)[None], last)
        index = jnp.expand_dims(index, (2, 3) if axis == 1 else (1, 3))
        latents = jnp.take_along_axis(latents, index, axis=axis)
    return latents
