"""Variants of the loss in TensorFlow equal those in JAX."""

import functools
import json
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from support.paths import ROOT

from jaxcorr import compatibility, correlation, correlation_variants, whitening

VECTORS = ROOT / "tests" / "references" / "loss_variants.npz"
UNBIASED = "unbiased_correlation_loss"


def averaged_bits(normalized):
    """Returns the bits at the moments of the last image, with a step on the others."""
    average, moments = map(
        whitening.neighbor_moments, (normalized[-1:], normalized[:-1])
    )
    return whitening.whitening_bits(jax.lax.stop_gradient(average - moments) + moments)


MODULES = {
    "averaged_bits": sys.modules[__name__],
    UNBIASED: correlation_variants,
    "part_maps": correlation_variants,
    "natural_weight": correlation_variants,
    "neighbor_moments": whitening,
    "whitening_bits": whitening,
    "whitening_loss": whitening,
}
CASES = {
    "images": (UNBIASED, [(3, 8, 9, 2)] * 3, {"window": 5, "mask": "box"}),
    "halves": (UNBIASED, [(1, 6, 15, 2)] * 3, {"window": 3, "scale_bound": 0.7}),
    "upright halves": (UNBIASED, [(1, 15, 6, 2)] * 3, {"window": 5}),
    "channels": (UNBIASED, [(2, 7, 9, 3)] * 3, {"pool_channels": False}),
    "maps": ("part_maps", [(2, 7, 6, 3)], {"window": 3}),
    "weight": ("natural_weight", [()], {"channels": 192, "stride": 8}),
    "moments": ("neighbor_moments", [(2, 7, 9, 3)], {}),
    "whitening": ("whitening_loss", [(2, 2, 9, 12, 3)], {"stride": 8}),
    "no batch": ("whitening_loss", [(9, 12, 3)], {"offset": True}),
    "smallest": ("neighbor_moments", [(1, 3, 5, 2)], {}),
}
"""Function, shapes of its arrays, and options."""
SIZES_NEEDED = {"halves", "upright halves"}

LATENTS = [[1, 8, 8, 1]] * 3
MISTAKES = {
    "no batch axis": (UNBIASED, [[8, 8, 1]] * 3, {}),
    "no images": (UNBIASED, [[0, 8, 8, 1]] * 3, {}),
    "a window of half an image": (UNBIASED, LATENTS, {"window": 5}),
    "a window of an image": (UNBIASED, [[2, 8, 8, 1]] * 3, {"window": 9}),
    "an even window": (UNBIASED, LATENTS, {"window": 4}),
    "an unknown mask": (UNBIASED, LATENTS, {"window": 3, "mask": "cross"}),
    "latents without channels": ("whitening_loss", [[8, 8]], {}),
    "no latents": ("whitening_loss", [[0, 8, 8, 1]], {}),
    "latents too low": ("whitening_loss", [[1, 2, 8, 1]], {}),
    "latents too narrow": ("whitening_loss", [[1, 8, 4, 1]], {}),
    "no stride": ("whitening_loss", [[1, 8, 8, 1]], {"stride": 0}),
    "a weight of no channels": ("natural_weight", [[]], {"channels": 0}),
    "moments of another shape": ("whitening_bits", [[13, 13]], {}),
}
"""Function, shapes of its arguments, and options of invalid calls."""


@pytest.fixture(scope="module")
def run(run_tensorflow):
    return functools.partial(run_tensorflow, "tensorflow_variants.py")


def arrays_of(name):
    """Samples latents and means that are correlated, and scales."""
    _, shapes, _ = CASES[name]
    rng = np.random.default_rng(list(CASES).index(name))
    arrays = [rng.uniform(0.3, 2.0, size=shape) for shape in shapes]
    arrays[0] = arrays[0] + (np.cumsum(arrays[0], -2) / 4 if shapes[0] else 0)
    return [np.asarray(array, np.float32) for array in arrays]


def value_and_gradients(function, arrays, options):
    """Returns the value of a variant in JAX, and the gradients of its sum."""

    @jax.jit
    def call(arrays):
        if function != UNBIASED and len(arrays) == 3:
            arrays = [correlation.normalize(*arrays)]
        value = getattr(MODULES[function], function)(*arrays, **options)
        return jnp.sum(value), value

    (_, value), gradients = jax.value_and_grad(call, has_aux=True)(arrays)
    return value, *gradients


def test_values_and_gradients_equal_those_of_jax(run):
    without = {name: ["sizes unknown"] * (name in SIZES_NEEDED) for name in CASES}
    cases = {
        name: (f, options, without[name]) for name, (f, _, options) in CASES.items()
    }
    arrays = {
        f"{name}/{index}": array
        for name in CASES
        for index, array in enumerate(arrays_of(name))
    }
    results = run("cases", cases=json.dumps(cases), **arrays)
    assert results["unwanted"].size == 0
    for name, (function, _, options) in CASES.items():
        expected = value_and_gradients(function, arrays_of(name), options)
        for way in {"eager", "graph", "compiled", "sizes unknown"} - {*without[name]}:
            for key, values in zip(("value", *range(3)), expected, strict=False):
                np.testing.assert_allclose(
                    results[f"{name}/{way}/{key}"],
                    values,
                    rtol=1e-4,
                    atol=1e-4 * np.abs(values).max(),
                    err_msg=f"{name}, {way}, {key}",
                )


def test_error_messages_equal_those_of_jax(run):
    messages = run("messages", calls=json.dumps(MISTAKES))
    for name, (function, shapes, options) in MISTAKES.items():
        with pytest.raises(ValueError) as error:
            getattr(MODULES[function], function)(*map(np.ones, shapes), **options)
        assert str(messages[name]) == str(error.value), name
    assert "`parts` must be at least 2" in str(messages["at run time: one image"])
    assert "at least 3 high and 5 wide" in str(
        messages["at run time: latents too narrow"]
    )
    assert "and not be empty" in str(messages["at run time: no latents"])


def test_an_average_of_moments_has_the_gradient_of_a_tangent(run):
    latents = arrays_of("moments")[0]
    moments = whitening.neighbor_moments(latents)
    average = 0.5 * (moments + whitening.neighbor_moments(latents[:, ::-1]))
    results = run("steps", latents=latents, average=average)

    def tangent(latents):
        change = whitening.neighbor_moments(latents) - average
        bits, slope = jax.jvp(whitening.whitening_bits, (average,), (change,))
        return jnp.sum(slope), jnp.sum(bits)

    gradient, bits = jax.grad(tangent, has_aux=True)(latents)
    np.testing.assert_allclose(results["bits"], bits, rtol=1e-3)
    np.testing.assert_allclose(results["gradient"], gradient, rtol=1e-2, atol=1e-4)


@pytest.mark.fast
def test_jax_gives_what_tensorflow_gave():
    with np.load(VECTORS) as vectors, compatibility.enable_x64(True):
        for name, (function, images, options) in json.loads(
            str(vectors["calls"])
        ).items():
            names = ("latent", "mean", "scale")
            given = [vectors[key][:images] for key in names]
            found = value_and_gradients(function, given, options)
            for key, values in zip(("value", *names), found, strict=True):
                expected = vectors[f"{name}/{key}"]
                np.testing.assert_allclose(
                    values, expected, rtol=1e-8, atol=1e-10, err_msg=f"{name}/{key}"
                )
