"""Soft rounding and its bits against TensorFlow Compression."""

import functools
import os
import subprocess

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from support.paths import REFERENCES

from jaxcorr import quantization, soft_rounding
from jaxcorr.entropy.factorized import FactorizedPrior
from jaxcorr.entropy.gaussian import gaussian_bits

TFC_PYTHON = os.environ.get("JAXCORR_TFC_PYTHON")


@functools.cache
def reference():
    with np.load(REFERENCES / "soft_rounding.npz") as arrays:
        return dict(arrays)


each_sharpness = pytest.mark.parametrize("index", range(5))


@each_sharpness
def test_functions_equal_those_of_tensorflow_compression(float64, index):
    sharpness = float(reference()["sharpness"][index])
    values = jnp.asarray(reference()["values"])
    for name in ("soft_round", "soft_round_inverse", "conditional_mean"):
        result = getattr(soft_rounding, name)(values, sharpness)
        expected = reference()[name][index]
        # At sharpness 20, TensorFlow Compression has lost half of the digits at
        # integers.
        np.testing.assert_allclose(result, expected, rtol=0, atol=1e-8, err_msg=name)


@each_sharpness
def test_gaussian_bits_and_gradients_equal_those_of_tensorflow_compression(
    float64, index
):
    arrays = reference()
    scale = np.broadcast_to(arrays["scales"][:, None], arrays["noise"].shape)
    latent = np.broadcast_to(arrays["values"], scale.shape)
    centers, noise = (jnp.asarray(arrays[name]) for name in ("mean", "noise"))

    def log_probability(latent, scale):
        bits = quantization.soft_bits(
            lambda quantized, likelihood_bound: gaussian_bits(
                quantized - centers, scale, likelihood_bound=likelihood_bound
            ),
            latent,
            jnp.broadcast_to(centers, latent.shape),
            noise,
            float(arrays["sharpness"][index]),
            likelihood_bound=0.0,
        )
        return -np.log(2) * bits

    def total(latent, scale):
        return jnp.sum(log_probability(latent, scale))

    arguments = jnp.asarray(latent), jnp.asarray(scale)
    np.testing.assert_allclose(
        log_probability(*arguments), arrays["normal/log_prob"][index], rtol=1e-7
    )
    gradients = jax.grad(total, (0, 1))(*arguments)
    for name, gradient in zip(("to_latent", "to_scale"), gradients, strict=True):
        np.testing.assert_allclose(
            gradient, arrays[f"normal/{name}"][index], rtol=1e-6, atol=1e-9
        )


@each_sharpness
def test_bits_of_the_prior_equal_those_of_tensorflow_compression(float64, index):
    arrays = reference()
    prior = FactorizedPrior(3, rngs=nnx.Rngs(0))

    def parameter(kind, layer):
        return jnp.asarray(arrays[f"parameters/{kind}_{layer}"])

    for layer in range(5):
        prior.matrices[layer] = nnx.Param(parameter("matrix", layer))
        prior.biases[layer] = nnx.Param(parameter("bias", layer)[..., 0])
        if layer < 4:
            prior.gates[layer] = nnx.Param(parameter("factor", layer)[..., 0])
    # The values of the reference are noisy: integers plus noise in [-1/2, 1/2].
    noisy = np.broadcast_to(arrays["values"][:, None], (41, 3))
    integers = jnp.asarray(np.round(noisy))
    bits = quantization.soft_bits(
        lambda quantized, likelihood_bound: prior.bits(
            quantized, likelihood_bound=likelihood_bound
        ),
        integers,
        jnp.zeros_like(integers),
        jnp.asarray(noisy) - integers,
        float(arrays["sharpness"][index]),
        likelihood_bound=0.0,
    )
    expected = -arrays["factorized/log_prob"][index] / np.log(2)
    np.testing.assert_allclose(bits, expected, rtol=1e-7)


@pytest.mark.skipif(
    TFC_PYTHON is None,
    reason="JAXCORR_TFC_PYTHON does not name a Python with TensorFlow Compression",
)
def test_tensorflow_compression_reproduces_the_reference(tmp_path):
    path = tmp_path / "again.npz"
    script = REFERENCES / "make_soft_rounding.py"
    process = subprocess.run(
        [str(TFC_PYTHON), script, path], capture_output=True, text=True
    )
    assert process.returncode == 0, process.stderr
    with np.load(path) as again:
        assert again.keys() == reference().keys()
        for name, array in reference().items():
            if name != "versions":
                np.testing.assert_allclose(again[name], array, rtol=1e-6, atol=1e-9)
