"""Convolutions against their definitions in NumPy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from support.reference_layers import (
    add_bias,
    apply_convolution,
    apply_pointwise,
    apply_sub_pixel,
    check_dtypes,
    convolve,
    convolve_transposed,
    inputs,
    pixel_shuffle,
    randomize,
)

from jaxcorr.layers.convolution import (
    Convolution,
    Pointwise,
    Upsampling,
)
from jaxcorr.layers.phases import depth_to_space, space_to_depth
from jaxcorr.layers.subpixel import SubPixelUpsampling


@pytest.mark.fast
@pytest.mark.parametrize(("size", "stride"), [(3, 1), (5, 2), (1, 2)])
@pytest.mark.parametrize("shape", [(2, 6, 8, 3), (1, 5, 3, 2)])
def test_convolution_equals_its_definition(shape, size, stride):
    layer = Convolution(shape[-1], 4, size=size, stride=stride, rngs=nnx.Rngs(0))
    x = inputs(*shape)
    expected = convolve(x, np.asarray(randomize(layer).kernel), stride)
    expected += np.asarray(layer.bias)
    np.testing.assert_allclose(layer(jnp.asarray(x)), expected, rtol=0, atol=1e-5)


@pytest.mark.fast
@pytest.mark.parametrize("shape", [(2, 4, 6, 3), (1, 5, 3, 2), (1, 1, 1, 1)])
def test_upsampling_equals_the_transposed_convolution_of_its_kernel(shape):
    layer = randomize(Upsampling(shape[-1], 4, rngs=nnx.Rngs(0)))
    x = inputs(*shape)
    output = layer(jnp.asarray(x))
    expected = convolve_transposed(x, np.asarray(layer.kernel)) + np.asarray(layer.bias)
    np.testing.assert_allclose(output, expected, rtol=0, atol=1e-5)


def test_upsampling_has_the_gradient_of_the_transposed_convolution():
    layer = randomize(Upsampling(3, 4, rngs=nnx.Rngs(0)))
    graph, state = nnx.split(layer)
    x, weights = jnp.asarray(inputs(2, 4, 5, 3)), inputs(2, 8, 10, 4, seed=2)

    def polyphase(kernel, x):
        return jnp.sum(nnx.merge(graph, {**state, "kernel": kernel})(x) * weights)

    def transposed(kernel, x):
        # XLA flips the kernel of its transposed convolution.
        out = jax.lax.conv_transpose(
            x,
            kernel[::-1, ::-1],
            (2, 2),
            [(2, 3), (2, 3)],
            dimension_numbers=("NHWC", "HWIO", "NHWC"),
            transpose_kernel=False,
        )
        return jnp.sum(out * weights)

    expected = jax.grad(transposed, (0, 1))(layer.kernel[...], x)
    gradients = jax.grad(polyphase, (0, 1))(layer.kernel[...], x)
    for gradient, reference in zip(gradients, expected, strict=True):
        np.testing.assert_allclose(gradient, reference, rtol=1e-5, atol=1e-4)


def test_depth_to_space_fills_each_square_row_by_row():
    channels = jnp.arange(8.0).reshape(1, 1, 1, 8)
    expected = [[[0, 1], [2, 3]], [[4, 5], [6, 7]]]
    np.testing.assert_array_equal(depth_to_space(channels)[0], expected)


@pytest.mark.parametrize("name", ["convolution", "upsampling"])
def test_initial_kernels_keep_the_variance(name):
    rngs = nnx.Rngs(0)
    layer = {
        "convolution": lambda: Convolution(64, 64, size=5, rngs=rngs),
        "upsampling": lambda: Upsampling(64, 64, rngs=rngs),
    }[name]()
    variance = layer(jnp.asarray(inputs(1, 24, 24, 64)))[:, 4:-4, 4:-4].var()
    assert abs(variance - 1) < 0.1


LAYERS = {
    "convolution": (
        lambda: Convolution(3, 4, size=5, stride=2, rngs=nnx.Rngs(0)),
        apply_convolution,
    ),
    "upsampling": (
        lambda: Upsampling(3, 4, rngs=nnx.Rngs(0)),
        lambda x, layer: add_bias(
            convolve_transposed(x, np.asarray(layer.kernel)), layer
        ),
    ),
    "sub-pixel upsampling": (
        lambda: SubPixelUpsampling(3, 2, rngs=nnx.Rngs(0)),
        apply_sub_pixel,
    ),
    "pointwise": (lambda: Pointwise(3, 4, rngs=nnx.Rngs(0)), apply_pointwise),
    "pointwise without bias": (
        lambda: Pointwise(3, 4, bias=False, rngs=nnx.Rngs(0)),
        apply_pointwise,
    ),
    "strided pointwise": (
        lambda: Pointwise(3, 4, stride=2, rngs=nnx.Rngs(0)),
        lambda x, layer: apply_pointwise(x[:, ::2, ::2], layer),
    ),
}
"""Constructor and definition of each layer."""


@pytest.mark.parametrize("shape", [(1, 6, 6, 3), (2, 1, 3, 3)])
@pytest.mark.parametrize("name", LAYERS)
def test_convolutions_compute_in_the_dtype_of_their_input(name, shape):
    make, definition = LAYERS[name]
    layer, x = randomize(make()), inputs(*shape)
    check_dtypes(layer, x, definition(x, layer))


@pytest.mark.fast
def test_pointwise_convolution_accepts_any_leading_axes():
    layer = randomize(Pointwise(3, 4, rngs=nnx.Rngs(0)))
    for shape in [(3,), (5, 3), (2, 1, 2, 1, 3)]:
        x = inputs(*shape)
        expected = apply_pointwise(x, layer)
        np.testing.assert_allclose(layer(jnp.asarray(x)), expected, atol=1e-6)


@pytest.mark.fast
def test_space_to_depth_inverts_depth_to_space():
    channels = jnp.asarray(inputs(2, 3, 5, 8))
    pixels = depth_to_space(channels)
    np.testing.assert_array_equal(pixels, pixel_shuffle(channels))
    np.testing.assert_array_equal(space_to_depth(pixels), channels)
