"""Bits of our entropy models against those of TensorFlow Compression (TFC)."""

import importlib
import importlib.util
import os
import subprocess

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from references.entropy import FOUND, PRIORS, SCRIPT, assert_same_bits, group

from jaxcorr.entropy import tables
from jaxcorr.entropy.factorized import FactorizedPrior
from jaxcorr.entropy.gaussian import gaussian_bits
from jaxcorr.errors import UserError
from jaxcorr.interop import tensorflow_compression

pytestmark = pytest.mark.fast


@pytest.fixture(scope="module", params=PRIORS)
def converted(request):
    """What TFC found with a prior, the one made from its variables, and its widths."""
    found = group(f"factorized/{request.param}")
    prior = tensorflow_compression.factorized_prior(
        group(f"factorized/{request.param}/variables")
    )
    return found, prior, PRIORS[request.param]


def scale_of(index):
    """Scale of an index of TFC's models by our table, between its scales as well."""
    logs = np.interp(index, np.arange(tables.SCALES.size), np.log(tables.SCALES))
    return jnp.asarray(np.exp(logs), jnp.float32)


def test_a_prior_is_as_wide_as_its_variables(converted):
    _, prior, widths = converted
    assert [bias.shape[1] for bias in prior.biases] == [*widths, 1]


def test_bits_of_a_factorized_prior_are_those_there(converted):
    found, prior, _ = converted
    bits = prior.bits(jnp.asarray(found["values"]))
    # 60 values of each channel where its probability is, then 6 as far as 30 times out.
    name = f"a factorized prior of widths {converted[2]}"
    assert_same_bits(name, bits[:60].sum(), found["bits"][:60].sum())
    assert_same_bits(f"{name}, tails", bits[60:].sum(), found["bits"][60:].sum())
    np.testing.assert_allclose(bits, found["bits"], rtol=1e-5)
    assert found["bits"].max() > 250


@pytest.mark.parametrize("kind", ["rounded", "noisy"])
def test_bits_are_those_of_a_batched_entropy_model(converted, kind):
    found, prior, _ = converted
    bits = prior.bits(jnp.asarray(found[kind])).sum((1, 2))
    assert_same_bits(f"a batched model, {kind}", bits, found[f"{kind}_bits"])


def test_side_information_is_rounded_to_the_same_values(converted):
    found, prior, _ = converted
    median = np.asarray(prior.median())
    # There an offset is the median less the nearest integer: the same grid.
    offset = median - np.round(median)
    np.testing.assert_allclose(offset, found["offset"], atol=2e-4)
    rounded = np.round(found["given"] - median) + median
    np.testing.assert_allclose(rounded, found["rounded"], atol=2e-4)


def test_tails_are_quantiles_of_half_the_tail_mass(converted):
    found, prior, _ = converted
    for index, mass in enumerate((2**-8, 1e-6)):
        lower, upper = found["lower_tails"][index], found["upper_tails"][index]
        logit = np.log(mass / 2) - np.log1p(-mass / 2)
        logits = prior.logits(jnp.stack([lower, upper], axis=1))
        # Gradient descent, there, comes close to them.
        np.testing.assert_allclose(logits[:, 0], logit, rtol=1e-3)
        np.testing.assert_allclose(logits[:, 1], -logit, rtol=1e-3)
        np.testing.assert_allclose(prior.quantile(mass / 2), lower, atol=2e-3)
        np.testing.assert_allclose(prior.quantile(1 - mass / 2), upper, atol=2e-3)


def test_parameters_return_as_they_came(converted):
    found, prior, _ = converted
    back = tensorflow_compression.deep_factorized(prior)
    there = {name: a for name, a in found.items() if name.startswith("variables/")}
    assert len(back) == len(there)
    for name, array in back.items():
        np.testing.assert_array_equal(
            array, there[f"variables/DeepFactorized/{name}:0"], strict=True
        )


def test_biases_and_factors_may_lack_their_last_axis():
    made = FactorizedPrior(4, hidden_widths=(3, 2), rngs=nnx.Rngs(0))
    arrays = tensorflow_compression.deep_factorized(made)
    flat = {k: a if k.startswith("matrix") else a[..., 0] for k, a in arrays.items()}
    again = tensorflow_compression.deep_factorized(
        tensorflow_compression.factorized_prior(flat)
    )
    for name, array in arrays.items():
        np.testing.assert_array_equal(array, again[name], strict=True)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"bias_1": None}, "these lack bias_1$"),
        ({"matrix_1": None}, "of 3 layers .* these lack matrix_1$"),
        ({"matrix_2": None}, "these lack matrix_2$"),
        ({"factor_2": np.ones((4, 1, 1))}, "these have factor_2$"),
        ({"kernel": np.ones(3)}, "but one is 'kernel'$"),
        ({"a/bias_0:0": np.ones(3)}, "'bias_0' and 'a/bias_0:0' are of two$"),
        ({"matrix_1": np.ones((4, 2))}, r"inputs\), but has \(4, 2\)$"),
        ({"matrix_1": np.ones((4, 2, 2))}, r"\(4, 2, 3\) .* has \(4, 2, 2\)$"),
        ({"matrix_2": np.ones((4, 2, 2))}, r"\(4, 1, 2\) .* has \(4, 2, 2\)$"),
        ({"bias_0": np.ones((3, 3, 1))}, r"\(4, 3, 1\) .* has \(3, 3, 1\)$"),
        ({"factor_1": np.ones((4, 3, 1))}, r"\(4, 2, 1\) .* has \(4, 3, 1\)$"),
        ({"factor_0": np.full((4, 3, 1), np.nan)}, "^factor_0 must be finite"),
    ],
)
def test_what_is_no_prior_is_refused_in_a_line(changes, message):
    made = FactorizedPrior(4, hidden_widths=(3, 2), rngs=nnx.Rngs(0))
    changed = tensorflow_compression.deep_factorized(made) | changes
    given = {name: a for name, a in changed.items() if a is not None}
    with pytest.raises(UserError, match=message) as error:
        tensorflow_compression.factorized_prior(given)
    assert "\n" not in str(error.value)


