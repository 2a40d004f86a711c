"""The loss in TensorFlow equals that in JAX, in values, gradients and messages."""

import functools
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxcorr import compatibility, correlation

RESULTS = ("loss", "latent", "mean", "scale")
CASES = {
    "defaults": ((2, 9, 12, 4), "float32", "point", {}),
    "one image without a batch axis": ((8, 7, 3), "float32", "box", {}),
    "two batch axes": ((2, 2, 7, 9, 2), "float32", "long_cross", {"window": 5}),
    "a window as large as the latents": (
        (3, 5, 5, 6),
        "float32",
        "point",
        {"window": 5},
    ),
    "the smallest window": ((1, 4, 11, 2), "float32", "short_cross", {"window": 3}),
    "weights": ((2, 8, 9, 3), "float32", "weights", {"window": 5}),
    "a map per channel": ((2, 8, 9, 3), "float32", "point", {"pool_channels": False}),
    "a stopped scale": (
        (2, 8, 9, 3),
        "float32",
        "point",
        {"stop_scale_gradient": True},
    ),
    "a high bound": ((2, 8, 9, 3), "float32", "point", {"scale_bound": 0.7}),
    "float64": ((2, 8, 9, 3), "float64", "point", {}),
    "bfloat16": ((2, 8, 9, 3), "bfloat16", "point", {}),
    "float16": ((2, 8, 9, 3), "float16", "point", {"window": 3}),
}
"""Shape, dtype (or the dtype of each array), mask and options of calls of the loss."""


def random_case(seed):
    """Samples a shape, dtypes, a mask and options that fit together."""
    rng = np.random.default_rng(seed)
    shape = (int(rng.integers(1, 4)), *map(int, rng.integers((7, 7, 1), (14, 14, 6))))
    windows = [window for window in (3, 5, 7, 9, 11) if window <= min(shape[1:3])]
    options = {
        "window": int(rng.choice(windows)),
        "scale_bound": float(rng.uniform(0.05, 0.5)),
        "stop_scale_gradient": bool(rng.integers(2)),
        "pool_channels": bool(rng.integers(2)),
    }
    masks = ("point", "short_cross", "long_cross", "weights")
    dtypes = rng.choice(("float32", "float64", "bfloat16"), 3, p=(0.4, 0.3, 0.3))
    return shape, ",".join(dtypes), str(rng.choice(masks)), options


CASES |= {f"random {seed}": random_case(seed) for seed in range(12)}

LATENTS = [[1, 8, 9, 2]] * 3
MISTAKES = {
    "an even window": ("correlation_loss", LATENTS, {"window": 4}),
    "a window of 1": ("correlation_map", LATENTS[:1], {"window": 1}),
    "a window too large": ("correlation_loss", LATENTS, {"window": 9}),
    "latents without channels": ("correlation_loss", [[8, 8]] * 3, {}),
    "no latents": ("correlation_map", [[0, 8, 8, 1]], {}),
    "another shape": ("correlation_loss", [[1, 8, 8, 2], *LATENTS[1:]], {}),
    "another rank": ("correlation_loss", [*LATENTS[:2], [8, 9, 2]], {}),
    "a bound of 0": ("correlation_loss", LATENTS, {"scale_bound": 0.0}),
    "an unknown mask": ("correlation_loss", LATENTS, {"mask": "cross"}),
    "a mask without cells": ("correlation_loss", LATENTS, {"mask": "box", "window": 3}),
    "a mask of another shape": ("masked_norm", [[7, 7], [5, 5]], {}),
    "a mask of another rank": ("masked_norm", [[7, 7], [7]], {}),
    "a map of one axis": ("masked_norm", [[7]], {"mask": "point"}),
    "a map that is not square": ("masked_norm", [[7, 5]], {"mask": "point"}),
    "a map of even side": ("masked_norm", [[4, 4]], {"mask": "point"}),
}
"""Function, shapes of its arguments, and options of invalid calls."""


