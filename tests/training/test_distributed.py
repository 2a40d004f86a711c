"""A run in two processes with two devices each, against a run in one process."""

import json
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from support.processes import finish, start_two, wait_for_step
from support.training_runs import Runs

from jaxcorr.runtime import START_AGAIN
from jaxcorr.training import checkpoints, distributed

STEPS = 20
SETTINGS = ("--data.batch-size", "4", "--steps", str(STEPS))


@pytest.fixture(scope="module")
def runs(tmp_path_factory) -> Runs:
    return Runs(tmp_path_factory.mktemp("processes"))


@pytest.fixture(scope="module")
def alone(runs) -> Path:
    """The run in one process, on one device."""
    workdir = runs.folder / "alone"
    status, _, errors = runs.finish(workdir, *SETTINGS)
    assert (status, errors) == (0, "")
    return workdir


def losses(workdir: Path) -> dict[int, float]:
    lines = (workdir / "metrics.jsonl").read_text().splitlines()
    return {record["step"]: record["loss"] for record in map(json.loads, lines)}


def assert_same_losses(workdir: Path, expected_workdir: Path) -> None:
    actual, expected = losses(workdir), losses(expected_workdir)
    assert list(actual) == list(expected) == list(range(1, STEPS + 1))
    np.testing.assert_allclose(
        list(actual.values()), list(expected.values()), rtol=1e-5
    )


@pytest.mark.slow
def test_two_processes_with_shared_parameters_train_like_one(runs, alone):
    workdir = runs.folder / "two"
    first, second = finish(start_two(runs, workdir, *SETTINGS, "--mesh.fsdp", "4"))
    assert (first[0], second[0]) == (0, 0), first[2] + second[2]
    assert "4 cpu device(s)" in first[1] and "Photographs" in first[1]
    for index, (_, output, _) in enumerate((first, second)):
        assert output.startswith(f"process {index} of 2 on ")
    assert "step" not in second[1] and "Photographs" not in second[1]
    assert_same_losses(workdir, alone)


def test_a_signal_to_one_process_stops_both_and_one_process_can_resume(runs, alone):
    workdir = runs.folder / "stopped"
    # A checkpoint at each step, so that the signal reaches both before the run ends.
    every = ("--intervals.checkpoint-every", "1")
    processes = start_two(runs, workdir, *SETTINGS, *every)
    wait_for_step(workdir / "metrics.jsonl", 3, processes)
    processes[1].send_signal(signal.SIGTERM)
    first, second = finish(processes)
    assert (first[0], second[0]) == (START_AGAIN,) * 2, first[2] + second[2]
    saved = checkpoints.latest_step(workdir)
    assert 3 <= saved < STEPS
    assert f"Stopped after step {saved} and saved a checkpoint" in first[1]
    status, output, errors = runs.finish(workdir, *SETTINGS)
    assert (status, errors) == (0, "")
    assert f"Resuming from step {saved} of {STEPS}" in output
    assert_same_losses(workdir, alone)


def test_a_single_process_agrees_with_itself():
    assert distributed.is_first_process()
    assert distributed.broadcast_from_first(7) == 7
    assert distributed.all_processes(True) and not distributed.all_processes(False)


def test_a_config_is_read_before_any_device_is_touched(runs):
    """Processes must connect before that."""
    program = (
        "import sys, jax; from jaxcorr import config_files, trainer; "
        "config_files.parse_config(sys.argv[1:], program=''); "
        "assert not jax._src.xla_bridge.backends_are_initialized()"
    )
    python = [sys.executable, "-c", program, str(runs.config)]
    assert subprocess.run(python).returncode == 0
