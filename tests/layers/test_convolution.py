import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from support.reference_layers import (
    biased,
    check_dtypes,
    convolved,
    correlated,
    doubled,
    inputs,
    mapped,
    normalized,
    pixels_of,
    randomize,
    scattered,
)

from jaxcorr.layers import convolution, implementations
from jaxcorr.layers.convolution import (
    Convolution,
    Pointwise,
    Upsampling,
    depth_to_space,
    space_to_depth,
)
from jaxcorr.layers.gdn import GDN
from jaxcorr.layers.subpixel import SubPixelUpsampling, transposed_sub_pixels


@pytest.mark.fast
@pytest.mark.parametrize(("size", "stride"), [(3, 1), (5, 2), (1, 2)])
@pytest.mark.parametrize("shape", [(2, 6, 8, 3), (1, 5, 3, 2)])
def test_convolution_is_that_of_its_definition(shape, size, stride):
    layer = Convolution(shape[-1], 4, size=size, stride=stride, rngs=nnx.Rngs(0))
    x = inputs(*shape)
    expected = correlated(x, np.asarray(randomize(layer).kernel), stride)
    expected += np.asarray(layer.bias)
    np.testing.assert_allclose(layer(jnp.asarray(x)), expected, rtol=0, atol=1e-5)


@pytest.mark.fast
@pytest.mark.parametrize("shape", [(2, 4, 6, 3), (1, 5, 3, 2), (1, 1, 1, 1)])
def test_upsampling_is_the_transposed_convolution_of_its_kernel(shape):
    layer = randomize(Upsampling(shape[-1], 4, rngs=nnx.Rngs(0)))
    x = inputs(*shape)
    found = layer(jnp.asarray(x))
    expected = scattered(x, np.asarray(layer.kernel)) + np.asarray(layer.bias)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5)


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
    found = jax.grad(polyphase, (0, 1))(layer.kernel[...], x)
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-4)


def test_depth_becomes_the_pixels_of_a_square():
    phases = jnp.arange(8.0).reshape(1, 1, 1, 8)
    expected = [[[0, 1], [2, 3]], [[4, 5], [6, 7]]]
    np.testing.assert_array_equal(depth_to_space(phases)[0], expected)


@pytest.mark.parametrize("layer", ["convolution", "upsampling"])
def test_initial_kernels_keep_the_variance(layer):
    rngs = nnx.Rngs(0)
    made = {
        "convolution": lambda: Convolution(64, 64, size=5, rngs=rngs),
        "upsampling": lambda: Upsampling(64, 64, rngs=rngs),
    }[layer]()
    variance = made(jnp.asarray(inputs(1, 24, 24, 64)))[:, 4:-4, 4:-4].var()
    assert abs(variance - 1) < 0.1


