import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from support.reference_layers import biased, check_dtypes, inputs, randomize

from jaxcorr.context.autoregressive import CAUSAL_TAPS
from jaxcorr.context.checkerboard import ODD_TAPS
from jaxcorr.layers.convolution import MaskedConvolution

TAPS = {"causal": CAUSAL_TAPS, "odd": ODD_TAPS, "one": ((-2, 1),)}


def make(taps):
    return randomize(MaskedConvolution(3, 4, taps=taps, rngs=nnx.Rngs(0)))


def masked(x, layer):
    """Sum over the taps, each of which sees zeros beyond the border."""
    x, kernel = x.astype(np.float64), np.asarray(layer.kernel, np.float64)
    batch, height, width, _ = x.shape
    out = np.zeros((batch, height, width, kernel.shape[-1]))
    for b, i, j in np.ndindex(batch, height, width):
        for row, column in layer.taps:
            p, q = i + row, j + column
            if 0 <= p < height and 0 <= q < width:
                out[b, i, j] += x[b, p, q] @ kernel[2 + row, 2 + column]
    return biased(out, layer)


@pytest.mark.parametrize("shape", [(2, 5, 7, 3), (1, 1, 3, 3)])
@pytest.mark.parametrize("taps", TAPS)
def test_a_masked_convolution_sees_its_taps_alone(taps, shape):
    layer, x = make(TAPS[taps]), inputs(*shape)
    check_dtypes(layer, x, masked(x, layer))


@pytest.mark.fast
@pytest.mark.parametrize("taps", TAPS)
def test_single_positions_get_what_the_whole_convolution_gives_them(taps):
    layer, x = make(TAPS[taps]), inputs(1, 4, 6, 3)
    padded = np.pad(x[0], [(2, 2), (2, 2), (0, 0)])
    row, column = np.mgrid[:4, :6].reshape(2, -1, 1)
    down, right = np.array(TAPS[taps]).T + 2
    seen = padded[row + down, column + right]
    check_dtypes(layer.of_neighbors, seen, masked(x, layer).reshape(24, 4))


@pytest.mark.fast
def test_taps_outside_the_mask_have_no_effect_and_no_gradient():
    layer = make(CAUSAL_TAPS)
    graph, state = nnx.split(layer)
    x = jnp.asarray(inputs(1, 5, 5, 3))
    gradient = jax.grad(lambda state: jnp.sum(nnx.merge(graph, state)(x) ** 2))(state)
    moved = np.any(np.asarray(gradient["kernel"][...]) != 0, axis=(2, 3))
    expected = np.zeros((5, 5), bool)
    for row, column in CAUSAL_TAPS:
        expected[2 + row, 2 + column] = True
    np.testing.assert_array_equal(moved, expected)


@pytest.mark.fast
def test_there_are_twelve_causal_and_twelve_odd_taps():
    order = lambda tap: 5 * tap[0] + tap[1]
    assert len(set(CAUSAL_TAPS)) == 12 and len(set(ODD_TAPS)) == 12
    assert all(order(tap) < 0 and max(map(abs, tap)) <= 2 for tap in CAUSAL_TAPS)
    assert all(sum(tap) % 2 and max(map(abs, tap)) <= 2 for tap in ODD_TAPS)


def test_initial_kernels_keep_the_variance():
    layer = MaskedConvolution(64, 64, taps=CAUSAL_TAPS, rngs=nnx.Rngs(0))
    variance = layer(jnp.asarray(inputs(1, 24, 24, 64)))[:, 4:-4, 4:-4].var()
    assert abs(variance - 1) < 0.1
