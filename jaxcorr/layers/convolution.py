"""Convolutions at full, half and double resolution, channels last.

A layer computes in the dtype of its input: parameters are converted to it on the way.
So bfloat16 in trains in bfloat16, and float64 in codes in float64.
"""

import math

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float, Int

from jaxcorr import ops
from jaxcorr.layers import implementations

_DIMENSIONS = ("NHWC", "HWIO", "NHWC")


class Convolution(nnx.Module):
    """Square convolution, zero padded, at stride 1 or 2."""

    def __init__(
        self, inputs: int, outputs: int, *, size: int, stride: int = 1, rngs: nnx.Rngs
    ):
        """Initializes kernel and bias.

        Args:
          inputs: Channels of the input.
          outputs: Channels of the output.
          size: Side of the kernel; odd.
          stride: Step between outputs, in inputs.
          rngs: Source of the initial kernel.
        """
        self.kernel = nnx.Param(_draw(rngs, (size, size, inputs, outputs)))
        self.bias = nnx.Param(jnp.zeros(outputs))
        self.stride = stride

    def __call__(self, x: Float[Array, "b h w i"]) -> Float[Array, "b h2 w2 o"]:
        """Output at `[p, q]` is centered on input `[p * stride, q * stride]`."""
        kernel = self.kernel[...].astype(x.dtype)
        margin = kernel.shape[0] // 2
        out = jax.lax.conv_general_dilated(
            x,
            kernel,
            window_strides=(self.stride, self.stride),
            padding=[(margin, margin), (margin, margin)],
            dimension_numbers=_DIMENSIONS,
        )
        return _add_bias(out, self.bias)


class Upsampling(nnx.Module):
    """Transposed 5x5 convolution at stride 2, computed at the low resolution.

    Each of the four phases of the output sees at most 3x3 inputs, so one 3x3
    convolution to four times the channels computes them all. The parameters are the 5x5
    kernel of the transposed convolution; only the arithmetic differs, which
    matters because XLA's gradient of the transposed form is slow on a CPU. A TPU
    computes the transposed form itself: interleaving the phases there copies the
    largest arrays of a codec several times (`benchmarks/tpu_aot.py`).

    References:
      Shi et al., "Is the deconvolution layer the same as a convolutional layer?", 2016,
      https://arxiv.org/abs/1609.07009.
    """

    def __init__(self, inputs: int, outputs: int, *, rngs: nnx.Rngs):
        """Initializes kernel and bias.

        Args:
          inputs: Channels of the input.
          outputs: Channels of the output.
          rngs: Source of the initial kernel.
        """
        self.kernel = nnx.Param(_draw(rngs, (5, 5, inputs, outputs), phases=4.0))
        self.bias = nnx.Param(jnp.zeros(outputs))

    def __call__(self, x: Float[Array, "b h w i"]) -> Float[Array, "b 2*h 2*w o"]:
        """Input `[p, q]` reaches outputs `[2p - 2 : 2p + 3, 2q - 2 : 2q + 3]`."""
        kernel = self.kernel[...].astype(x.dtype)
        out = implementations.choose(
            "upsampling",
            {"polyphase": polyphase_upsampling, "transposed": transposed_upsampling},
            *(x, kernel),
        )
        return _add_bias(out, self.bias)


class Pointwise(nnx.Module):
    """1x1 convolution, as a matrix product: XLA's own has a slow gradient on a CPU."""

    def __init__(
        self,
        inputs: int,
        outputs: int,
        *,
        stride: int = 1,
        bias: bool = True,
        rngs: nnx.Rngs,
    ):
        """Initializes kernel and bias.

        Args:
          inputs: Channels of the input.
          outputs: Channels of the output.
          stride: Step between the positions that are kept.
          bias: Whether there is a bias.
          rngs: Source of the initial kernel.
        """
        self.kernel = nnx.Param(_draw(rngs, (inputs, outputs)))
        self.bias = nnx.Param(jnp.zeros(outputs)) if bias else None
        self.stride = stride

    def __call__(self, x: Float[Array, "*b i"]) -> Float[Array, "*b2 o"]:
        """Every kept position on its own; a stride needs rows and columns."""
        if self.stride > 1:
            x = x[..., :: self.stride, :: self.stride, :]
        x = jnp.matmul(x, self.kernel[...].astype(x.dtype))
        return x if self.bias is None else _add_bias(x, self.bias)


