"""The valid region of activations on a canvas: what lies beyond it is masked.

Images of many sizes share a compiled program on a canvas that is larger than they are.
Within `masking`, every layer that sees neighbors takes activations beyond the valid
region as zeros, as it takes those beyond the border of an array. So a network gives the
values that it gives on an array of the size of the region. Elsewhere nothing is masked,
as in training.
"""

import contextlib
import contextvars
import dataclasses
from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True, kw_only=True)
class ValidRegion:
    """The rows and columns of a canvas, from the top left, that are valid.

    All lengths are in positions of the coarsest activations. There may be any number of
    finer positions in each, so the resolution of an array follows from its shape.

    Attributes:
      rows: Valid rows, or those of each image of a batch.
      columns: Valid columns, in the same form.
      canvas: Rows and columns of the canvas.
    """

    rows: Int[Any, "*b"]
    columns: Int[Any, "*b"]
    canvas: tuple[int, int] = dataclasses.field(metadata={"static": True})

    def sides(
        self, height: int, width: int
    ) -> tuple[Int[Array, "#b"], Int[Array, "#b"]]:
        """Returns the valid rows and columns of activations of a height and width."""
        return (
            jnp.atleast_1d(self.rows * (height // self.canvas[0])),
            jnp.atleast_1d(self.columns * (width // self.canvas[1])),
        )


_current: contextvars.ContextVar[ValidRegion | None] = contextvars.ContextVar(
    "valid_region", default=None
)


@contextlib.contextmanager
def masking(region: ValidRegion | None) -> Iterator[None]:
    """Masks the input of layers that are traced in the `with` block.

    Open the block inside of a compiled function, to which the region is an argument.

    Args:
      region: The valid region; None masks nothing.
    """
    token = _current.set(region)
    try:
        yield
    finally:
        _current.reset(token)


def current() -> ValidRegion | None:
    """Returns the valid region of the layers that are traced now."""
    return _current.get()


def mask(x: Float[Array, "b h w c"]) -> Float[Array, "b h w c"]:
    """Returns activations with zeros beyond the valid region, if one is set."""
    region = current()
    if region is None:
        return x
    rows, columns = region.sides(*x.shape[1:3])
    row = jnp.arange(x.shape[1])[None] < rows[:, None]
    column = jnp.arange(x.shape[2])[None] < columns[:, None]
    return jnp.where(row[:, :, None, None] & column[:, None, :, None], x, 0)
