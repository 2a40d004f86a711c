"""Passes over slices of channels and over checkerboards of positions."""

import dataclasses
from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from jaxcorr.context.base import Positions


@dataclasses.dataclass(frozen=True, kw_only=True)
class Pass:
    """Latents that are coded together: a slice of channels at some positions.

    Attributes:
      channels: First channel of the slice, and the channel after its last.
      parity: Parity of row + column at the positions (0 for anchors, 1 for the latents
        between them), or None for all positions.
    """

    channels: tuple[int, int]
    parity: int | None = None

    def take(self, latents: Float[Any, "*b c"]) -> Float[Any, "*b d"]:
        """Returns the channels of the slice."""
        return latents[..., slice(*self.channels)]

    def place(
        self, values: Float[Array, "b h16 w16 d"], like: Float[Array, "b h16 w16 c"]
    ) -> Float[Array, "b h16 w16 c"]:
        """Returns all channels, with `values` in the slice and 0 elsewhere."""
        if values.shape == like.shape:
            return values
        return jnp.zeros_like(like).at[..., slice(*self.channels)].set(values)

    def mask(self, latents: Float[Array, "b h16 w16 _"]) -> Bool[Array, "1 h16 w16 1"]:
        """Returns a mask of the positions in this pass, whose parity is not None."""
        rows, columns = map(jnp.arange, latents.shape[1:3])
        return (parity_of(rows, columns) == self.parity)[None, ..., None]

    def pack(self, x: Float[Array, "b h w c"]) -> Float[Array, "b h w2 c"]:
        """Returns an array, which starts at an even row, at the positions of the pass.

        For a pass with a parity, `pack(x)[:, i, j // 2]` is `x[:, i, j]`.
        """
        if self.parity is None:
            return x
        batch, height, width, channels = x.shape
        even = jnp.pad(x, ((0, 0), (0, 0), (0, width % 2), (0, 0)))
        pairs = even.reshape(batch, height, -1, 2, channels)
        is_second = (jnp.arange(height) % 2 != self.parity)[:, None, None]
        return jnp.where(is_second, pairs[..., 1, :], pairs[..., 0, :])

    def positions(self, rows: tuple[int, int], columns: int) -> Positions:
        """Returns a NumPy index of the latents of the pass, in raster order.

        The file holds the symbols of the pass in this order, channels last.

        Args:
          rows: First row, and the row after the last.
          columns: Number of columns.
        """
        positions: Positions = (slice(*rows), slice(columns))
        if self.parity is not None:
            parity = parity_of(np.arange(*rows), np.arange(columns))
            down, right = np.nonzero(parity == self.parity)
            positions = down + rows[0], right
        return (*positions, slice(*self.channels))


def parity_of(
    rows: Int[Any, " rows"], columns: Int[Any, " columns"]
) -> Int[Any, "rows columns"]:
    """Returns the parity of row + column at each position."""
    return (rows[:, None] + columns[None]) % 2
