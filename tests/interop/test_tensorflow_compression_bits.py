"""Bits of the entropy models equal those of TensorFlow Compression (TFC)."""

import os
import subprocess

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from references.entropy import FOUND, PRIORS, SCRIPT, assert_same_bits, group
from support.codex_homes import HOMES, import_with_codex

from jaxcorr.entropy import tables
from jaxcorr.entropy.factorized import FactorizedPrior
from jaxcorr.entropy.gaussian import gaussian_bits
from jaxcorr.errors import UserError
from jaxcorr.interop import tensorflow_compression

pytestmark = pytest.mark.fast


@pytest.fixture(scope="module", params=PRIORS)
def converted(request):
    """Arrays that TFC computed with a prior, the converted prior, and its widths."""
    expected = group(f"factorized/{request.param}")
    prior = tensorflow_compression.factorized_prior(
        group(f"factorized/{request.param}/variables")
    )
    return expected, prior, PRIORS[request.param]


def scale_of(index):
    """Returns the scale of an index of TFC's models, interpolated in our table."""
    logs = np.interp(index, np.arange(tables.SCALES.size), np.log(tables.SCALES))
    return jnp.asarray(np.exp(logs), jnp.float32)


def test_converted_prior_has_the_widths_of_the_variables(converted):
    _, prior, widths = converted
    assert [bias.shape[1] for bias in prior.biases] == [*widths, 1]


def test_factorized_prior_gives_the_bits_of_noisy_deep_factorized(converted):
    expected, prior, _ = converted
    bits = prior.bits(jnp.asarray(expected["values"]))
    # 60 values of each channel near its median, then 6 up to 30 times as far away.
    name = f"a factorized prior of widths {converted[2]}"
    assert_same_bits(name, bits[:60].sum(), expected["bits"][:60].sum())
    assert_same_bits(f"{name}, tails", bits[60:].sum(), expected["bits"][60:].sum())
    np.testing.assert_allclose(bits, expected["bits"], rtol=1e-5)
    assert expected["bits"].max() > 250


@pytest.mark.parametrize("kind", ["rounded", "noisy"])
def test_factorized_prior_gives_the_bits_of_a_batched_entropy_model(converted, kind):
    expected, prior, _ = converted
    bits = prior.bits(jnp.asarray(expected[kind])).sum((1, 2))
    assert_same_bits(f"a batched model, {kind}", bits, expected[f"{kind}_bits"])


def test_side_information_is_rounded_to_the_grid_of_tfc(converted):
    expected, prior, _ = converted
    median = np.asarray(prior.median())
    # TFC's offset is the median minus the nearest integer: the same grid.
    offset = median - np.round(median)
    np.testing.assert_allclose(offset, expected["offset"], atol=2e-4)
    rounded = np.round(expected["given"] - median) + median
    np.testing.assert_allclose(rounded, expected["rounded"], atol=2e-4)


def test_tails_are_quantiles_of_half_the_tail_mass(converted):
    expected, prior, _ = converted
    for index, mass in enumerate((2**-8, 1e-6)):
        lower, upper = expected["lower_tails"][index], expected["upper_tails"][index]
        logit = np.log(mass / 2) - np.log1p(-mass / 2)
        logits = prior.logits(jnp.stack([lower, upper], axis=1))
        # TFC finds the tails approximately, by gradient descent.
        np.testing.assert_allclose(logits[:, 0], logit, rtol=1e-3)
        np.testing.assert_allclose(logits[:, 1], -logit, rtol=1e-3)
        np.testing.assert_allclose(prior.quantile(mass / 2), lower, atol=2e-3)
        np.testing.assert_allclose(prior.quantile(1 - mass / 2), upper, atol=2e-3)


def test_converting_back_gives_the_variables_of_tfc(converted):
    expected, prior, _ = converted
    back = tensorflow_compression.deep_factorized(prior)
    variables = {k: x for k, x in expected.items() if k.startswith("variables/")}
    assert len(back) == len(variables)
    for name, array in back.items():
        np.testing.assert_array_equal(
            array, variables[f"variables/DeepFactorized/{name}:0"], strict=True
        )


def test_biases_and_factors_may_lack_their_last_axis():
    prior = FactorizedPrior(4, hidden_widths=(3, 2), rngs=nnx.Rngs(0))
    arrays = tensorflow_compression.deep_factorized(prior)
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
def test_variables_of_no_prior_are_refused_in_one_line(changes, message):
    prior = FactorizedPrior(4, hidden_widths=(3, 2), rngs=nnx.Rngs(0))
    changed = tensorflow_compression.deep_factorized(prior) | changes
    variables = {name: a for name, a in changed.items() if a is not None}
    with pytest.raises(UserError, match=message) as error:
        tensorflow_compression.factorized_prior(variables)
    assert "\n" not in str(error.value)


