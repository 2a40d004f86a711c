"""Swin transformer blocks, and the layers that change the resolution between them.

References:
  Liu et al., "Swin Transformer: Hierarchical Vision Transformer using Shifted Windows",
  ICCV 2021, https://arxiv.org/abs/2103.14030.
  Zhu et al., "Transformer-Based Transform Coding", ICLR 2022, appendix A,
  https://openreview.net/forum?id=IDwN6xjHnK8.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Bool, Float, Int

from jaxcorr import compatibility, ops
from jaxcorr.layers import valid_region
from jaxcorr.layers.convolution import Pointwise
from jaxcorr.layers.phases import depth_to_space, space_to_depth

EPSILON = 1e-5
"""Offset of the variance in a layer norm."""
MLP_RATIO = 4
"""Hidden width of the MLP of a block, per channel."""
INITIAL_DEVIATION = 0.02
"""Standard deviation of the initial kernels and position biases of a block, before
truncation at two deviations, as in Liu et al."""


class LayerNorm(nnx.Module):
    """Normalizes the channels of each position, then applies a learned scale and bias.

    Args:
      channels: Channels of the input and the output.
    """

    def __init__(self, channels: int):
        self.gain = nnx.Param(jnp.ones(channels))
        self.bias = nnx.Param(jnp.zeros(channels))

    def __call__(self, x: Float[Array, "*b c"]) -> Float[Array, "*b c"]:
        """Normalizes in float32, or in the dtype of the input if that is wider."""
        wide = x.astype(jnp.promote_types(x.dtype, jnp.float32))
        centered = wide - jnp.mean(wide, axis=-1, keepdims=True)
        variance = jnp.mean(centered**2, axis=-1, keepdims=True)
        normalized = centered * jax.lax.rsqrt(variance + EPSILON)
        gain, bias = (
            jnp.expand_dims(parameter[...].astype(wide.dtype), range(x.ndim - 1))
            for parameter in (self.gain, self.bias)
        )
        return (normalized * gain + bias).astype(x.dtype)


class SwinBlock(nnx.Module):
    """Attention within windows, then an MLP, each with a residual connection.

    The windows of every second block are shifted by half a window. Grids of any size
    are allowed: windows at the border are padded, and the padding is masked, so that
    each position attends only to positions of the grid. Windows at opposite borders are
    not merged. This equals the cyclic shift with masks of Liu et al.

    Args:
      channels: Channels of the input and the output.
      heads: Number of attention heads; divides `channels`.
      window: Side of a window, in positions; even.
      shifted: Whether the first window starts half a window before the grid.
      rngs: Source of the initial parameters.
    """

    def __init__(
        self,
        channels: int,
        *,
        heads: int,
        window: int,
        shifted: bool,
        rngs: nnx.Rngs,
    ):
        hidden = MLP_RATIO * channels
        relative_positions = (2 * window - 1) ** 2
        self.attention_norm = LayerNorm(channels)
        self.query_key_value = _linear(channels, 3 * channels, rngs)
        position_bias = _truncated_normal(rngs, (relative_positions, heads))
        self.position_bias = nnx.Param(position_bias)
        self.projection = _linear(channels, channels, rngs)
        self.perceptron_norm = LayerNorm(channels)
        self.perceptron = compatibility.Sequential(
            _linear(channels, hidden, rngs), _gelu, _linear(hidden, channels, rngs)
        )
        self.heads = heads
        self.window = window
        self.shift = window // 2 if shifted else 0

    def __call__(self, x: Float[Array, "b h w c"]) -> Float[Array, "b h w c"]:
        """Keeps the resolution and the number of channels."""
        height, width = x.shape[1:3]
        windows = self._split(valid_region.mask(self.attention_norm(x)))
        inside = _inside_grid(height, width, self.window, self.shift)
        x = x + self._join(self._attend(windows, inside), height, width)
        return x + self.perceptron(self.perceptron_norm(x))

    def _split(self, x: Float[Array, "b h w c"]) -> Float[Array, "b n p c"]:
        """Splits a grid into windows, padded with zeros at the border."""
        batch, height, width, channels = x.shape
        padding = [_padding(side, self.window, self.shift) for side in (height, width)]
        x = jnp.pad(x, [(0, 0), *padding, (0, 0)])
        side = self.window
        rows, columns = x.shape[1] // side, x.shape[2] // side
        x = x.reshape(batch, rows, side, columns, side, channels)
        return x.transpose(0, 1, 3, 2, 4, 5).reshape(
            batch, rows * columns, side**2, channels
        )

    def _join(
        self, windows: Float[Array, "b n p c"], height: int, width: int
    ) -> Float[Array, "b height width c"]:
        """Inverts `_split`."""
        batch, _, _, channels = windows.shape
        side, shift = self.window, self.shift
        rows, columns = (-(-(length + shift) // side) for length in (height, width))
        x = windows.reshape(batch, rows, columns, side, side, channels)
        x = x.transpose(0, 1, 3, 2, 4, 5)
        x = x.reshape(batch, rows * side, columns * side, channels)
        return x[:, shift : shift + height, shift : shift + width]

    def _attend(
        self, x: Float[Array, "b n p c"], inside: Bool[Array, "#b n p"] | None
    ) -> Float[Array, "b n p c"]:
        """Computes multi-head attention within each window, to positions inside."""
        channels = x.shape[-1]
        query, key, value = (
            part.reshape(*x.shape[:-1], self.heads, channels // self.heads)
            for part in _split_linear(self.query_key_value, x)
        )
        logits = jnp.einsum("bnqhd,bnkhd->bnhqk", query, key)
        wide = jnp.promote_types(x.dtype, jnp.float32)
        logits = logits.astype(wide) * (channels // self.heads) ** -0.5
        bias = self.position_bias[...].astype(wide)[_relative_positions(self.window)]
        logits = logits + jnp.moveaxis(bias, -1, 0)[None, None]
        if inside is not None:
            keys_inside = inside[:, :, None, None, :]
            logits = jnp.where(keys_inside, logits, jnp.finfo(wide).min)
        weights = jax.nn.softmax(logits, axis=-1).astype(x.dtype)
        mixed = jnp.einsum("bnhqk,bnkhd->bnqhd", weights, value)
        return self.projection(mixed.reshape(x.shape))


def _split_linear(
    linear: Pointwise, x: Float[Array, "*b c"]
) -> list[Float[Array, "*b c"]]:
    """Computes the output of a linear map to 3 c channels in three parts.

    Each part is a separate matrix product, because a TPU would copy one large output,
    and its gradient, to split it.
    """
    assert linear.bias is not None
    shape = (1,) * (x.ndim - 1) + (-1,)
    kernels = jnp.split(linear.kernel[...].astype(x.dtype), 3, axis=-1)
    biases = jnp.split(linear.bias[...].astype(x.dtype).reshape(shape), 3, axis=-1)
    return [
        jnp.matmul(x, kernel) + bias
        for kernel, bias in zip(kernels, biases, strict=True)
    ]


class PatchEmbedding(nnx.Module):
    """Maps each 2x2 square to one position, as a 2x2 convolution at stride 2.

    Args:
      inputs: Channels of the input.
      outputs: Channels of the output.
      rngs: Source of the initial parameters.
    """

    def __init__(self, inputs: int, outputs: int, *, rngs: nnx.Rngs):
        self.linear = Pointwise(4 * inputs, outputs, rngs=rngs)

    def __call__(self, x: Float[Array, "b h w i"]) -> Float[Array, "b h//2 w//2 o"]:
        """Halves the resolution."""
        return self.linear(space_to_depth(x))


class PatchMerging(nnx.Module):
    """Normalizes each 2x2 square, then maps it to one position.

    Args:
      inputs: Channels of the input.
      outputs: Channels of the output.
      rngs: Source of the initial parameters.
    """

    def __init__(self, inputs: int, outputs: int, *, rngs: nnx.Rngs):
        self.norm = LayerNorm(4 * inputs)
        self.linear = Pointwise(4 * inputs, outputs, bias=False, rngs=rngs)

    def __call__(self, x: Float[Array, "b h w i"]) -> Float[Array, "b h//2 w//2 o"]:
        """Halves the resolution."""
        return self.linear(self.norm(space_to_depth(x)))


class PatchSplitting(nnx.Module):
    """Maps each position to a 2x2 square, then normalizes the square.

    This is the order of Zhu et al.; some other implementations normalize first.

    Args:
      inputs: Channels of the input.
      outputs: Channels of the output.
      rngs: Source of the initial parameters.
    """

    def __init__(self, inputs: int, outputs: int, *, rngs: nnx.Rngs):
        self.linear = Pointwise(inputs, 4 * outputs, bias=False, rngs=rngs)
        self.norm = LayerNorm(4 * outputs)

    def __call__(self, x: Float[Array, "b h w i"]) -> Float[Array, "b 2*h 2*w o"]:
        """Doubles the resolution."""
        return depth_to_space(self.norm(self.linear(x)))


class PatchUnpacking(nnx.Module):
    """Maps each position to a 2x2 square, without a norm that would limit the output.

    Args:
      inputs: Channels of the input.
      outputs: Channels of the output.
      rngs: Source of the initial parameters.
    """

    def __init__(self, inputs: int, outputs: int, *, rngs: nnx.Rngs):
        self.linear = Pointwise(inputs, 4 * outputs, rngs=rngs)

    def __call__(self, x: Float[Array, "b h w i"]) -> Float[Array, "b 2*h 2*w o"]:
        """Doubles the resolution."""
        return depth_to_space(self.linear(x))


def _padding(length: int, window: int, shift: int) -> tuple[int, int]:
    """Returns the positions to add before and after a side to complete its windows."""
    return shift, ops.round_up(length + shift, window) - length - shift


def _inside_grid(
    height: int, width: int, window: int, shift: int
) -> Bool[Array, "#b n p"] | None:
    """Returns which positions of each window lie on the grid, or None if all do.

    With a valid region, these are the positions in the region.

    None lets a program skip the mask. A side of symbolic size, as in an export, never
    skips it: its padding may be 0 for some sizes, but one program serves all sizes, and
    the comparison of a symbolic padding with 0 is False.
    """
    padding = [_padding(side, window, shift) for side in (height, width)]
    region = valid_region.current()
    if region is None and all(n == 0 for pair in padding for n in pair):
        return None
    ends: Any = height, width
    if region is not None:
        ends = [end[:, None] for end in region.sides(height, width)]
    inside = []
    for side, end, (before, after) in zip((height, width), ends, padding, strict=True):
        position = jnp.arange(before + side + after)[None] - before
        is_inside = (position >= 0) & (position < end)
        inside.append(is_inside.reshape(is_inside.shape[0], -1, window))
    mask = inside[0][:, :, None, :, None] & inside[1][:, None, :, None, :]
    return mask.reshape(mask.shape[0], -1, window**2)


def _relative_positions(window: int) -> Int[np.ndarray, "p p"]:
    """Returns the index of the position bias of each pair of positions of a window."""
    row, column = np.divmod(np.arange(window**2), window)
    rows = row[:, None] - row[None] + window - 1
    columns = column[:, None] - column[None] + window - 1
    return rows * (2 * window - 1) + columns


def _gelu(x: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    return jax.nn.gelu(x, approximate=False)


def _linear(inputs: int, outputs: int, rngs: nnx.Rngs) -> Pointwise:
    linear = Pointwise(inputs, outputs, rngs=rngs)
    linear.kernel[...] = _truncated_normal(rngs, (inputs, outputs))
    return linear


def _truncated_normal(rngs: nnx.Rngs, shape: tuple[int, ...]) -> Array:
    def sample(shape: tuple[int]) -> Array:
        return jax.random.truncated_normal(rngs.params(), -2, 2, shape)

    return INITIAL_DEVIATION * ops.sample_flat(sample, shape)
