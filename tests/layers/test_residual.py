"""Residual and attention blocks against their definitions in NumPy."""

import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from support.reference_layers import (
    apply_convolution,
    apply_gdn,
    apply_pointwise,
    apply_sub_pixel,
    check_dtypes,
    inputs,
    randomize,
    relu,
)

from jaxcorr.layers.residual import (
    AttentionBlock,
    ResidualBlock,
    ResidualDownsampling,
    ResidualUpsampling,
)

SLOPE = 0.01


def residual(x, block):
    hidden = relu(apply_convolution(x, block.first), SLOPE)
    return x + relu(apply_convolution(hidden, block.second), SLOPE)


def down(x, block):
    hidden = relu(apply_convolution(x, block.first), SLOPE)
    hidden = apply_convolution(hidden, block.second)
    skip = apply_pointwise(x[:, ::2, ::2], block.skip)
    return apply_gdn(hidden, block.normalization, False) + skip


def up(x, block):
    hidden = relu(apply_sub_pixel(x, block.first), SLOPE)
    hidden = apply_convolution(hidden, block.second)
    return apply_gdn(hidden, block.normalization, True) + apply_sub_pixel(x, block.skip)


def attention(x, block):
    branch = gate = x
    for index in range(3):
        branch = bottleneck(branch, block.branch.layers[index])
        gate = bottleneck(gate, block.gate.layers[index])
    gate = apply_pointwise(gate, block.gate.layers[3])
    return x + branch / (1 + np.exp(-gate))


def bottleneck(x, unit):
    hidden = relu(apply_convolution(relu(apply_pointwise(x, unit.first)), unit.second))
    return relu(x + apply_pointwise(hidden, unit.third))


BLOCKS = {
    "residual block": (lambda: ResidualBlock(4, rngs=nnx.Rngs(0)), residual),
    "downsampling": (lambda: ResidualDownsampling(4, 6, rngs=nnx.Rngs(0)), down),
    "upsampling": (lambda: ResidualUpsampling(4, 3, rngs=nnx.Rngs(0)), up),
    "attention": (lambda: AttentionBlock(4, rngs=nnx.Rngs(0)), attention),
}
"""Constructor and definition of each block."""


@pytest.mark.parametrize("shape", [(2, 3, 4, 4), (1, 1, 1, 4)])
@pytest.mark.parametrize("name", BLOCKS)
def test_blocks_equal_their_definitions_in_the_dtype_of_their_input(name, shape):
    make, definition = BLOCKS[name]
    block, x = randomize(make(), reach=0.5), inputs(*shape)
    check_dtypes(block, x, definition(x, block))


@pytest.mark.fast
def test_closed_gate_returns_the_input_and_open_gate_adds_the_branch():
    block = randomize(AttentionBlock(4, rngs=nnx.Rngs(0)), reach=0.5)
    last, x = block.gate.layers[3], jnp.asarray(inputs(1, 3, 3, 4))
    last.bias[...] = jnp.full(4, -1e3)
    np.testing.assert_array_equal(block(x), x)
    last.bias[...] = jnp.full(4, 1e3)
    branch = block(x) - x
    np.testing.assert_allclose(branch, block.branch(x), rtol=1e-5, atol=1e-5)
    assert jnp.abs(branch).max() > 0.1
