"""Convolutions at full, half and double resolution, channels last.

A layer converts its parameters to the dtype of its input and computes in that dtype. So
training can run in bfloat16, and coding in float64, with the same float32 parameters.
"""

import math
from collections.abc import Callable
from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float, Int

from jaxcorr import ops
from jaxcorr.layers import implementations, valid_region
from jaxcorr.layers.phases import (
    convolve_over_phases,
    polyphase_upsampling,
    separate_upsampling,
    upsample_over_phases,
)

End = Literal["input", "output"]
"""An end of a layer."""


class Convolution(nnx.Module):
    """Zero-padded convolution with a square kernel.

    Args:
      inputs: Channels of the input.
      outputs: Channels of the output.
      size: Side of the kernel; odd.
      stride: Input positions from one output to the next.
      half_resolution: Whether the input or the output, of even height and width, has
        half of the resolution of an image.
      rngs: Source of the initial kernel.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        *,
        size: int,
        stride: int = 1,
        half_resolution: End | None = None,
        rngs: nnx.Rngs,
    ):
        self.kernel = nnx.Param(_initial_kernel(rngs, (size, size, inputs, outputs)))
        self.bias = nnx.Param(jnp.zeros(outputs))
        self.stride = stride
        self.half_resolution: End | None = half_resolution

    def __call__(self, x: Float[Array, "b h w i"]) -> Float[Array, "b h2 w2 o"]:
        """Centers the kernel of output `[p, q]` on input `[p * stride, q * stride]`."""
        margin = self.kernel.shape[0] // 2

        def plain(x: Array, kernel: Array, bias: Array) -> Array:
            padding = [(margin, margin)] * 2
            out = ops.convolve(x, kernel, stride=self.stride, padding=padding)
            return ops.add_bias(out, bias)

        def over_phases(x: Array, kernel: Array, bias: Array) -> Array:
            return convolve_over_phases(
                x,
                kernel,
                bias,
                stride=self.stride,
                inputs=2 if self.half_resolution == "input" else 1,
                outputs=2 if self.half_resolution == "output" else 1,
            )

        return _choose_form(self, x, plain, over_phases)


class Upsampling(nnx.Module):
    """Transposed 5x5 convolution at stride 2.

    Each of the four phases of the output depends on at most 3x3 inputs, so one 3x3
    convolution to four times the channels computes all phases at the low resolution.
    A CPU computes the phases apart, with fewer taps. XLA's gradient of a transposed
    convolution is slow there. A TPU computes the transposed convolution itself, since
    interleaving would copy the largest arrays of a codec (`benchmarks/tpu_aot.py`).
    All have the same parameters: the kernel of the transposed convolution, and a bias.

    Args:
      inputs: Channels of the input.
      outputs: Channels of the output.
      half_resolution: Whether the input, of even height and width, or the output has
        half of the resolution of an image.
      rngs: Source of the initial kernel.

    References:
      Shi et al., "Is the deconvolution layer the same as a convolutional layer?", 2016,
      https://arxiv.org/abs/1609.07009.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        *,
        half_resolution: End | None = None,
        rngs: nnx.Rngs,
    ):
        kernel = _initial_kernel(rngs, (5, 5, inputs, outputs), phases=4.0)
        self.kernel = nnx.Param(kernel)
        self.bias = nnx.Param(jnp.zeros(outputs))
        self.half_resolution: End | None = half_resolution

    def __call__(self, x: Float[Array, "b h w i"]) -> Float[Array, "b 2*h 2*w o"]:
        """Doubles the resolution.

        Input `[p, q]` contributes to outputs `[2p - 2 : 2p + 3, 2q - 2 : 2q + 3]`.
        """

        def plain(x: Array, kernel: Array, bias: Array) -> Array:
            forms = {
                "polyphase": polyphase_upsampling,
                "separate": separate_upsampling,
                "transposed": transposed_upsampling,
            }
            out = implementations.choose("upsampling", forms, x, kernel)
            return ops.add_bias(out, bias)

        def over_phases(x: Array, kernel: Array, bias: Array) -> Array:
            inputs = 2 if self.half_resolution == "input" else 1
            return upsample_over_phases(x, kernel, bias, inputs=inputs)

        return _choose_form(self, x, plain, over_phases)


