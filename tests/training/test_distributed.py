"""Runs in two processes, against a run in one process."""

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from support.processes import finish, start_two, wait_for_step
from support.training_runs import STEPS, Runs

from jaxcorr.errors import START_AGAIN
from jaxcorr.training import checkpoints, distributed


@pytest.fixture(scope="module")
def runs(tmp_path_factory) -> Iterator[Runs]:
    with Runs(tmp_path_factory.mktemp("processes")) as runs:
        yield runs


SETTINGS = ("--intervals.eval-every", str(STEPS))


def train_alone(runs: Runs, workdir: Path, *arguments: str) -> Path:
    """Trains in one process, on one device."""
    status, _, errors = runs.finish(workdir, *SETTINGS, *arguments)
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
def test_two_processes_with_shared_parameters_train_like_one(runs):
    workdir, batch = runs.folder / "two", ("--data.batch-size", "4")
    alone = train_alone(runs, runs.folder / "alone_with_4", *batch)
    shared = (*SETTINGS, *batch, "--mesh.fsdp", "4")
    first, second = finish(start_two(runs, workdir, *shared))
    assert (first[0], second[0]) == (0, 0), first[2] + second[2]
    assert "4 cpu device(s)" in first[1] and "Photographs" in first[1]
    for index, (_, output, _) in enumerate((first, second)):
        assert output.startswith(f"process {index} of 2 on ")
    assert "step" not in second[1] and "Photographs" not in second[1]
    assert_same_losses(workdir, alone)


@pytest.mark.slow
def test_a_signal_to_one_process_stops_both_and_one_process_can_resume(runs):
    workdir, alone = runs.folder / "stopped", runs.folder / "alone"
    train_alone(runs, alone)
    # A checkpoint at each step, so that the signal reaches both before the run ends.
    often = (*SETTINGS, "--intervals.checkpoint-every", "1")
    processes = start_two(runs, workdir, *often, devices=1)
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
