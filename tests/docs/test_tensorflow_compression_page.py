"""The snippets and figures of the page on TensorFlow Compression (TFC) are right."""

import os
import re
import subprocess

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from references.entropy import group
from support.paths import ROOT

from jaxcorr.entropy.gaussian import gaussian_bits

PAGE = ROOT / "docs" / "tensorflow_compression.md"
SAVE, LOAD, SAVE_BACK, ASSIGN = re.findall(
    r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL
)
START = """
import numpy as np
import tensorflow_compression as tfc

hyperprior = tfc.NoisyDeepFactorized(batch_shape=(4,))
"""
PYTHON = os.environ.get("JAXCORR_TFC_PYTHON")


def test_snippets_give_the_side_information_bits_of_tfc(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    expected = group("factorized/default")
    np.savez("prior.npz", **group("factorized/default/variables"))
    names = {"z": jnp.asarray(expected["given"])}
    run_in_this_python(names)
    bits = np.asarray(names["side_bits"]).sum(axis=(1, 2))
    np.testing.assert_allclose(bits, expected["rounded_bits"], rtol=1e-4)
    with np.load("prior.npz") as prior, np.load("back.npz") as back:
        for name, array in prior.items():
            np.testing.assert_array_equal(array, back[name.split("/")[1][:-2]])


@pytest.mark.skipif(PYTHON is None, reason="JAXCORR_TFC_PYTHON names no Python")
def test_snippets_pass_parameters_from_tfc_and_back(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run_in_tfc_python(START + SAVE)
    run_in_this_python({"z": jnp.zeros((1, 4))})
    # A prior with other biases until they are assigned.
    run_in_tfc_python(START + ASSIGN + SAVE.replace("prior.npz", "again.npz"))
    with np.load("prior.npz") as prior, np.load("again.npz") as again:
        assert set(prior) == set(again)
        for name, array in prior.items():
            np.testing.assert_array_equal(array, again[name])


def run_in_this_python(names):
    # As in JAX by default; these tests set it to raise.
    with jax.numpy_rank_promotion("allow"):
        exec(LOAD + SAVE_BACK, names)


def run_in_tfc_python(code):
    done = subprocess.run([str(PYTHON), "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_bits_60_scales_out_are_those_on_the_page():
    bits = float(gaussian_bits(jnp.float32(60.0), jnp.float32(1.0)))
    assert f"60 scales out costs {bits:.0f} bits" in PAGE.read_text()
