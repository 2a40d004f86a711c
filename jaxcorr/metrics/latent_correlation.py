"""Spatial correlation of the latents of whole images, and its offset share.

Images of several sizes share a canvas. Their latents are those of the canvas, of which
only a part at the top left lies over the image.
"""

import functools
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from jaxcorr.programs import forgotten


@forgotten
@functools.partial(jax.jit, static_argnames="window")
def window_products(
    normalized: Float[Array, "b h w c"], inside: Bool[Array, "b h w 1"], *, window: int
) -> tuple[Float[Array, "b c {window} {window}"], Float[Array, " b"]]:
    """Sums the product of each latent with its neighbor at every offset, by image.

    Sums and counts add up over images. Their quotient is the map of
    `correlation.correlation_maps` of all images, had they the same size.

    Args:
      normalized: Normalized latents.
      inside: Whether a latent lies over the image: rows and columns from the top left.
      window: Side of the maps, odd.

    Returns:
      The sums for each image and channel, over all positions whose whole window lies
      inside, and the number of these positions.
    """
    margin = window // 2
    rows, columns = (side - 2 * margin for side in normalized.shape[1:3])
    # The whole window is inside if its last row and column are.
    fits = inside[:, 2 * margin :, 2 * margin :]
    centers = normalized[:, margin : margin + rows, margin : margin + columns]
    centers = jnp.where(fits, centers, 0.0)

    def sum_products(offset):
        row, column = divmod(offset, window)
        neighbors = jax.lax.dynamic_slice_in_dim(normalized, row, rows, axis=1)
        neighbors = jax.lax.dynamic_slice_in_dim(neighbors, column, columns, axis=2)
        return jnp.sum(centers * neighbors, axis=(1, 2))

    # One offset at a time, since all at once need window² times the memory.
    sums = jax.lax.map(sum_products, jnp.arange(window**2))
    sums = jnp.moveaxis(sums, 0, -1).reshape(*sums.shape[1:], window, window)
    return sums, jnp.sum(fits, axis=(1, 2, 3)).astype(sums.dtype)


def without_offsets(
    normalized: Float[Any, "b h w c"], inside: Bool[Array, "b h w 1"] | None = None
) -> Float[Array, "b h w c"]:
    """Subtracts from each channel of each image its mean over the image.

    Args:
      normalized: Normalized latents.
      inside: Whether a latent lies over the image; None for all.
    """
    normalized = jnp.asarray(normalized)
    mean = jnp.mean(normalized, axis=(1, 2), keepdims=True, where=inside)
    return normalized - mean


def offset_share(loss: float, loss_without_offsets: float) -> float:
    """Returns the share of the correlation loss that goes with the channels' offsets.

    An offset is the mean of a channel of the normalized latents over an image: an error
    of the predicted means that is the same everywhere.

    Args:
      loss: Correlation loss of the normalized latents.
      loss_without_offsets: Correlation loss of `without_offsets` of them.
    """
    return 1 - loss_without_offsets / loss if loss else 0.0
