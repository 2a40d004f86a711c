"""Convolutions over phases: each 2x2 square of positions is one position of an array.

The four phases are four groups of channels. Layers in a row that compute over phases
need no copy in between, since `space_to_depth` undoes `depth_to_space`.
"""

from typing import Literal

import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxcorr import ops

SEPARATE_OUTPUTS = 32
"""Fewest outputs that are computed apart: on two CPU cores, 64 outputs take half to
three quarters of the time, and 3 outputs twice as long."""


def polyphase_upsampling(
    x: Float[Array, "b h w i"], kernel: Float[Array, "5 5 i o"]
) -> Float[Array, "b 2*h 2*w o"]:
    """Computes a transposed convolution at stride 2 by phases at the low resolution."""
    return depth_to_space(ops.convolve(x, polyphase_kernel(kernel)))


def separate_upsampling(
    x: Float[Array, "b h w i"], kernel: Float[Array, "5 5 i o"]
) -> Float[Array, "b 2*h 2*w o"]:
    """Computes a transposed convolution at stride 2 as a convolution for each phase.

    The kernels have 3x3, 3x2, 2x3 and 2x2 taps. Those of `polyphase_upsampling` have
    3x3 each, of which 11 of 36 are zeros. With few outputs, or in float64, which files
    are coded in, it is `polyphase_upsampling` itself.
    """
    if kernel.shape[-1] < SEPARATE_OUTPUTS or x.dtype == jnp.float64:
        return polyphase_upsampling(x, kernel)
    taps = kernel[::-1, ::-1]
    rows = [
        jnp.stack(
            [
                ops.convolve(
                    x,
                    taps[row::2, column::2],
                    padding=[(1 - row, 1), (1 - column, 1)],
                )
                for column in (0, 1)
            ],
            axis=3,
        )
        for row in (0, 1)
    ]
    phases = jnp.stack(rows, axis=2)
    batch, height, _, width, _, channels = phases.shape
    return phases.reshape(batch, 2 * height, 2 * width, channels)


def polyphase_kernel(
    kernel: Float[Array, "5 5 i o"],
) -> Float[Array, "3 3 i 4*o"]:
    """Splits the kernel of a transposed convolution into one kernel per phase.

    Output `2q + r` of a transposed convolution with padding 2 is the sum of the inputs
    `q + d`, for d = -1, 0, 1, times tap `r + 2 - 2d`. Tap 5 does not exist, so it is 0.
    """
    inputs, outputs = kernel.shape[2:]
    even = jnp.pad(kernel, [(0, 1), (0, 1), (0, 0), (0, 0)])
    taps = even.reshape(3, 2, 3, 2, inputs, outputs)[::-1, :, ::-1]
    return taps.transpose(0, 2, 4, 1, 3, 5).reshape(3, 3, inputs, 4 * outputs)


def convolve_over_phases(
    x: Float[Array, "b h w i"],
    kernel: Float[Array, "size size i o"],
    bias: Float[Array, " o"],
    *,
    stride: int = 1,
    inputs: Literal[1, 2] = 1,
    outputs: Literal[1, 2] = 1,
) -> Float[Array, "b h2 w2 o"]:
    """Computes a zero-padded convolution between phases of its input and output.

    Args:
      x: Input, of even height and width.
      kernel: Kernel of the convolution; its side is odd.
      bias: Bias of the outputs.
      stride: Input positions from one output to the next.
      inputs: Phases of the input in each direction.
      outputs: Phases of the output in each direction.
    """
    wide = _kernel_over_phases(kernel, stride, inputs, outputs)
    y = _convolve_phases(x, wide, kernel.shape[0], stride, inputs, outputs)
    y = ops.add_bias(y, jnp.tile(bias, outputs**2))
    return depth_to_space(y) if outputs == 2 else y