@pytest.mark.parametrize(
    ("form", "other", "kernel"),
    [
        (
            convolution.transposed_upsampling,
            convolution.polyphase_upsampling,
            (5, 5, 3, 4),
        ),
        (convolution.pointwise_convolution, jnp.matmul, (3, 4)),
    ],
)
def test_the_form_for_a_tpu_is_the_same_function(form, other, kernel):
    arguments = jnp.asarray(inputs(2, 4, 6, 3)), jnp.asarray(inputs(*kernel))
    found, back = jax.vjp(form, *arguments)
    expected, back_expected = jax.vjp(other, *arguments)
    np.testing.assert_allclose(found, expected, atol=1e-5)
    for mine, theirs in zip(back(found), back_expected(found), strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize("platform", ["cpu", "cuda", "tpu"])
def test_a_platform_has_the_forms_of_the_table(platform):
    layer = Upsampling(3, 4, rngs=nnx.Rngs(0))
    graph, state = nnx.split(layer)
    run = jax.jit(lambda state, x: nnx.merge(graph, state)(x))
    traced = run.trace(state, jnp.asarray(inputs(2, 4, 6, 3)))
    program = traced.lower(lowering_platforms=(platform,)).as_text()
    chosen = implementations.BY_PLATFORM.get(
        platform, implementations.DEFAULT
    ).upsampling
    assert ("lhs_dilate = [2, 2]" in program) == (chosen == "transposed")


def test_forced_forms_are_those_of_another_program():
    layer = Upsampling(3, 4, rngs=nnx.Rngs(0))
    run = jax.jit(lambda x: layer(x))
    x = jnp.asarray(inputs(2, 4, 6, 3))
    dilated = lambda: "lhs_dilate = [2, 2]" in run.lower(x).as_text()
    assert not dilated()
    with implementations.forced(
        implementations.Implementations(upsampling="transposed")
    ):
        assert dilated()
        forced = run(x)
    assert not dilated()
    np.testing.assert_allclose(run(x), forced, atol=1e-5)


def test_sub_pixels_on_a_tpu_are_the_same_function():
    layer = randomize(SubPixelUpsampling(3, 2, rngs=nnx.Rngs(0)))
    graph, state = nnx.split(layer)
    x = jnp.asarray(inputs(2, 4, 5, 3))
    other = lambda state, x: nnx.merge(graph, state)(x)

    def form(state, x):
        inner = nnx.merge(graph, state).convolution
        return transposed_sub_pixels(x, inner.kernel[...], inner.bias[...])

    found, back = jax.vjp(form, state, x)
    expected, back_expected = jax.vjp(other, state, x)
    np.testing.assert_allclose(found, expected, atol=1e-5)
    gradients = (jax.tree.leaves(pull(found)) for pull in (back, back_expected))
    for mine, theirs in zip(*gradients, strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=1e-5, atol=1e-4)


@pytest.mark.fast
@pytest.mark.parametrize("inverse", [False, True])
@pytest.mark.parametrize("shape", [(2, 3, 4, 5), (7, 1, 1, 1)])
def test_gdn_is_its_formula(shape, inverse):
    layer = randomize(GDN(shape[-1], inverse=inverse))
    x = inputs(*shape)
    expected = normalized(x, layer, inverse)
    np.testing.assert_allclose(layer(jnp.asarray(x)), expected, rtol=1e-5)


@pytest.mark.parametrize("inverse", [False, True])
def test_gdn_starts_with_beta_1_and_a_tenth_of_the_own_energy(inverse):
    x = inputs(4, 5, 1, 3)
    factor = np.sqrt(1 + 0.1 * x**2)
    expected = x * factor if inverse else x / factor
    found = GDN(3, inverse=inverse)(jnp.asarray(x))
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_gdn_outside_its_range_is_finite_and_is_led_back():
    layer = GDN(2)
    layer.beta_root[...] = jnp.array([-1.0, -1.0])
    layer.gamma_root[...] = jnp.full((2, 2), -1.0)
    graph, state = nnx.split(layer)
    x = jnp.ones((1, 1, 1, 2))
    gradient = jax.grad(lambda state: jnp.sum(nnx.merge(graph, state)(x)))(state)
    # More energy, less output: descent raises both parameters back into their range.
    for leaf in jax.tree.leaves(gradient):
        assert jnp.all(jnp.isfinite(leaf) & (leaf < 0))


def test_gdn_has_no_gradient_that_is_not_finite_at_zero():
    gradient = jax.grad(lambda x: jnp.sum(GDN(3)(x)))(jnp.zeros((1, 1, 1, 3)))
    np.testing.assert_allclose(gradient, np.ones((1, 1, 1, 3)), rtol=1e-6)


def every_second(x, layer):
    return mapped(x[:, ::2, ::2], layer)


LAYERS = {
    "convolution": (
        lambda: Convolution(3, 4, size=5, stride=2, rngs=nnx.Rngs(0)),
        convolved,
    ),
    "upsampling": (
        lambda: Upsampling(3, 4, rngs=nnx.Rngs(0)),
        lambda x, layer: biased(scattered(x, np.asarray(layer.kernel)), layer),
    ),
    "sub-pixel upsampling": (
        lambda: SubPixelUpsampling(3, 2, rngs=nnx.Rngs(0)),
        doubled,
    ),
    "pointwise": (lambda: Pointwise(3, 4, rngs=nnx.Rngs(0)), mapped),
    "pointwise without bias": (
        lambda: Pointwise(3, 4, bias=False, rngs=nnx.Rngs(0)),
        mapped,
    ),
    "strided pointwise": (
        lambda: Pointwise(3, 4, stride=2, rngs=nnx.Rngs(0)),
        every_second,
    ),
    "gdn": (lambda: GDN(3), lambda x, layer: normalized(x, layer, False)),
    "inverse gdn": (
        lambda: GDN(3, inverse=True),
        lambda x, layer: normalized(x, layer, True),
    ),
}


@pytest.mark.parametrize("shape", [(1, 6, 6, 3), (2, 1, 3, 3)])
@pytest.mark.parametrize("name", LAYERS)
def test_layers_are_their_definitions_in_the_dtype_of_their_input(name, shape):
    make, by_definition = LAYERS[name]
    layer, x = randomize(make()), inputs(*shape)
    check_dtypes(layer, x, by_definition(x, layer))


@pytest.mark.fast
def test_pointwise_takes_any_shape():
    layer = randomize(Pointwise(3, 4, rngs=nnx.Rngs(0)))
    for shape in [(3,), (5, 3), (2, 1, 2, 1, 3)]:
        x = inputs(*shape)
        expected = mapped(x, layer)
        np.testing.assert_allclose(layer(jnp.asarray(x)), expected, atol=1e-6)


@pytest.mark.fast
def test_space_to_depth_undoes_depth_to_space():
    phases = jnp.asarray(inputs(2, 3, 5, 8))
    np.testing.assert_array_equal(depth_to_space(phases), pixels_of(phases))
    np.testing.assert_array_equal(space_to_depth(depth_to_space(phases)), phases)
