"""Layers give on a masked canvas what they give on an array of the valid size."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from jaxcorr.context.checkerboard import ODD_TAPS
from jaxcorr.layers import implementations, valid_region
from jaxcorr.layers.convolution import Convolution, MaskedConvolution, Upsampling
from jaxcorr.layers.implementations import Implementations
from jaxcorr.layers.subpixel import SubPixelUpsampling
from jaxcorr.layers.swin import SwinBlock
from jaxcorr.layers.valid_region import ValidRegion

pytestmark = pytest.mark.fast
CHANNELS = 4
SIZES = [(8, 12), (4, 8)]
"""Valid rows and columns of each image of a batch, of 16."""
LAYERS = {
    "convolution": lambda rngs: Convolution(CHANNELS, 3, size=5, rngs=rngs),
    "strided": lambda rngs: Convolution(CHANNELS, 3, size=5, stride=2, rngs=rngs),
    "upsampling": lambda rngs: Upsampling(CHANNELS, 3, rngs=rngs),
    "sub-pixels": lambda rngs: SubPixelUpsampling(CHANNELS, 3, rngs=rngs),
    "taps": lambda rngs: MaskedConvolution(CHANNELS, 3, taps=ODD_TAPS, rngs=rngs),
    "window": lambda rngs: SwinBlock(
        CHANNELS, heads=2, window=8, shifted=False, rngs=rngs
    ),
    "shifted window": lambda rngs: SwinBlock(
        CHANNELS, heads=2, window=8, shifted=True, rngs=rngs
    ),
}
TRANSPOSED = Implementations(upsampling="transposed", sub_pixels="transposed")


@pytest.fixture(params=LAYERS)
def layer(request):
    layer = LAYERS[request.param](nnx.Rngs(0))
    rng = np.random.default_rng(0)
    state = nnx.state(layer)
    leaves, tree = jax.tree.flatten(state)
    drawn = [jnp.asarray(rng.normal(size=x.shape) / 4, x.dtype) for x in leaves]
    nnx.update(layer, jax.tree.unflatten(tree, drawn))
    return layer


@pytest.fixture(params=[implementations.DEFAULT, TRANSPOSED])
def chosen(request):
    """The implementations of layers that have several."""
    with implementations.forced(request.param):
        yield


@jax.jit
def on_canvas(layer, x, rows, columns):
    with valid_region.masking(ValidRegion(rows=rows, columns=columns, canvas=(4, 4))):
        return layer(x)


def test_a_layer_does_not_see_beyond_the_valid_region(layer, chosen):
    x = jnp.asarray(np.random.default_rng(1).normal(size=(2, 16, 16, CHANNELS)))
    rows, columns = (jnp.array(sides) // 4 for sides in zip(*SIZES, strict=True))
    masked = on_canvas(layer, x, rows, columns)
    plain = jax.jit(lambda layer, x: layer(x))
    unmasked = plain(layer, x)
    for index, (height, width) in enumerate(SIZES):
        expected = plain(layer, x[index : index + 1, :height, :width])[0]
        inside = np.s_[index, : expected.shape[0], : expected.shape[1]]
        np.testing.assert_allclose(masked[inside], expected, rtol=0, atol=1e-5)
        assert jnp.abs(unmasked[inside] - expected).max() > 1e-3


def test_a_region_of_one_image_holds_for_a_batch(layer):
    x = jnp.asarray(np.random.default_rng(1).normal(size=(2, 16, 16, CHANNELS)))
    one = on_canvas(layer, x, jnp.int32(2), jnp.int32(3))
    each = on_canvas(layer, x, jnp.array([2, 2]), jnp.array([3, 3]))
    np.testing.assert_allclose(one, each, rtol=0, atol=1e-6)


def test_nothing_is_masked_outside_of_the_block():
    x = jnp.ones((1, 4, 4, 1))
    assert valid_region.mask(x) is x
    with valid_region.masking(None):
        assert valid_region.mask(x) is x
    region = ValidRegion(rows=jnp.int32(1), columns=jnp.int32(2), canvas=(2, 4))
    with valid_region.masking(region):
        expected = np.zeros((4, 4))
        expected[:2, :2] = 1
        np.testing.assert_array_equal(valid_region.mask(x)[0, ..., 0], expected)
    assert valid_region.current() is None