def upsample_over_phases(
    x: Float[Array, "b h w i"],
    kernel: Float[Array, "5 5 i o"],
    bias: Float[Array, " o"],
    *,
    inputs: Literal[1, 2] = 1,
) -> Float[Array, "b 2*h 2*w o"]:
    """Computes a transposed convolution at stride 2 from phases of its input.

    Args:
      x: Input, of even height and width.
      kernel: Kernel of the transposed convolution.
      bias: Bias of the outputs.
      inputs: Phases of the input in each direction. The output has twice as many, which
        are moved to their positions at once: the compiler for TPUs copies twice
        otherwise.
    """
    taps = polyphase_kernel(kernel)
    wide = _kernel_over_phases(taps, 1, inputs, inputs)
    # Each input phase has two output phases: they belong side by side.
    split = wide.reshape(*wide.shape[:3], inputs, inputs, 2, 2, -1)
    ordered = split.transpose(0, 1, 2, 3, 5, 4, 6, 7).reshape(wide.shape)
    y = _convolve_phases(x, ordered, taps.shape[0], 1, inputs, inputs)
    y = ops.add_bias(y, jnp.tile(bias, (2 * inputs) ** 2))
    return depth_to_space(y, 2 * inputs)


def _convolve_phases(
    x: Float[Array, "b h w i"],
    wide: Float[Array, "size2 size2 i2 o2"],
    size: int,
    stride: int,
    inputs: int,
    outputs: int,
) -> Float[Array, "b h2 w2 o2"]:
    """Computes phases of the output by a kernel of `_kernel_over_phases`."""
    x = space_to_depth(x) if inputs == 2 else x
    before = -(-(size // 2) // inputs)
    step = stride * outputs // inputs
    after = wide.shape[0] - before - step
    return ops.convolve(x, wide, stride=step, padding=[(before, after)] * 2)


def _kernel_over_phases(
    kernel: Float[Array, "size size i o"], stride: int, inputs: int, outputs: int
) -> Float[Array, "size2 size2 i2 o2"]:
    """Returns the kernel between phases, which is zero where `kernel` has no tap.

    Output phase `r` sees inputs that lie `stride * r` positions after those of output
    phase 0. Zeros before the first tap let it begin with input phase 0.
    """
    size, _, channels, features = kernel.shape
    first = -(size // 2) % inputs
    length = ops.round_up(first + size + stride * (outputs - 1), inputs)

    def shifted(row: int, column: int) -> Array:
        starts = (first + stride * row, first + stride * column)
        margins = [(start, length - size - start) for start in starts]
        return jnp.pad(kernel, [*margins, (0, 0), (0, 0)])

    phases = range(outputs)
    kernels = jnp.stack([shifted(r, c) for r in phases for c in phases])
    taps = length // inputs
    split = kernels.reshape(-1, taps, inputs, taps, inputs, channels, features)
    return split.transpose(1, 3, 2, 4, 5, 0, 6).reshape(
        taps, taps, inputs**2 * channels, outputs**2 * features
    )


def depth_to_space(
    phases: Float[Array, "b h w c"], side: int = 2
) -> Float[Array, "b h2 w2 c2"]:
    """Moves groups of channels to a square of positions (pixel shuffle).

    Args:
      phases: Array with `side**2` groups of channels, in the order of the rows.
      side: Side of the square.
    """
    batch, height, width, channels = phases.shape
    each = channels // side**2
    split = phases.reshape(batch, height, width, side, side, each)
    return split.transpose(0, 1, 3, 2, 4, 5).reshape(
        batch, side * height, side * width, each
    )


def space_to_depth(
    x: Float[Array, "b h w c"],
) -> Float[Array, "b h//2 w//2 4*c"]:
    """Moves the positions of each 2x2 square to channels; inverts `depth_to_space`."""
    batch, height, width, channels = x.shape
    split = x.reshape(batch, height // 2, 2, width // 2, 2, channels)
    return split.transpose(0, 1, 3, 2, 4, 5).reshape(
        batch, height // 2, width // 2, 4 * channels
    )
