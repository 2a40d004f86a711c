"""Compares what the accelerator computes with what the CPU computes."""

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
    """How both devices compute, and how far apart they may be.

    Distances are relative. Convolutions of float32 arrays may use shorter products by
    default (TF32 on a GPU, bfloat16 on a TPU); `highest` asks for all digits.

    Attributes:
      dtype: What analysis and synthesis compute in.
      precision: Of products, as `jax.default_matmul_precision` has it.
      loss: Largest distance of the loss.
      gradients: Largest distance of the gradients, as one vector.
      steps: Largest distance of the loss at any of several steps.
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
"""Fast tests that need eight devices."""


def run(results: Results, sizes: Sizes, **_: Any) -> None:
    """Measures all distances, exchanges files, and runs the fast tests."""
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
    """Distances of loss and gradients of a batch.

    Raises:
      UserError: If one is larger than the mode allows.
    """
    static_config = setup.static_config_of(model, mode.dtype, crop=sizes.crop)
    found = []
    for device in _devices():
        state, *rest = _arguments(static_config, sizes, device)
        with jax.default_matmul_precision(mode.precision):  # pyright: ignore
            value = setup.loss_and_gradients(
                state.parameters, *rest, static_config=static_config
            )
        found.append(jax.device_get(value))
    (loss, gradients), (expected, expected_gradients) = found
    return _within(
        loss=(distance(loss, expected), mode.loss),
        gradients=(distance(gradients, expected_gradients), mode.gradients),
    )


def compare_steps(model, mode: Mode, sizes: Sizes) -> Figures:
    """Distances of the loss over several train steps, and of the parameters after them.

    Raises:
      UserError: If one is larger than the mode allows.
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
    apart = np.max(np.abs(losses[0] - losses[1]) / np.abs(losses[1]))
    figures = _within(loss=(float(apart), mode.steps))
    return figures | {"parameters": distance(*parameters)}


def distance(first: Any, second: Any) -> float:
    """Norm of a difference over the norm of the second, of trees as vectors.

    Infinite if something is not finite.
    """
    vectors = [
        np.concatenate([np.ravel(np.asarray(x, np.float64)) for x in leaves])
        for leaves in (jax.tree.leaves(first), jax.tree.leaves(second))
    ]
    apart = np.linalg.norm(vectors[0] - vectors[1]) / np.linalg.norm(vectors[1])
    return float(apart) if np.isfinite(apart) else float("inf")


def fast_tests(sizes: Sizes, *, seconds: float) -> Figures:
    """Runs the fast tests of the suite on the accelerator.

    Raises:
      UserError: If one fails, or they take longer than `seconds`.
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
        return portable.code_symbols(sizes, Path(folder))


def _arguments(static_config, sizes: Sizes, device: Any):
    """The same arguments on any device, drawn on the first."""
    return jax.device_put(
        setup.step_arguments(static_config, batch=sizes.checked_batch, crop=sizes.crop),
        device,
    )


def _devices() -> tuple[Any, Any]:
    """The accelerator, and the CPU beside it."""
    return jax.devices()[0], jax.devices("cpu")[0]


def _within(**distances: tuple[float, float]) -> Figures:
    """Distances by name.

    Raises:
      UserError: If one is larger than it may be.
    """
    for name, (value, largest) in distances.items():
        if not value <= largest:
            raise UserError(
                f"{name} must be within {largest:g} of the CPU's, but is {value:.3g} "
                "from it"
            )
    return {name: value for name, (value, _) in distances.items()}
