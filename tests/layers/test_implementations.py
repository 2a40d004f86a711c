"""Implementations of one layer are equal, and are chosen by platform."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from support.reference_layers import inputs, randomize

from jaxcorr.layers import convolution, implementations
from jaxcorr.layers.convolution import Convolution, Upsampling
from jaxcorr.layers.gdn import GDN
from jaxcorr.layers.implementations import Implementations
from jaxcorr.layers.phases import polyphase_upsampling, separate_upsampling
from jaxcorr.layers.subpixel import SubPixelUpsampling, transposed_sub_pixels
from jaxcorr.transforms.minnen import Minnen


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


DILATED = "lhs_dilate = [2, 2]"
"""What a program says of a convolution of a dilated input."""
AT_HALF_RESOLUTION = {
    "first convolution": lambda: Convolution(
        3, 4, size=5, stride=2, half_resolution="output", rngs=nnx.Rngs(0)
    ),
    "second convolution": lambda: Convolution(
        3, 4, size=5, stride=2, half_resolution="input", rngs=nnx.Rngs(0)
    ),
    "GDN": lambda: GDN(3, half_resolution=True),
    "inverse GDN": lambda: GDN(3, inverse=True, half_resolution=True),
    "last but one upsampling": lambda: Upsampling(
        3, 4, half_resolution="output", rngs=nnx.Rngs(0)
    ),
    "last upsampling": lambda: Upsampling(
        3, 4, half_resolution="input", rngs=nnx.Rngs(0)
    ),
}


@pytest.mark.parametrize("name", AT_HALF_RESOLUTION)
def test_layers_at_half_resolution_compute_the_same_over_phases(name):
    graph, state = nnx.split(randomize(AT_HALF_RESOLUTION[name]()))
    x = jnp.asarray(inputs(2, 8, 12, 3))

    def apply(form):
        def run(state, x):
            return nnx.merge(graph, state)(x)

        with implementations.forced(Implementations(half_resolution=form)):
            output, pull_back = jax.vjp(run, state, x)
        return output, jax.tree.leaves(pull_back(jnp.sin(output)))

    (output, gradients), (expected, expected_gradients) = map(
        apply, ("phases", "plain")
    )
    np.testing.assert_allclose(output, expected, atol=1e-5)
    for gradient, reference in zip(gradients, expected_gradients, strict=True):
        np.testing.assert_allclose(gradient, reference, rtol=1e-5, atol=1e-4)


def test_transforms_over_phases_dilate_the_arrays_of_low_resolution_alone():
    transforms = Minnen(width=2, channels=2).build(rngs=nnx.Rngs(0))

    def dilations(form):
        run = jax.jit(lambda latents: transforms.synthesis(latents))
        with implementations.forced(
            Implementations(upsampling="transposed", half_resolution=form)
        ):
            return run.lower(jnp.ones((1, 4, 4, 2))).as_text().count(DILATED)

    assert (dilations("plain"), dilations("phases")) == (4, 2)


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
    assert (DILATED in program) == (chosen == "transposed")


def test_forced_implementation_compiles_a_separate_program():
    layer = Upsampling(3, 4, rngs=nnx.Rngs(0))
    run = jax.jit(lambda x: layer(x))
    x = jnp.asarray(inputs(2, 4, 6, 3))

    def dilates():
        return DILATED in run.lower(x).as_text()

    assert not dilates()
    with implementations.forced(Implementations(upsampling="transposed")):
        assert dilates()
        output = run(x)
    assert not dilates()
    np.testing.assert_allclose(run(x), output, atol=1e-5)
