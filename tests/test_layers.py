import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from jaxcorr.layers.convolution import Convolution, Upsampling, depth_to_space
from jaxcorr.layers.gdn import BETA_MINIMUM, GDN, PEDESTAL


def randomize(layer, seed=0):
    """Gives every parameter random values, so that none hides behind its start."""
    rng = np.random.default_rng(seed)
    for parameter in jax.tree.leaves(nnx.state(layer), is_leaf=_is_parameter):
        drawn = rng.uniform(-1, 1, parameter.shape)
        parameter[...] = jnp.asarray(drawn, jnp.float32)
    return layer


def _is_parameter(leaf):
    return isinstance(leaf, nnx.Param)


def inputs(*shape, seed=1):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def correlated(x, kernel, stride):
    """Zero-padded convolution by its definition, in float64."""
    size = kernel.shape[0]
    margin = size // 2
    padded = np.pad(
        x.astype(np.float64), [(0, 0), (margin,) * 2, (margin,) * 2, (0, 0)]
    )
    rows, columns = (-(-side // stride) for side in x.shape[1:3])
    out = np.zeros((x.shape[0], rows, columns, kernel.shape[3]))
    for p in range(rows):
        for q in range(columns):
            i, j = p * stride, q * stride
            window = padded[:, i : i + size, j : j + size]
            out[:, p, q] = np.einsum("bijc,ijco->bo", window, kernel)
    return out


def scattered(x, kernel):
    """Transposed 5x5 convolution at stride 2: every input adds a copy of the kernel."""
    batch, rows, columns, _ = x.shape
    out = np.zeros((batch, 2 * rows + 3, 2 * columns + 3, kernel.shape[3]))
    for p in range(rows):
        for q in range(columns):
            copy = np.einsum("bc,ijco->bijo", x[:, p, q].astype(np.float64), kernel)
            out[:, 2 * p : 2 * p + 5, 2 * q : 2 * q + 5] += copy
    return out[:, 2 : 2 + 2 * rows, 2 : 2 + 2 * columns]


def normalized(x, layer, inverse):
    """GDN by its formula, in float64."""
    x = x.astype(np.float64)
    # Negative roots lie below the bounds: beta is its minimum there, and gamma is 0.
    squared = lambda root: np.maximum(root, 0.0).astype(np.float64) ** 2 - PEDESTAL
    beta = np.maximum(squared(np.asarray(layer.beta_root)), BETA_MINIMUM)
    gamma = np.maximum(squared(np.asarray(layer.gamma_root)), 0.0)
    out = np.empty(x.shape)
    for i in range(x.shape[-1]):
        energy = sum(gamma[j, i] * x[..., j] ** 2 for j in range(x.shape[-1]))
        out[..., i] = x[..., i] * (beta[i] + energy) ** (0.5 if inverse else -0.5)
    return out


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


@pytest.mark.fast
@pytest.mark.parametrize("inverse", [False, True])
@pytest.mark.parametrize("shape", [(2, 3, 4, 5), (7, 1)])
def test_gdn_is_its_formula(shape, inverse):
    layer = randomize(GDN(shape[-1], inverse=inverse))
    x = inputs(*shape)
    expected = normalized(x, layer, inverse)
    np.testing.assert_allclose(layer(jnp.asarray(x)), expected, rtol=1e-5)


@pytest.mark.parametrize("inverse", [False, True])
def test_gdn_starts_with_beta_1_and_a_tenth_of_the_own_energy(inverse):
    x = inputs(20, 3)
    factor = np.sqrt(1 + 0.1 * x**2)
    expected = x * factor if inverse else x / factor
    found = GDN(3, inverse=inverse)(jnp.asarray(x))
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_gdn_outside_its_range_is_finite_and_is_led_back():
    layer = GDN(2)
    layer.beta_root[...] = jnp.array([-1.0, -1.0])
    layer.gamma_root[...] = jnp.full((2, 2), -1.0)
    graph, state = nnx.split(layer)
    x = jnp.ones((1, 2))
    gradient = jax.grad(lambda state: jnp.sum(nnx.merge(graph, state)(x)))(state)
    # More energy, less output: descent raises both parameters back into their range.
    for leaf in jax.tree.leaves(gradient):
        assert jnp.all(jnp.isfinite(leaf) & (leaf < 0))


def test_gdn_has_no_gradient_that_is_not_finite_at_zero():
    gradient = jax.grad(lambda x: jnp.sum(GDN(3)(x)))(jnp.zeros((1, 3)))
    np.testing.assert_allclose(gradient, np.ones((1, 3)), rtol=1e-6)


def biased(out, layer):
    return out + np.asarray(layer.bias, np.float64)


LAYERS = {
    "convolution": (
        lambda: Convolution(3, 4, size=5, stride=2, rngs=nnx.Rngs(0)),
        lambda x, layer: biased(correlated(x, np.asarray(layer.kernel), 2), layer),
    ),
    "upsampling": (
        lambda: Upsampling(3, 4, rngs=nnx.Rngs(0)),
        lambda x, layer: biased(scattered(x, np.asarray(layer.kernel)), layer),
    ),
    "gdn": (lambda: GDN(3), lambda x, layer: normalized(x, layer, False)),
    "inverse gdn": (
        lambda: GDN(3, inverse=True),
        lambda x, layer: normalized(x, layer, True),
    ),
}


@pytest.mark.parametrize("name", LAYERS)
def test_layers_compute_in_the_dtype_of_their_input(name):
    make, by_definition = LAYERS[name]
    layer, x = randomize(make()), inputs(1, 6, 6, 3)
    expected = by_definition(x, layer)
    # Digits beyond those of a narrower dtype show that no step of it was narrower.
    for dtype, accuracy in [
        (jnp.float64, 1e-12),
        (jnp.float32, 1e-5),
        (jnp.bfloat16, 0.1),
    ]:
        with jax.enable_x64(True):
            found = layer(jnp.asarray(x, dtype))
        assert found.dtype == dtype
        np.testing.assert_allclose(
            np.asarray(found, np.float64), expected, rtol=accuracy, atol=accuracy
        )