def test_gaussian_bits_are_those_of_noisy_normal():
    expected = group("normal")
    assert expected["scale"].min() < 0.03 and expected["scale"].max() > 1000
    bits = gaussian_bits(
        jnp.asarray(expected["residual"]), jnp.asarray(expected["scale"])
    )
    assert_same_bits("a noisy normal", bits.sum(1), expected["bits"].sum(1))
    np.testing.assert_allclose(bits, expected["bits"], rtol=1e-4, atol=1e-6)


def test_gradients_of_gaussian_bits_are_those_of_noisy_normal():
    expected = group("normal")

    def total(residual, scale):
        return jnp.sum(gaussian_bits(residual, scale))

    gradients = jax.grad(total, (0, 1))(
        jnp.asarray(expected["residual"]), jnp.asarray(expected["scale"])
    )
    for gradient, name in zip(gradients, ("of_residual", "of_scale"), strict=True):
        largest = np.abs(expected[name]).max(axis=1, keepdims=True)
        # Float32 leaves few digits of a slope over a step of 1/2000 of a scale.
        np.testing.assert_allclose(
            gradient / largest, expected[name] / largest, atol=2e-3
        )
        np.testing.assert_allclose(
            gradient[:6] / largest[:6], expected[name][:6] / largest[:6], atol=3e-4
        )


@pytest.mark.parametrize("kind", ["rounded", "noisy"])
def test_gaussian_bits_are_those_of_a_location_scale_model(kind):
    expected = group("location_scale")
    assert expected["index"].min() < -1 and expected["index"].max() > 64
    residual = jnp.asarray(expected[kind] - expected["mean"])
    bits = gaussian_bits(residual, scale_of(expected["index"])).sum(1)
    assert_same_bits(f"a location-scale model, {kind}", bits, expected[f"{kind}_bits"])


def test_latents_are_rounded_around_their_means_as_in_tfc():
    expected = group("location_scale")
    rounded = np.round(expected["latent"] - expected["mean"]) + expected["mean"]
    np.testing.assert_array_equal(rounded, expected["rounded"])


@pytest.mark.parametrize("kind", ["rounded", "noisy"])
def test_gaussian_bits_are_those_of_an_indexed_model(kind):
    expected = group("indexed")
    index, mean_index = np.moveaxis(expected["index"], -1, 0)
    mean = ((mean_index.clip(0, 8) - 4) / 8).astype(np.float32)
    bits = gaussian_bits(jnp.asarray(expected[kind] - mean), scale_of(index)).sum(1)
    assert_same_bits(f"an indexed model, {kind}", bits, expected[f"{kind}_bits"])


@pytest.mark.parametrize("home", HOMES)
@jax.numpy_rank_promotion("allow")
def test_bits_of_a_factorized_prior_are_those_of_codex(home, monkeypatch):
    example = import_with_codex(home, monkeypatch, "linen_codec")
    values = jnp.asarray(group("factorized/codex")["noisy"][0])
    model = example.factorized_prior(values.shape[-1])
    start = model.init(jax.random.key(0), values, method=model.bin_bits)
    rng = np.random.default_rng(0)
    parameters = jax.tree.map(
        lambda x: x + rng.normal(size=x.shape).astype(np.float32), start
    )
    expected = model.apply(parameters, values, method=model.bin_bits)
    variables = {
        name: np.asarray(x) for name, x in parameters["params"]["cdf_logits"].items()
    }
    if variables["matrix_0"].shape[1:] == (1, 3):
        # Matrices of the release have their inputs first.
        for name in ("matrix_0", "matrix_1", "matrix_2", "matrix_3"):
            variables[name] = variables[name].swapaxes(1, 2)
    prior = tensorflow_compression.factorized_prior(variables)
    np.testing.assert_allclose(prior.bits(values), expected, rtol=1e-4)


def test_reference_file_names_the_versions_that_wrote_it():
    versions = dict(line.split() for line in FOUND["versions"])
    assert versions["tensorflow-compression"] == "2.14.1"
    assert set(versions) >= {"python", "tensorflow", "numpy"}


PYTHON = os.environ.get("JAXCORR_TFC_PYTHON")
"""Python of an environment with TensorFlow Compression, which excludes our JAX."""


@pytest.mark.skipif(PYTHON is None, reason="JAXCORR_TFC_PYTHON names no Python")
def test_tfc_writes_the_reference_file_again(tmp_path):
    command = [str(PYTHON), SCRIPT, tmp_path / "again.npz"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    with np.load(tmp_path / "again.npz") as again:
        assert set(again) == set(FOUND)
        for name, array in again.items():
            if array.dtype.kind == "f":
                # The search for offsets gives last digits that depend on the machine.
                np.testing.assert_allclose(
                    array, FOUND[name], rtol=1e-3, atol=1e-3, err_msg=name
                )
            elif name != "versions":
                np.testing.assert_array_equal(array, FOUND[name], err_msg=name)