class MaskedConvolution(nnx.Module):
    """5x5 convolution that sees some of its taps only.

    The kernel has all taps, as in the reference models; those outside the mask stay as
    they were drawn and have no effect.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        *,
        taps: tuple[tuple[int, int], ...],
        rngs: nnx.Rngs,
    ):
        """Initializes kernel and bias.

        Args:
          inputs: Channels of the input.
          outputs: Channels of the output.
          taps: Row and column, relative to the output, of each input that is seen.
          rngs: Source of the initial kernel.
        """
        phases = 25 / len(taps)
        self.kernel = nnx.Param(_draw(rngs, (5, 5, inputs, outputs), phases=phases))
        self.bias = nnx.Param(jnp.zeros(outputs))
        self.taps = taps

    def __call__(self, x: Float[Array, "b h w i"]) -> Float[Array, "b h w o"]:
        """Output at all positions at once."""
        rows, columns = tap_index(self.taps)
        kernel = self.kernel[...].astype(x.dtype)
        masked = jnp.zeros_like(kernel).at[rows, columns].set(kernel[rows, columns])
        return _add_bias(_same_convolution(x, masked), self.bias)

    def of_neighbors(self, seen: Float[Array, "n taps i"]) -> Float[Array, "n o"]:
        """Output at single positions, from the inputs that their taps see."""
        kernel = self.kernel[...].astype(seen.dtype)[tap_index(self.taps)]
        return _add_bias(jnp.einsum("nti,tio->no", seen, kernel), self.bias)


def tap_index(
    taps: tuple[tuple[int, int], ...],
) -> tuple[Int[np.ndarray, " n"], Int[np.ndarray, " n"]]:
    """Rows and columns of taps in a 5x5 square, whose center is row and column 2."""
    rows, columns = np.array(taps).T + 2
    return rows, columns


def channel_product(
    x: Float[Array, "b h w i"], kernel: Float[Array, "i o"]
) -> Float[Array, "b h w o"]:
    """A 1x1 convolution, in the form that the device is fast at.

    XLA's gradient of the convolution is slow on a CPU, so there it is a matrix product.
    On a TPU that product wants another layout than the convolutions around it, and the
    largest arrays of a codec would be copied to and fro.
    """
    return implementations.choose(
        "channel_product",
        {"matrix": jnp.matmul, "convolution": pointwise_convolution},
        *(x, kernel),
    )


def pointwise_convolution(
    x: Float[Array, "b h w i"], kernel: Float[Array, "i o"]
) -> Float[Array, "b h w o"]:
    """The product over channels, as a convolution."""
    return _same_convolution(x, kernel[None, None])


def polyphase_upsampling(
    x: Float[Array, "b h w i"], kernel: Float[Array, "5 5 i o"]
) -> Float[Array, "b 2*h 2*w o"]:
    """Transposed convolution at stride 2, phase by phase at the low resolution."""
    return depth_to_space(_same_convolution(x, polyphase_kernel(kernel)))


def transposed_upsampling(
    x: Float[Array, "b h w i"], kernel: Float[Array, "5 5 i o"]
) -> Float[Array, "b 2*h 2*w o"]:
    """The same function, as a convolution over inputs with zeros between them."""
    return dilated_convolution(x, kernel[::-1, ::-1], margin=(2, 3))


def dilated_convolution(
    x: Float[Array, "b h w i"],
    kernel: Float[Array, "size size i o"],
    *,
    margin: tuple[int, int],
) -> Float[Array, "b h2 w2 o"]:
    """Convolution over inputs with a zero between them, and a margin of zeros."""
    return jax.lax.conv_general_dilated(
        x,
        kernel,
        window_strides=(1, 1),
        padding=[margin, margin],
        lhs_dilation=(2, 2),
        dimension_numbers=_DIMENSIONS,
    )


def polyphase_kernel(
    kernel: Float[Array, "5 5 i o"],
) -> Float[Array, "3 3 i 4*o"]:
    """Splits the kernel of a transposed convolution into one kernel a phase.

    Output `2q + r` of a transposed convolution with padding 2 collects the inputs
    `q + d`, for d = -1, 0, 1, through tap `r + 2 - 2d`; there is no tap 5: it is zero.
    """
    inputs, outputs = kernel.shape[2:]
    even = jnp.pad(kernel, [(0, 1), (0, 1), (0, 0), (0, 0)])
    taps = even.reshape(3, 2, 3, 2, inputs, outputs)[::-1, :, ::-1]
    return taps.transpose(0, 2, 4, 1, 3, 5).reshape(3, 3, inputs, 4 * outputs)


def depth_to_space(
    phases: Float[Array, "b h w c"],
) -> Float[Array, "b 2*h 2*w c//4"]:
    """Interleaves four groups of channels as the pixels of a 2x2 square."""
    batch, height, width, channels = phases.shape
    split = phases.reshape(batch, height, width, 2, 2, channels // 4)
    return split.transpose(0, 1, 3, 2, 4, 5).reshape(
        batch, 2 * height, 2 * width, channels // 4
    )


def space_to_depth(
    x: Float[Array, "b h w c"],
) -> Float[Array, "b h//2 w//2 4*c"]:
    """Collects the pixels of each 2x2 square as channels: undoes `depth_to_space`."""
    batch, height, width, channels = x.shape
    split = x.reshape(batch, height // 2, 2, width // 2, 2, channels)
    return split.transpose(0, 1, 3, 2, 4, 5).reshape(
        batch, height // 2, width // 2, 4 * channels
    )


def _same_convolution(x: Array, kernel: Array) -> Array:
    """Zero-padded convolution at stride 1."""
    return jax.lax.conv_general_dilated(
        x,
        kernel,
        window_strides=(1, 1),
        padding="SAME",
        dimension_numbers=_DIMENSIONS,
    )


def _draw(rngs: nnx.Rngs, shape: tuple[int, ...], *, phases: float = 1.0) -> Array:
    """Draws a kernel that keeps the variance, if one tap in `phases` meets an input."""
    limit = (3 * phases / math.prod(shape[:-1])) ** 0.5
    draw = lambda n: jax.random.uniform(rngs.params(), n, minval=-limit, maxval=limit)
    return ops.sample_flat(draw, shape)


def _add_bias(x: Array, bias: nnx.Param) -> Array:
    return x + jnp.expand_dims(bias[...].astype(x.dtype), range(x.ndim - 1))
