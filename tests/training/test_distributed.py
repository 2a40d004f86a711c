"""Runs in two processes, against a run in one process."""

import json
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from support.training_runs import PATIENCE, STEPS, Runs

from jaxcorr.cli.train import START_AGAIN
from jaxcorr.errors import UserError
from jaxcorr.training import checkpoints, distributed
from jaxcorr.training.distributed import DistributedConfig


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


def start_two(
    runs: Runs, workdir: Path, *arguments: str, devices: int
) -> list[subprocess.Popen]:
    with socket.socket() as free_socket:
        free_socket.bind(("127.0.0.1", 0))
        port = free_socket.getsockname()[1]
    connection = ["--distributed.coordinator-address", f"127.0.0.1:{port}"]
    connection += ["--distributed.num-processes", "2", "--distributed.process-id"]
    return [
        runs.start(
            workdir, *SETTINGS, *arguments, *connection, str(index), devices=devices
        )
        for index in range(2)
    ]


def finish_two(processes: list[subprocess.Popen]) -> list[tuple[int, str, str]]:
    """Returns exit status, standard output and standard error of each process."""
    try:
        outputs = [process.communicate(timeout=PATIENCE) for process in processes]
    finally:
        for process in processes:
            process.kill()
    return [
        (process.returncode, *output)
        for process, output in zip(processes, outputs, strict=True)
    ]


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
    shared = (*batch, "--mesh.fsdp", "4")
    first, second = finish_two(start_two(runs, workdir, *shared, devices=2))
    assert (first[0], second[0]) == (0, 0), first[2] + second[2]
    assert "4 cpu device(s)" in first[1] and "Photographs" in first[1]
    assert "step" not in second[1] and "Photographs" not in second[1]
    assert_same_losses(workdir, alone)


def test_a_signal_to_one_process_stops_both_and_one_process_can_resume(runs):
    workdir, alone = runs.folder / "stopped", runs.folder / "alone"
    train_alone(runs, alone)
    # A checkpoint at each step, so that the signal reaches both before the run ends.
    often = ("--intervals.checkpoint-every", "1")
    processes = start_two(runs, workdir, *often, devices=1)
    log, deadline = workdir / "metrics.jsonl", time.monotonic() + PATIENCE
    while not (log.exists() and '"step": 3' in log.read_text()):
        assert processes[0].poll() is None and time.monotonic() < deadline
        time.sleep(0.001)
    processes[1].send_signal(signal.SIGTERM)
    first, second = finish_two(processes)
    assert (first[0], second[0]) == (START_AGAIN,) * 2, first[2] + second[2]
    saved = checkpoints.latest_step(workdir)
    assert 3 <= saved < STEPS
    assert f"Stopped after step {saved} and saved a checkpoint" in first[1]
    status, output, errors = runs.finish(workdir, *SETTINGS)
    assert (status, errors) == (0, "")
    assert f"Resuming from step {saved} of {STEPS}" in output
    assert_same_losses(workdir, alone)


def test_an_incomplete_or_contradictory_config_is_refused():
    with pytest.raises(UserError, match="must be given together, but are a:1, 2 and"):
        DistributedConfig(coordinator_address="a:1", num_processes=2)
    with pytest.raises(UserError, match=r"must be from 0 to num_processes - 1 \(1\)"):
        DistributedConfig(coordinator_address="a:1", num_processes=2, process_id=2)


def test_a_single_process_connects_to_no_other(monkeypatch):
    monkeypatch.setenv("SLURM_STEP_NUM_TASKS", "1")
    distributed.initialize(DistributedConfig())
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