class Pointwise(nnx.Module):
    """1x1 convolution, computed as a matrix product.

    XLA's gradient of a 1x1 convolution is slow on a CPU.

    Args:
      inputs: Channels of the input.
      outputs: Channels of the output.
      stride: Input positions from one output to the next.
      bias: Whether the layer has a bias.
      rngs: Source of the initial kernel.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        *,
        stride: int = 1,
        bias: bool = True,
        rngs: nnx.Rngs,
    ):
        self.kernel = nnx.Param(_initial_kernel(rngs, (inputs, outputs)))
        self.bias = nnx.Param(jnp.zeros(outputs)) if bias else None
        self.stride = stride

    def __call__(self, x: Float[Array, "*b i"]) -> Float[Array, "*b2 o"]:
        """Maps the channels of each position; with a stride, `x` must have rows."""
        if self.stride > 1:
            x = x[..., :: self.stride, :: self.stride, :]
        x = jnp.matmul(x, self.kernel[...].astype(x.dtype))
        return x if self.bias is None else ops.add_bias(x, self.bias[...])


class MaskedConvolution(nnx.Module):
    """5x5 convolution with a kernel that is masked to the given taps.

    The kernel holds all 25 taps, as in CompressAI. Masked taps keep their initial
    values and have no effect.

    Args:
      inputs: Channels of the input.
      outputs: Channels of the output.
      taps: Row and column, relative to the output, of each input that is used.
      rngs: Source of the initial kernel.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        *,
        taps: tuple[tuple[int, int], ...],
        rngs: nnx.Rngs,
    ):
        phases = 25 / len(taps)
        kernel = _initial_kernel(rngs, (5, 5, inputs, outputs), phases=phases)
        self.kernel = nnx.Param(kernel)
        self.bias = nnx.Param(jnp.zeros(outputs))
        self.taps = taps

    def __call__(self, x: Float[Array, "b h w i"]) -> Float[Array, "b h w o"]:
        """Computes the output at all positions at once."""
        rows, columns = tap_index(self.taps)
        kernel = self.kernel[...].astype(x.dtype)
        masked = jnp.zeros_like(kernel).at[rows, columns].set(kernel[rows, columns])
        return ops.add_bias(ops.convolve(valid_region.mask(x), masked), self.bias[...])

    def at_positions(
        self, neighbors: Float[Array, "*n taps i"]
    ) -> Float[Array, "*n o"]:
        """Computes outputs at selected positions from the input values at the taps."""
        kernel = self.kernel[...].astype(neighbors.dtype)[tap_index(self.taps)]
        out = jnp.einsum("...ti,tio->...o", neighbors, kernel)
        return ops.add_bias(out, self.bias[...])


def tap_index(
    taps: tuple[tuple[int, int], ...],
) -> tuple[Int[np.ndarray, " n"], Int[np.ndarray, " n"]]:
    """Returns the rows and columns of taps in a 5x5 kernel, whose center is [2, 2]."""
    rows, columns = np.array(taps).T + 2
    return rows, columns


def channel_product(
    x: Float[Array, "b h w i"], kernel: Float[Array, "i o"]
) -> Float[Array, "b h w o"]:
    """Multiplies the channels of each position by a matrix.

    This is a matrix product on most platforms, since XLA's gradient of a 1x1
    convolution is slow on a CPU. On a TPU it is a 1x1 convolution: a matrix product
    would need another memory layout than the convolutions around it, and copy the
    largest arrays of a codec.
    """
    return implementations.choose(
        "channel_product",
        {"matrix": jnp.matmul, "convolution": pointwise_convolution},
        x,
        kernel,
    )


def pointwise_convolution(
    x: Float[Array, "b h w i"], kernel: Float[Array, "i o"]
) -> Float[Array, "b h w o"]:
    """Computes `channel_product` as a 1x1 convolution."""
    return ops.convolve(x, kernel[None, None])


def transposed_upsampling(
    x: Float[Array, "b h w i"], kernel: Float[Array, "5 5 i o"]
) -> Float[Array, "b 2*h 2*w o"]:
    """Computes a transposed convolution at stride 2 by dilating the input."""
    return dilated_convolution(x, kernel[::-1, ::-1], margin=(2, 3))


def dilated_convolution(
    x: Float[Array, "b h w i"],
    kernel: Float[Array, "size size i o"],
    *,
    margin: tuple[int, int],
) -> Float[Array, "b h2 w2 o"]:
    """Inserts a zero between neighboring positions of an input, then convolves it.

    Args:
      x: Input.
      kernel: Kernel of the convolution.
      margin: Zeros to add before and after each dilated side.
    """
    return ops.convolve(x, kernel, padding=[margin, margin], dilation=(2, 2))


def _choose_form(
    layer: Convolution | Upsampling,
    x: Float[Array, "b h w i"],
    plain: Callable[[Array, Array, Array], Array],
    over_phases: Callable[[Array, Array, Array], Array],
) -> Float[Array, "b h2 w2 o"]:
    """Computes a layer from its masked input, kernel and bias, over phases or not."""
    return implementations.choose_phases(
        plain,
        over_phases,
        valid_region.mask(x),
        layer.kernel[...].astype(x.dtype),
        layer.bias[...].astype(x.dtype),
        half_resolution=layer.half_resolution is not None,
    )


def _initial_kernel(
    rngs: nnx.Rngs, shape: tuple[int, ...], *, phases: float = 1.0
) -> Array:
    """Samples a kernel that keeps the variance if outputs use 1/`phases` of taps."""
    limit = (3 * phases / math.prod(shape[:-1])) ** 0.5

    def sample(shape: tuple[int]) -> Array:
        return jax.random.uniform(rngs.params(), shape, minval=-limit, maxval=limit)

    return ops.sample_flat(sample, shape)
