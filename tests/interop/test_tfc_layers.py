"""Our layers against those of TensorFlow Compression (TFC) with the same parameters."""

import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from references.entropy import group

from jaxcorr.layers.convolution import Convolution, Upsampling
from jaxcorr.layers.gdn import GDN

FOUND = group("layers")
GIVEN = jnp.asarray(FOUND["given"])


def test_a_convolution_at_stride_2_is_a_correlation_there():
    layer = Convolution(3, 4, size=5, stride=2, rngs=nnx.Rngs(0))
    layer.kernel[...] = jnp.asarray(FOUND["down_kernel"])
    np.testing.assert_allclose(layer(GIVEN), FOUND["down"], atol=1e-5)


def test_upsampling_is_a_convolution_there():
    layer = Upsampling(3, 4, rngs=nnx.Rngs(0))
    layer.kernel[...] = jnp.asarray(FOUND["up_kernel"])
    np.testing.assert_allclose(layer(GIVEN), FOUND["up"], atol=1e-5)


@pytest.mark.parametrize("name", ["gdn", "inverse_gdn"])
def test_normalization_is_that_with_a_square_and_a_root_there(name):
    layer = GDN(3, inverse=name == "inverse_gdn")
    layer.beta_root[...] = jnp.asarray(FOUND[f"{name}_beta"])
    layer.gamma_root[...] = jnp.asarray(FOUND[f"{name}_gamma"])
    np.testing.assert_allclose(layer(GIVEN), FOUND[name], rtol=1e-5, atol=1e-6)


def test_normalization_there_has_neither_square_nor_root_by_default():
    beta, gamma = (FOUND[f"default_gdn_{name}"] ** 2 for name in ("beta", "gamma"))
    expected = FOUND["given"] / (beta + np.abs(FOUND["given"]) @ gamma)
    np.testing.assert_allclose(FOUND["default_gdn"], expected, rtol=1e-4, atol=1e-6)
