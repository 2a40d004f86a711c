"""Array operations that modules share: sampling, bounds, convolution and padding."""

import contextlib
import contextvars
import math
from collections.abc import Callable, Iterator, Sequence
from typing import Literal

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

_samples: contextvars.ContextVar[bool] = contextvars.ContextVar("samples", default=True)


@contextlib.contextmanager
def without_sampling() -> Iterator[None]:
    """Lets `sample_flat` return zeros, where only shapes and types are asked for.

    Tracing a sampler takes most of the time of building a codec abstractly.
    """
    token = _samples.set(False)
    try:
        yield
    finally:
        _samples.reset(token)


def sample_flat(
    draw: Callable[[tuple[int]], Float[Array, " n"]], shape: Sequence[int]
) -> Float[Array, "..."]:
    """Samples random numbers along one axis and reshapes them to `shape`.

    The numbers are the same as if sampled in `shape` directly. On a CPU, XLA takes
    three times as long to compile the sampling of a four-axis shape, and compiles it
    again for every shape.

    Args:
      draw: Samples numbers of a given shape.
      shape: Shape of the result.
    """
    if not _samples.get():
        return jnp.zeros(shape)
    return draw((math.prod(shape),)).reshape(shape)


@jax.custom_vjp
def lower_bound(
    values: Float[Array, "*shape"], bound: Float[Array, ""] | float
) -> Float[Array, "*shape"]:
    """Returns `max(values, bound)`, with a gradient that can raise values below it.

    The gradient of the maximum is zero below the bound, so a value that falls below
    would stay there. This gradient is passed on wherever a descent step would raise the
    value.
    """
    return jnp.maximum(values, jnp.asarray(bound, values.dtype))


def _lower_bound_forward(values, bound):
    return lower_bound(values, bound), values >= bound


def _lower_bound_backward(above, gradient):
    return jnp.where(above | (gradient < 0), gradient, 0.0), None


lower_bound.defvjp(_lower_bound_forward, _lower_bound_backward)


def convolve(
    x: Float[Array, "b h w i"],
    kernel: Float[Array, "rows columns i o"],
    *,
    stride: int = 1,
    padding: Literal["SAME"] | Sequence[tuple[int, int]] = "SAME",
    dilation: tuple[int, int] = (1, 1),
) -> Float[Array, "b h2 w2 o"]:
    """Computes a convolution, channels last, without a bias.

    Args:
      x: Input.
      kernel: Kernel.
      stride: Input positions from one output to the next.
      padding: Zeros before and after the rows and the columns, after the dilation;
        "SAME" keeps the size at stride 1.
      dilation: Distance of neighboring rows and columns of the input, with zeros in
        between.
    """
    return jax.lax.conv_general_dilated(
        x,
        kernel,
        window_strides=(stride, stride),
        padding=padding,
        lhs_dilation=dilation,
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
    )


def add_bias(x: Float[Array, "*b c"], bias: Float[Array, " c"]) -> Float[Array, "*b c"]:
    """Adds a number to each channel, in the dtype of `x`."""
    return x + jnp.expand_dims(bias.astype(x.dtype), range(x.ndim - 1))


def pad_to(
    image: Float[Array, "*b h w c"], height: int, width: int
) -> Float[Array, "*b height width c"]:
    """Pads an image at the bottom and right by repeating its last row and column."""
    rows, columns = height - image.shape[-3], width - image.shape[-2]
    widths = [(0, 0)] * (image.ndim - 3) + [(0, rows), (0, columns), (0, 0)]
    return jnp.pad(image, widths, mode="edge")


def round_up(length: int, multiple: int) -> int:
    """Returns the smallest multiple of `multiple` that is at least `length`."""
    return -(-length // multiple) * multiple


def leaky_relu(features: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """Applies a leaky ReLU with slope 0.01, as in CompressAI."""
    return jnp.where(features >= 0, features, 0.01 * features)