def test_bits_of_a_gaussian_are_those_of_a_noisy_normal():
    found = group("normal")
    assert found["scale"].min() < 0.03 and found["scale"].max() > 1000
    bits = gaussian_bits(jnp.asarray(found["residual"]), jnp.asarray(found["scale"]))
    assert_same_bits("a noisy normal", bits.sum(1), found["bits"].sum(1))
    np.testing.assert_allclose(bits, found["bits"], rtol=1e-4, atol=1e-6)


def test_gradients_of_a_gaussian_are_those_of_a_noisy_normal():
    found = group("normal")
    total = lambda residual, scale: jnp.sum(gaussian_bits(residual, scale))
    gradients = jax.grad(total, (0, 1))(
        jnp.asarray(found["residual"]), jnp.asarray(found["scale"])
    )
    for gradient, name in zip(gradients, ("of_residual", "of_scale"), strict=True):
        largest = np.abs(found[name]).max(axis=1, keepdims=True)
        # Float32 leaves few digits of a slope over a step of 1/2000 of a scale.
        np.testing.assert_allclose(gradient / largest, found[name] / largest, atol=2e-3)
        np.testing.assert_allclose(
            gradient[:6] / largest[:6], found[name][:6] / largest[:6], atol=3e-4
        )


@pytest.mark.parametrize("kind", ["rounded", "noisy"])
def test_bits_are_those_of_a_location_scale_model(kind):
    found = group("location_scale")
    assert found["index"].min() < -1 and found["index"].max() > 64
    residual = jnp.asarray(found[kind] - found["mean"])
    bits = gaussian_bits(residual, scale_of(found["index"])).sum(1)
    assert_same_bits(f"a location-scale model, {kind}", bits, found[f"{kind}_bits"])


def test_latents_are_rounded_around_their_means_as_there():
    found = group("location_scale")
    rounded = np.round(found["latent"] - found["mean"]) + found["mean"]
    np.testing.assert_array_equal(rounded, found["rounded"])


@pytest.mark.parametrize("kind", ["rounded", "noisy"])
def test_bits_are_those_of_an_indexed_model(kind):
    found = group("indexed")
    index, mean_index = np.moveaxis(found["index"], -1, 0)
    mean = ((mean_index.clip(0, 8) - 4) / 8).astype(np.float32)
    bits = gaussian_bits(jnp.asarray(found[kind] - mean), scale_of(index)).sum(1)
    assert_same_bits(f"an indexed model, {kind}", bits, found[f"{kind}_bits"])


@pytest.mark.skipif(
    importlib.util.find_spec("codex") is None,
    reason="CoDeX is not installed: pip install --no-deps jax-codex==0.0.1",
)
@jax.numpy_rank_promotion("allow")
def test_bits_of_a_factorized_prior_are_those_of_codex():
    codex = importlib.import_module("codex")
    model = codex.ems.DeepFactorizedEntropyModel()
    values = jnp.asarray(group("factorized/codex")["noisy"][0])
    start = model.init(jax.random.key(0), values, method=model.bin_bits)
    rng = np.random.default_rng(0)
    parameters = jax.tree.map(
        lambda x: x + rng.normal(size=x.shape).astype(np.float32), start
    )
    found = model.apply(parameters, values, method=model.bin_bits)
    # In that release a matrix has its inputs first.
    variables = {
        name: np.swapaxes(x, 1, 2) if name.startswith("matrix") else np.asarray(x)
        for name, x in parameters["params"]["cdf_logits"].items()
    }
    prior = tensorflow_compression.factorized_prior(variables)
    np.testing.assert_allclose(prior.bits(values), found, rtol=1e-4)


def test_the_file_says_with_what_it_was_made():
    versions = dict(line.split() for line in FOUND["versions"])
    assert versions["tensorflow-compression"] == "2.14.1"
    assert set(versions) >= {"python", "tensorflow", "numpy"}


PYTHON = os.environ.get("JAXCORR_TFC_PYTHON")
"""Interpreter with TensorFlow Compression, which cannot have our JAX."""


@pytest.mark.skipif(PYTHON is None, reason="JAXCORR_TFC_PYTHON names no Python")
def test_the_file_is_what_tensorflow_compression_gives(tmp_path):
    command = [str(PYTHON), SCRIPT, tmp_path / "again.npz"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    with np.load(tmp_path / "again.npz") as again:
        assert set(again) == set(FOUND)
        for name, array in again.items():
            if array.dtype.kind == "f":
                # Wherever offsets are searched for, some digits are of the machine.
                np.testing.assert_allclose(
                    array, FOUND[name], rtol=1e-3, atol=1e-3, err_msg=name
                )
            elif name != "versions":
                np.testing.assert_array_equal(array, FOUND[name], err_msg=name)
