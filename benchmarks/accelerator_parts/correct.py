"""Compares the results of the accelerator with those of the CPU."""

import dataclasses
import functools
import importlib.util
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import jax
import numpy as np

from accelerator_parts import portable, setup
from accelerator_parts.results import Figures, Results
from accelerator_parts.sizes import Sizes
from jaxcorr.errors import UserError


@dataclasses.dataclass(frozen=True, kw_only=True)
class Mode:
    """Precision of the computation on both devices, and tolerances of its results.

    Tolerances are relative. By default, convolutions of float32 arrays may multiply in
    a shorter type (TF32 on a GPU, bfloat16 on a TPU); `highest` asks for float32.

    Attributes:
      dtype: Type in which analysis and synthesis compute.
      precision: Precision of products, as for `jax.default_matmul_precision`.
      loss: Tolerance of the loss.
      gradients: Tolerance of the gradients, as one vector.
      steps: Tolerance of the loss at each of several steps.
    """

    dtype: str
    precision: str | None
    loss: float
    gradients: float
    steps: float


MODES = {
    "float32 highest": Mode(
        dtype="float32", precision="highest", loss=1e-4, gradients=1e-3, steps=1e-3
    ),
    "float32": Mode(
        dtype="float32", precision=None, loss=1e-2, gradients=5e-2, steps=2e-2
    ),
    "bfloat16": Mode(
        dtype="bfloat16", precision=None, loss=2e-2, gradients=1e-1, steps=5e-2
    ),
}

EIGHT_DEVICES = ("tests/training/test_sharding.py",)
"""Test files that need eight devices."""


def run(results: Results, sizes: Sizes, **_: Any) -> None:
    """Compares gradients and steps, exchanges files, and runs the fast tests."""
    for name, model in sizes.checked.items():
        for mode in sizes.modes:
            results.measure(
                f"loss and gradients, {name}, {mode}",
                functools.partial(compare_gradients, model, MODES[mode], sizes),
            )
    name, model = next(iter(sizes.checked.items()))
    for mode in sizes.modes:
        results.measure(
            f"{sizes.steps} steps, {name}, {mode}",
            functools.partial(compare_steps, model, MODES[mode], sizes),
        )
    results.measure("files", functools.partial(_exchange, sizes))
    results.measure(
        "fast tests", lambda: fast_tests(sizes, seconds=results.budget.seconds)
    )


def compare_gradients(model, mode: Mode, sizes: Sizes) -> Figures:
    """Compares loss and gradients of a batch.

    Raises:
      UserError: If a distance exceeds the tolerance of the mode.
    """
    static_config = setup.static_config_of(model, mode.dtype, crop=sizes.crop)
    values = []
    for device in _devices():
        state, *rest = _arguments(static_config, sizes, device)
        with jax.default_matmul_precision(mode.precision):  # pyright: ignore
            value = setup.loss_and_gradients(
                state.parameters, *rest, static_config=static_config
            )
        values.append(jax.device_get(value))
    (loss, gradients), (expected, expected_gradients) = values
    return _checked(
        loss=(distance(loss, expected), mode.loss),
        gradients=(distance(gradients, expected_gradients), mode.gradients),
    )


def compare_steps(model, mode: Mode, sizes: Sizes) -> Figures:
    """Compares the loss over several train steps, and the parameters after them.

    Raises:
      UserError: If a loss differs from the CPU's by more than the tolerance.
    """
    static_config = setup.static_config_of(model, mode.dtype, crop=sizes.crop)
    losses, parameters = [], []
    for device in _devices():
        state, *rest = _arguments(static_config, sizes, device)
        values = []
        with jax.default_matmul_precision(mode.precision):  # pyright: ignore
            for _ in range(sizes.steps):
                state, metrics = setup.train_step(
                    state, *rest, static_config=static_config
                )
                values.append(metrics["loss"])
        losses.append(np.asarray(jax.device_get(values)))
        parameters.append(jax.device_get(state.parameters))
    difference = np.max(np.abs(losses[0] - losses[1]) / np.abs(losses[1]))
    figures = _checked(loss=(float(difference), mode.steps))
    return figures | {"parameters": distance(*parameters)}


def distance(first: Any, second: Any) -> float:
    """Returns the relative distance of two trees, taken as vectors.

    The norm of the difference over the norm of the second tree; infinite if a value is
    not finite.
    """
    vectors = [
        np.concatenate([np.ravel(np.asarray(x, np.float64)) for x in leaves])
        for leaves in (jax.tree.leaves(first), jax.tree.leaves(second))
    ]
    ratio = np.linalg.norm(vectors[0] - vectors[1]) / np.linalg.norm(vectors[1])
    return float(ratio) if np.isfinite(ratio) else float("inf")


def fast_tests(sizes: Sizes, *, seconds: float) -> Figures:
    """Runs the fast tests of the suite on the accelerator.

    Raises:
      UserError: If a test fails, or the tests take longer than `seconds`.
    """
    command = [sys.executable, "-m", "pytest", "-q", "-m", "fast", "-rfE", "--tb=line"]
    if sizes.test_processes > 1 and importlib.util.find_spec("xdist"):
        command += ["-n", str(sizes.test_processes)]
    if jax.default_backend() != "cpu" and jax.device_count() < 8:
        command += [f"--deselect={test}" for test in EIGHT_DEVICES]
    environment = portable.child_environment() | {"JAXCORR_TEST_PLATFORMS": ""}
    if jax.default_backend() == "cpu":
        environment.pop("JAXCORR_TEST_PLATFORMS")
    with tempfile.TemporaryDirectory() as folder:
        environment |= {"PYTEST_DEBUG_TEMPROOT": folder}
        try:
            done = subprocess.run(
                [*command, "-p", "no:cacheprovider", *sizes.fast_tests],
                cwd=portable.ROOT,
                env=environment,
                capture_output=True,
                text=True,
                timeout=max(1.0, seconds),
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise UserError(f"the tests took more than {seconds:.0f} s") from error
    lines = (done.stdout.strip() or done.stderr.strip() or "no output").splitlines()
    if done.returncode:
        names = [line.split(" - ")[0] for line in lines if line.startswith("FAILED")]
        raise UserError("; ".join([lines[-1].strip("= "), *names]))
    return {"result": lines[-1].strip("= ")}


def _exchange(sizes: Sizes) -> Figures:
    with tempfile.TemporaryDirectory() as folder:
        return portable.exchange_files(sizes, Path(folder))


def _arguments(static_config, sizes: Sizes, device: Any):
    """Draws the arguments on the first device, so that all devices get the same."""
    arguments = setup.step_arguments(
        static_config, batch=sizes.checked_batch, crop=sizes.crop
    )
    return jax.tree.map(functools.partial(jax.device_put, device=device), arguments)


def _devices() -> tuple[Any, Any]:
    """Returns the accelerator, and the CPU beside it."""
    return jax.devices()[0], jax.devices("cpu")[0]


def _checked(**distances: tuple[float, float]) -> Figures:
    """Returns distances by name, each given with its tolerance.

    Raises:
      UserError: If a distance exceeds its tolerance.
    """
    for name, (value, tolerance) in distances.items():
        if not value <= tolerance:
            raise UserError(
                f"{name} must be within {tolerance:g} of the CPU's, but differs by "
                f"{value:.3g}"
            )
    return {name: value for name, (value, _) in distances.items()}
