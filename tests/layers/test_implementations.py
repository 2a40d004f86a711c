"""Implementations of one layer are equal, and are chosen by platform."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from support.reference_layers import inputs, randomize

from jaxcorr.layers import convolution, implementations
from jaxcorr.layers.convolution import Upsampling
from jaxcorr.layers.phases import polyphase_upsampling, separate_upsampling
from jaxcorr.layers.subpixel import SubPixelUpsampling, transposed_sub_pixels


@pytest.mark.parametrize(
    ("implementation", "other", "kernel"),
    [
        (
            convolution.transposed_upsampling,
            polyphase_upsampling,
            (5, 5, 3, 4),
        ),
        (separate_upsampling, polyphase_upsampling, (5, 5, 3, 32)),
        (convolution.pointwise_convolution, jnp.matmul, (3, 4)),
    ],
)
def test_implementations_have_equal_values_and_gradients(implementation, other, kernel):
    arguments = jnp.asarray(inputs(2, 4, 6, 3)), jnp.asarray(inputs(*kernel))
    output, pull_back = jax.vjp(implementation, *arguments)
    expected, pull_back_other = jax.vjp(other, *arguments)
    np.testing.assert_allclose(output, expected, atol=1e-5)
    pairs = zip(pull_back(output), pull_back_other(output), strict=True)
    for gradient, expected_gradient in pairs:
        np.testing.assert_allclose(gradient, expected_gradient, rtol=1e-5, atol=1e-4)


def test_sub_pixel_implementations_have_equal_values_and_gradients():
    layer = randomize(SubPixelUpsampling(3, 2, rngs=nnx.Rngs(0)))
    graph, state = nnx.split(layer)
    x = jnp.asarray(inputs(2, 4, 5, 3))

    def interleaved(state, x):
        return nnx.merge(graph, state)(x)

    def transposed(state, x):
        inner = nnx.merge(graph, state).convolution
        return transposed_sub_pixels(x, inner.kernel[...], inner.bias[...])

    output, pull_back = jax.vjp(transposed, state, x)
    expected, pull_back_other = jax.vjp(interleaved, state, x)
    np.testing.assert_allclose(output, expected, atol=1e-5)
    gradients = jax.tree.leaves(pull_back(output))
    expected_gradients = jax.tree.leaves(pull_back_other(output))
    for gradient, expected_gradient in zip(gradients, expected_gradients, strict=True):
        np.testing.assert_allclose(gradient, expected_gradient, rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize("platform", ["cpu", "cuda", "tpu"])
def test_program_has_the_implementation_of_its_platform(platform):
    layer = Upsampling(3, 4, rngs=nnx.Rngs(0))
    graph, state = nnx.split(layer)
    run = jax.jit(lambda state, x: nnx.merge(graph, state)(x))
    traced = run.trace(state, jnp.asarray(inputs(2, 4, 6, 3)))
    program = traced.lower(lowering_platforms=(platform,)).as_text()
    chosen = implementations.BY_PLATFORM.get(
        platform, implementations.DEFAULT
    ).upsampling
    assert ("lhs_dilate = [2, 2]" in program) == (chosen == "transposed")


def test_forced_implementation_compiles_a_separate_program():
    layer = Upsampling(3, 4, rngs=nnx.Rngs(0))
    run = jax.jit(lambda x: layer(x))
    x = jnp.asarray(inputs(2, 4, 6, 3))

    def dilates():
        return "lhs_dilate = [2, 2]" in run.lower(x).as_text()

    assert not dilates()
    with implementations.forced(
        implementations.Implementations(upsampling="transposed")
    ):
        assert dilates()
        output = run(x)
    assert not dilates()
    np.testing.assert_allclose(run(x), output, atol=1e-5)