@pytest.fixture(scope="module")
def run(run_tensorflow):
    return functools.partial(run_tensorflow, "tensorflow_port.py")


def arrays_of(name):
    """Samples correlated latents, means and scales, and the weights of a mask."""
    shape, dtype, mask, options = CASES[name]
    rng = np.random.default_rng(list(CASES).index(name))
    latent = rng.normal(size=shape) + 0.5 * rng.normal(size=(*shape[:-2], 1, 1))
    scale = rng.uniform(0.05, 2.0, size=shape)
    precision = np.float64 if "float64" in dtype else np.float32
    arrays = {"latent": latent, "mean": 0.1 * rng.normal(size=shape), "scale": scale}
    if mask == "weights":
        window = options["window"]
        arrays["mask"] = rng.uniform(-1, 1, (window, window))
    return {array: value.astype(precision) for array, value in arrays.items()}


def dtypes_of(dtype):
    return dtype.split(",") * 3 if "," not in dtype else dtype.split(",")


def expected(name):
    """Returns the loss and its gradients by JAX."""
    _, dtype, mask, options = CASES[name]
    arrays = arrays_of(name)
    mask = arrays.pop("mask", mask)
    with compatibility.enable_x64("float64" in dtype):
        loss, gradients = jax.value_and_grad(
            lambda arrays: correlation.correlation_loss(*arrays, mask=mask, **options)
        )(list(map(jnp.asarray, arrays.values(), dtypes_of(dtype))))
        return [np.asarray(value, np.float64) for value in (loss, *gradients)]


def test_values_and_gradients_equal_those_of_jax(run):
    arrays = {
        f"{name}/{array}": value
        for name in CASES
        for array, value in arrays_of(name).items()
    }
    calls = {
        name: {"types": dtypes_of(dtype), "mask": mask, "options": options}
        for name, (_, dtype, mask, options) in CASES.items()
    }
    results = run("cases", cases=json.dumps(calls), **arrays)
    assert results["unwanted"].size == 0
    for name, (_, dtype, _, _) in CASES.items():
        # Gradients have the dtypes of the arrays, which may be of 16 bits.
        tolerances = [
            {"bfloat16": 2**-8, "float16": 2**-11}.get(result_dtype, 1e-5)
            for result_dtype in ("float32", *dtypes_of(dtype))
        ]
        for way in ("eager", "graph", "compiled", "sizes unknown"):
            if f"{name}/{way}/loss" not in results:
                assert name.startswith("random"), "every other case is run in each way"
                continue
            for result, value, tolerance in zip(
                RESULTS, expected(name), tolerances, strict=True
            ):
                np.testing.assert_allclose(
                    results[f"{name}/{way}/{result}"],
                    value,
                    rtol=tolerance,
                    atol=1e-5,
                    err_msg=f"{name}, {way}, {result}",
                )


def test_error_messages_equal_those_of_jax(run):
    messages = run("messages", calls=json.dumps(MISTAKES))
    for name, (function, shapes, options) in MISTAKES.items():
        with pytest.raises(ValueError) as error:
            getattr(correlation, function)(*map(np.ones, shapes), **options)
        assert str(messages[name]) == str(error.value)
    assert "`window` must be odd, at least 3" in str(messages["at run time: window"])
    assert "must have the same shape" in str(messages["at run time: shape"])
    assert "and not be empty" in str(messages["at run time: no latents"])


def test_replicas_have_the_loss_of_the_global_batch(run):
    rng = np.random.default_rng(0)
    batch = rng.normal(size=(4, 9, 8, 2)) + rng.normal(size=(4, 1, 1, 2))
    results = run("replicas", batch=batch.astype(np.float32))
    np.testing.assert_allclose(
        results["two replicas"], results["one device"], rtol=1e-5
    )
    # The mean of the losses of the replicas' own batches is a different loss.
    mean_of_losses = results["mean of their own losses"][0]
    assert mean_of_losses > 1.01 * results["one device"][0]
