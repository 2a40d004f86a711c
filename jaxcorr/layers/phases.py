"""Transposed 5x5 convolution at stride 2 by the four phases of its output."""

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


def depth_to_space(
    phases: Float[Array, "b h w c"],
) -> Float[Array, "b 2*h 2*w c//4"]:
    """Moves four groups of channels to a 2x2 square of positions (pixel shuffle)."""
    batch, height, width, channels = phases.shape
    split = phases.reshape(batch, height, width, 2, 2, channels // 4)
    return split.transpose(0, 1, 3, 2, 4, 5).reshape(
        batch, 2 * height, 2 * width, channels // 4
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
