import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from support.reference_layers import (
    check_dtypes,
    convolved,
    doubled,
    inputs,
    mapped,
    normalized,
    randomize,
    rectified,
)

from jaxcorr.layers.residual import (
    AttentionBlock,
    ResidualBlock,
    ResidualDownsampling,
    ResidualUpsampling,
)

SLOPE = 0.01


def residual(x, block):
    hidden = rectified(convolved(x, block.first), SLOPE)
    return x + rectified(convolved(hidden, block.second), SLOPE)


def down(x, block):
    hidden = convolved(rectified(convolved(x, block.first), SLOPE), block.second)
    skip = mapped(x[:, ::2, ::2], block.skip)
    return normalized(hidden, block.normalization, False) + skip


def up(x, block):
    hidden = convolved(rectified(doubled(x, block.first), SLOPE), block.second)
    return normalized(hidden, block.normalization, True) + doubled(x, block.skip)


def attended(x, block):
    branch = gate = x
    for index in range(3):
        branch = bottleneck(branch, block.branch.layers[index])
        gate = bottleneck(gate, block.gate.layers[index])
    gate = mapped(gate, block.gate.layers[3])
    return x + branch / (1 + np.exp(-gate))


def bottleneck(x, unit):
    hidden = rectified(convolved(rectified(mapped(x, unit.first)), unit.second))
    return rectified(x + mapped(hidden, unit.third))


BLOCKS = {
    "residual block": (lambda: ResidualBlock(4, rngs=nnx.Rngs(0)), residual),
    "downsampling": (lambda: ResidualDownsampling(4, 6, rngs=nnx.Rngs(0)), down),
    "upsampling": (lambda: ResidualUpsampling(4, 3, rngs=nnx.Rngs(0)), up),
    "attention": (lambda: AttentionBlock(4, rngs=nnx.Rngs(0)), attended),
}


@pytest.mark.parametrize("shape", [(2, 3, 4, 4), (1, 1, 1, 4)])
@pytest.mark.parametrize("name", BLOCKS)
def test_blocks_are_their_definitions_in_the_dtype_of_their_input(name, shape):
    make, by_definition = BLOCKS[name]
    block, x = randomize(make(), reach=0.5), inputs(*shape)
    check_dtypes(block, x, by_definition(x, block))


@pytest.mark.fast
def test_a_shut_gate_leaves_the_input_and_an_open_one_adds_the_branch():
    block = randomize(AttentionBlock(4, rngs=nnx.Rngs(0)), reach=0.5)
    last, x = block.gate.layers[3], jnp.asarray(inputs(1, 3, 3, 4))
    last.bias[...] = jnp.full(4, -1e3)
    np.testing.assert_array_equal(block(x), x)
    last.bias[...] = jnp.full(4, 1e3)
    branch = block(x) - x
    np.testing.assert_allclose(branch, block.branch(x), rtol=1e-5, atol=1e-5)
    assert jnp.abs(branch).max() > 0.1
