"""Transformer blocks in shifted windows, and the steps between resolutions.

References:
  Liu et al., "Swin Transformer: Hierarchical Vision Transformer using Shifted Windows",
  ICCV 2021, https://arxiv.org/abs/2103.14030.
  Zhu et al., "Transformer-Based Transform Coding", ICLR 2022, appendix A,
  https://openreview.net/forum?id=IDwN6xjHnK8.
"""

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Bool, Float, Int

from jaxcorr import ops
from jaxcorr.layers.convolution import Pointwise, depth_to_space, space_to_depth

EPSILON = 1e-5
"""Added to the variance that a layer norm divides by."""
MLP_RATIO = 4
"""Hidden channels of a block's perceptron, per channel."""
INITIAL_DEVIATION = 0.02
"""Of kernels and position biases within blocks, as in Liu et al."""


class LayerNorm(nnx.Module):
    """Brings the channels of every position to mean 0 and variance 1, then scales."""

    def __init__(self, channels: int):
        """Starts without a change of scale."""
        self.gain = nnx.Param(jnp.ones(channels))
        self.bias = nnx.Param(jnp.zeros(channels))

    def __call__(self, x: Float[Array, "*b c"]) -> Float[Array, "*b c"]:
        """Computes in float32 at least."""
        wide = x.astype(jnp.promote_types(x.dtype, jnp.float32))
        centered = wide - jnp.mean(wide, axis=-1, keepdims=True)
        variance = jnp.mean(centered**2, axis=-1, keepdims=True)
        normal = centered * jax.lax.rsqrt(variance + EPSILON)
        gain, bias = (
            jnp.expand_dims(parameter[...].astype(wide.dtype), range(x.ndim - 1))
            for parameter in (self.gain, self.bias)
        )
        return (normal * gain + bias).astype(x.dtype)


class SwinBlock(nnx.Module):
    """Attention within windows, then a perceptron, each beside the identity.

    The windows of every second block are shifted by half a window. Grids need not hold
    whole windows: what is missing at the border is filled up and masked, so a position
    attends to real positions only. Shifted windows at opposite borders are never
    merged; that is what the cyclic shift with masks of Liu et al. computes.
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
        """Initializes attention and perceptron.

        Args:
          channels: Channels of input and output.
          heads: Attention heads; divides `channels`.
          window: Side of a window, in positions; even.
          shifted: Whether windows begin half a window before the grid.
          rngs: Source of the initial parameters.
        """
        hidden = MLP_RATIO * channels
        pairs = (2 * window - 1) ** 2
        self.attention_norm = LayerNorm(channels)
        self.query_key_value = _linear(channels, 3 * channels, rngs)
        self.position_bias = nnx.Param(_normal(rngs, (pairs, heads)))
        self.projection = _linear(channels, channels, rngs)
        self.perceptron_norm = LayerNorm(channels)
        self.perceptron = nnx.Sequential(
            _linear(channels, hidden, rngs), _gelu, _linear(hidden, channels, rngs)
        )
        self.heads = heads
        self.window = window
        self.shift = window // 2 if shifted else 0

    def __call__(self, x: Float[Array, "b h w c"]) -> Float[Array, "b h w c"]:
        """Keeps resolution and channels."""
        height, width = x.shape[1:3]
        windows = self._split(self.attention_norm(x))
        attended = self._attend(windows, _real(height, width, self.window, self.shift))
        x = x + self._join(attended, height, width)
        return x + self.perceptron(self.perceptron_norm(x))

    def _split(self, x: Float[Array, "b h w c"]) -> Float[Array, "b n p c"]:
        """Windows of a grid, filled up with zeros at the border."""
        batch, height, width, channels = x.shape
        margins = [_margins(side, self.window, self.shift) for side in (height, width)]
        x = jnp.pad(x, [(0, 0), *margins, (0, 0)])
        side = self.window
        rows, columns = x.shape[1] // side, x.shape[2] // side
        x = x.reshape(batch, rows, side, columns, side, channels)
        return x.transpose(0, 1, 3, 2, 4, 5).reshape(
            batch, rows * columns, side**2, channels
        )

    def _join(
        self, windows: Float[Array, "b n p c"], height: int, width: int
    ) -> Float[Array, "b height width c"]:
        """The grid that `_split` took apart."""
        batch, _, _, channels = windows.shape
        side, shift = self.window, self.shift
        rows, columns = (-(-(length + shift) // side) for length in (height, width))
        x = windows.reshape(batch, rows, columns, side, side, channels)
        x = x.transpose(0, 1, 3, 2, 4, 5)
        x = x.reshape(batch, rows * side, columns * side, channels)
        return x[:, shift : shift + height, shift : shift + width]

    def _attend(
        self, x: Float[Array, "b n p c"], real: Bool[Array, "n p"] | None
    ) -> Float[Array, "b n p c"]:
        """Multi-head attention of the positions of a window to each other."""
        channels = x.shape[-1]
        query, key, value = (
            part.reshape(*x.shape[:-1], self.heads, channels // self.heads)
            for part in _thirds(self.query_key_value, x)
        )
        logits = jnp.einsum("bnqhd,bnkhd->bnhqk", query, key)
        wide = jnp.promote_types(x.dtype, jnp.float32)
        logits = logits.astype(wide) * (channels // self.heads) ** -0.5
        bias = self.position_bias[...].astype(wide)[_relative_positions(self.window)]
        logits = logits + jnp.moveaxis(bias, -1, 0)[None, None]
        if real is not None:
            seen = real[None, :, None, None, :]
            logits = jnp.where(seen, logits, jnp.finfo(wide).min)
        weights = jax.nn.softmax(logits, axis=-1).astype(x.dtype)
        mixed = jnp.einsum("bnhqk,bnkhd->bnqhd", weights, value)
        return self.projection(mixed.reshape(x.shape))


def _thirds(linear: Pointwise, x: Float[Array, "*b c"]) -> list[Float[Array, "*b c"]]:
    """The output of a map to three times the channels, taken apart.

    Each part is a product of its own: a TPU copies the whole of one large output to
    take it apart, and the gradient again.
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
    """Linear map of each 2x2 square to one position."""

    def __init__(self, inputs: int, outputs: int, *, rngs: nnx.Rngs):
        """Initializes the map, that of a 2x2 convolution at stride 2."""
        self.linear = Pointwise(4 * inputs, outputs, rngs=rngs)

    def __call__(self, x: Float[Array, "b h w i"]) -> Float[Array, "b h//2 w//2 o"]:
        """Halves the resolution."""
        return self.linear(space_to_depth(x))


