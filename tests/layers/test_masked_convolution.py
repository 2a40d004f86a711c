"""The masked convolution against its definition in NumPy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from support.reference_layers import add_bias, check_dtypes, inputs, randomize

from jaxcorr.context.autoregressive import CAUSAL_TAPS
from jaxcorr.context.checkerboard import ODD_TAPS
from jaxcorr.layers.convolution import MaskedConvolution

TAPS = {"causal": CAUSAL_TAPS, "odd": ODD_TAPS, "one": ((-2, 1),)}


def make_layer(taps):
    return randomize(MaskedConvolution(3, 4, taps=taps, rngs=nnx.Rngs(0)))


def apply_masked(x, layer):
    """Computes the sum over the taps, with zeros beyond the border."""
    x, kernel = x.astype(np.float64), np.asarray(layer.kernel, np.float64)
    batch, height, width, _ = x.shape
    out = np.zeros((batch, height, width, kernel.shape[-1]))
    for b, i, j in np.ndindex(batch, height, width):
        for row, column in layer.taps:
            p, q = i + row, j + column
            if 0 <= p < height and 0 <= q < width:
                out[b, i, j] += x[b, p, q] @ kernel[2 + row, 2 + column]
    return add_bias(out, layer)


@pytest.mark.parametrize("shape", [(2, 5, 7, 3), (1, 1, 3, 3)])
@pytest.mark.parametrize("taps", TAPS)
def test_masked_convolution_uses_only_its_taps(taps, shape):
    layer, x = make_layer(TAPS[taps]), inputs(*shape)
    check_dtypes(layer, x, apply_masked(x, layer))


@pytest.mark.fast
@pytest.mark.parametrize("taps", TAPS)
def test_output_at_single_positions_equals_that_of_the_full_convolution(taps):
    layer, x = make_layer(TAPS[taps]), inputs(1, 4, 6, 3)
    padded = np.pad(x[0], [(2, 2), (2, 2), (0, 0)])
    row, column = np.mgrid[:4, :6].reshape(2, -1, 1)
    row_offset, column_offset = np.array(TAPS[taps]).T + 2
    neighbors = padded[row + row_offset, column + column_offset]
    expected = apply_masked(x, layer).reshape(24, 4)
    check_dtypes(layer.at_positions, neighbors, expected)


@pytest.mark.fast
def test_taps_outside_the_mask_have_no_gradient():
    layer = make_layer(CAUSAL_TAPS)
    graph, state = nnx.split(layer)
    x = jnp.asarray(inputs(1, 5, 5, 3))
    gradient = jax.grad(lambda state: jnp.sum(nnx.merge(graph, state)(x) ** 2))(state)
    has_gradient = np.any(np.asarray(gradient["kernel"][...]) != 0, axis=(2, 3))
    expected = np.zeros((5, 5), bool)
    for row, column in CAUSAL_TAPS:
        expected[2 + row, 2 + column] = True
    np.testing.assert_array_equal(has_gradient, expected)


@pytest.mark.fast
def test_there_are_twelve_causal_and_twelve_odd_taps():
    assert len(set(CAUSAL_TAPS)) == 12 and len(set(ODD_TAPS)) == 12
    for row, column in CAUSAL_TAPS:
        assert 5 * row + column < 0 and max(abs(row), abs(column)) <= 2
    for row, column in ODD_TAPS:
        assert (row + column) % 2 and max(abs(row), abs(column)) <= 2


def test_initial_kernels_keep_the_variance():
    layer = MaskedConvolution(64, 64, taps=CAUSAL_TAPS, rngs=nnx.Rngs(0))
    variance = layer(jnp.asarray(inputs(1, 24, 24, 64)))[:, 4:-4, 4:-4].var()
    assert abs(variance - 1) < 0.1
