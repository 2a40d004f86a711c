"""Layers computed by their definitions: slowly, in NumPy and in float64."""

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from jaxcorr import compatibility
from jaxcorr.layers.gdn import BETA_MINIMUM, PEDESTAL


def randomize(layer, *, reach=1.0, seed=0):
    """Gives every parameter random values, so that no initial value hides a mistake."""
    rng = np.random.default_rng(seed)
    for parameter in jax.tree.leaves(nnx.state(layer), is_leaf=_is_parameter):
        values = rng.uniform(-reach, reach, parameter.shape)
        parameter[...] = jnp.asarray(values, jnp.float32)
    return layer


def _is_parameter(leaf):
    return isinstance(leaf, nnx.Param)


def inputs(*shape, seed=1):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def convolve(x, kernel, stride):
    """Computes a zero-padded convolution by its definition, in float64."""
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


def convolve_transposed(x, kernel):
    """Computes a transposed 5x5 convolution at stride 2, one input at a time."""
    batch, rows, columns, _ = x.shape
    out = np.zeros((batch, 2 * rows + 3, 2 * columns + 3, kernel.shape[3]))
    for p in range(rows):
        for q in range(columns):
            copy = np.einsum("bc,ijco->bijo", x[:, p, q].astype(np.float64), kernel)
            out[:, 2 * p : 2 * p + 5, 2 * q : 2 * q + 5] += copy
    return out[:, 2 : 2 + 2 * rows, 2 : 2 + 2 * columns]


def apply_gdn(x, layer, inverse):
    """Computes a `GDN` by its formula, in float64."""
    x = x.astype(np.float64)
    beta = np.maximum(_parameter_from_root(layer.beta_root), BETA_MINIMUM)
    gamma = np.maximum(_parameter_from_root(layer.gamma_root), 0.0)
    out = np.empty(x.shape)
    for i in range(x.shape[-1]):
        energy = sum(gamma[j, i] * x[..., j] ** 2 for j in range(x.shape[-1]))
        out[..., i] = x[..., i] * (beta[i] + energy) ** (0.5 if inverse else -0.5)
    return out


def _parameter_from_root(root):
    # Negative roots lie below the bounds: beta is its minimum there, and gamma is 0.
    return np.maximum(np.asarray(root), 0.0).astype(np.float64) ** 2 - PEDESTAL


def add_bias(out, layer):
    return out + np.asarray(layer.bias, np.float64)


def pixel_shuffle(x):
    """Moves each quarter of the channels to one pixel of a 2x2 square, row by row."""
    batch, rows, columns, channels = x.shape
    out = np.zeros((batch, 2 * rows, 2 * columns, channels // 4))
    for phase in range(4):
        quarter = x[..., phase * channels // 4 : (phase + 1) * channels // 4]
        out[:, phase // 2 :: 2, phase % 2 :: 2] = quarter
    return out


def apply_convolution(x, layer):
    """Computes a `Convolution` of any stride."""
    kernel = np.asarray(layer.kernel, np.float64)
    return add_bias(convolve(x, kernel, layer.stride), layer)


def apply_sub_pixel(x, layer):
    """Computes a `SubPixelUpsampling`."""
    return pixel_shuffle(apply_convolution(x, layer.convolution))


def apply_pointwise(x, layer):
    """Computes a `Pointwise` of stride 1, position by position."""
    kernel = np.asarray(layer.kernel, np.float64)
    out = np.zeros((*x.shape[:-1], kernel.shape[1]))
    for position in np.ndindex(x.shape[:-1]):
        for output in range(kernel.shape[1]):
            out[position][output] = (x[position] * kernel[:, output]).sum()
    return out if layer.bias is None else add_bias(out, layer)


def relu(x, slope=0.0):
    return np.where(x >= 0, x, slope * x)


def check_dtypes(layer, x, expected):
    """Checks that a layer equals its definition, in the dtype of its input.

    The tolerance of each dtype shows that no step was computed in a narrower dtype.
    """
    size = np.abs(expected).max()
    for dtype, accuracy in [
        (jnp.float64, 1e-12),
        (jnp.float32, 1e-5),
        (jnp.bfloat16, 0.1),
    ]:
        with compatibility.enable_x64(True):
            output = jax.jit(lambda x: layer(x))(jnp.asarray(x, dtype))
        assert output.dtype == dtype
        np.testing.assert_allclose(
            np.asarray(output, np.float64), expected, rtol=0, atol=accuracy * size
        )