class PatchMerging(nnx.Module):
    """Layer norm of each 2x2 square, then a linear map of it to one position."""

    def __init__(self, inputs: int, outputs: int, *, rngs: nnx.Rngs):
        """Initializes norm and map."""
        self.norm = LayerNorm(4 * inputs)
        self.linear = Pointwise(4 * inputs, outputs, bias=False, rngs=rngs)

    def __call__(self, x: Float[Array, "b h w i"]) -> Float[Array, "b h//2 w//2 o"]:
        """Halves the resolution."""
        return self.linear(self.norm(space_to_depth(x)))


class PatchSplitting(nnx.Module):
    """Linear map of each position to a 2x2 square, then its layer norm.

    In this order, as Zhu et al. write it; some ports normalize first.
    """

    def __init__(self, inputs: int, outputs: int, *, rngs: nnx.Rngs):
        """Initializes map and norm."""
        self.linear = Pointwise(inputs, 4 * outputs, bias=False, rngs=rngs)
        self.norm = LayerNorm(4 * outputs)

    def __call__(self, x: Float[Array, "b h w i"]) -> Float[Array, "b 2*h 2*w o"]:
        """Doubles the resolution."""
        return depth_to_space(self.norm(self.linear(x)))


class PatchUnpacking(nnx.Module):
    """Linear map of each position to a 2x2 square of values, which no norm confines."""

    def __init__(self, inputs: int, outputs: int, *, rngs: nnx.Rngs):
        """Initializes the map."""
        self.linear = Pointwise(inputs, 4 * outputs, rngs=rngs)

    def __call__(self, x: Float[Array, "b h w i"]) -> Float[Array, "b 2*h 2*w o"]:
        """Doubles the resolution."""
        return depth_to_space(self.linear(x))


def _margins(length: int, window: int, shift: int) -> tuple[int, int]:
    """Positions to add before and after a side to fill its windows."""
    return shift, ops.round_up(length + shift, window) - length - shift


def _real(
    height: int, width: int, window: int, shift: int
) -> Bool[Array, "n p"] | None:
    """Which positions of each window lie on the grid; None where all surely do."""
    margins = [_margins(side, window, shift) for side in (height, width)]
    # Of a side that is a symbol, as in an export, a margin may be 0, but not surely.
    if all(margin == 0 for pair in margins for margin in pair):
        return None
    inside = []
    for side, (before, after) in zip((height, width), margins, strict=True):
        place = jnp.arange(before + side + after) - before
        inside.append(((place >= 0) & (place < side)).reshape(-1, window))
    real = inside[0][:, None, :, None] & inside[1][None, :, None, :]
    return real.reshape(-1, window**2)


def _relative_positions(window: int) -> Int[np.ndarray, "p p"]:
    """Index of the position bias for each pair of positions of a window."""
    row, column = np.divmod(np.arange(window**2), window)
    rows = row[:, None] - row[None] + window - 1
    columns = column[:, None] - column[None] + window - 1
    return rows * (2 * window - 1) + columns


def _gelu(x: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    return jax.nn.gelu(x, approximate=False)


def _linear(inputs: int, outputs: int, rngs: nnx.Rngs) -> Pointwise:
    linear = Pointwise(inputs, outputs, rngs=rngs)
    linear.kernel[...] = _normal(rngs, (inputs, outputs))
    return linear


def _normal(rngs: nnx.Rngs, shape: tuple[int, ...]) -> Array:
    draw = lambda n: jax.random.truncated_normal(rngs.params(), -2, 2, n)
    return INITIAL_DEVIATION * ops.sample_flat(draw, shape)
