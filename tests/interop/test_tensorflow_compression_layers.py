"""Layers equal those of TensorFlow Compression (TFC) with the same parameters."""

import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from references.entropy import group

from jaxcorr.layers.convolution import Convolution, Upsampling
from jaxcorr.layers.gdn import GDN

EXPECTED = group("layers")
INPUT = jnp.asarray(EXPECTED["given"])


def test_convolution_at_stride_2_is_a_signal_conv_with_corr():
    layer = Convolution(3, 4, size=5, stride=2, rngs=nnx.Rngs(0))
    layer.kernel[...] = jnp.asarray(EXPECTED["down_kernel"])
    np.testing.assert_allclose(layer(INPUT), EXPECTED["down"], atol=1e-5)


def test_upsampling_is_a_signal_conv_without_corr():
    layer = Upsampling(3, 4, rngs=nnx.Rngs(0))
    layer.kernel[...] = jnp.asarray(EXPECTED["up_kernel"])
    np.testing.assert_allclose(layer(INPUT), EXPECTED["up"], atol=1e-5)


@pytest.mark.parametrize("name", ["gdn", "inverse_gdn"])
def test_gdn_is_that_of_tfc_with_a_square_and_a_root(name):
    layer = GDN(3, inverse=name == "inverse_gdn")
    layer.beta_root[...] = jnp.asarray(EXPECTED[f"{name}_beta"])
    layer.gamma_root[...] = jnp.asarray(EXPECTED[f"{name}_gamma"])
    np.testing.assert_allclose(layer(INPUT), EXPECTED[name], rtol=1e-5, atol=1e-6)


def test_default_gdn_of_tfc_has_neither_square_nor_root():
    beta, gamma = (EXPECTED[f"default_gdn_{name}"] ** 2 for name in ("beta", "gamma"))
    expected = EXPECTED["given"] / (beta + np.abs(EXPECTED["given"]) @ gamma)
    np.testing.assert_allclose(EXPECTED["default_gdn"], expected, rtol=1e-4, atol=1e-6)
