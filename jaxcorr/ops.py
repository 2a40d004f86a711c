"""Operations on arrays that several layers share: bounds, padding, a rectifier."""

import math
from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float


def sample_flat(
    draw: Callable[[tuple[int]], Float[Array, " n"]], shape: Sequence[int]
) -> Float[Array, "..."]:
    """Draws random numbers along one axis, and gives them their shape afterwards.

    They are the numbers that would be drawn in that shape, but XLA compiles the drawing
    of four axes for a CPU three times as long, once for every shape there is.

    Args:
      draw: Draws numbers of a shape.
      shape: The shape that they shall have.
    """
    return draw((math.prod(shape),)).reshape(shape)


@jax.custom_vjp
def lower_bound(
    values: Float[Array, "*shape"], bound: Float[Array, ""] | float
) -> Float[Array, "*shape"]:
    """`max(values, bound)`, with a gradient that can lead back above the bound.

    The gradient of the maximum is zero below the bound, so a value that fell below it
    would stay there. Here a step that would raise the value passes.
    """
    return jnp.maximum(values, jnp.asarray(bound, values.dtype))


def _lower_bound_forward(values, bound):
    return lower_bound(values, bound), values >= bound


def _lower_bound_backward(above, gradient):
    return jnp.where(above | (gradient < 0), gradient, 0.0), None


lower_bound.defvjp(_lower_bound_forward, _lower_bound_backward)


def pad_to(
    image: Float[Array, "*b h w c"], height: int, width: int
) -> Float[Array, "*b height width c"]:
    """Extends an image downwards and to the right by repeating its last pixels."""
    rows, columns = height - image.shape[-3], width - image.shape[-2]
    widths = [(0, 0)] * (image.ndim - 3) + [(0, rows), (0, columns), (0, 0)]
    return jnp.pad(image, widths, mode="edge")


def round_up(length: int, multiple: int) -> int:
    """The smallest multiple of `multiple` that is at least `length`."""
    return -(-length // multiple) * multiple


def leaky_relu(features: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """Leaky rectifier with slope 0.01, the one of the reference models."""
    return jnp.where(features >= 0, features, 0.01 * features)
