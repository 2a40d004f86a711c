"""An error in one of two real processes ends both, with a line that says why."""

import signal
import subprocess
import time
from collections.abc import Iterator

import pytest
from support.image_folders import coordinates, write
from support.paths import SCRIPTS
from support.processes import connection, finish, free_port, start_two, wait_for_step
from support.training_runs import Runs

from jaxcorr.errors import START_AGAIN
from jaxcorr.training import checkpoints

BOUND = 120
"""Seconds within which both processes must end."""
SETTINGS = ("--data.batch-size", "4", "--intervals.checkpoint-every", "5")
FAILING_TRACKER = """
class Tracker:
    def __init__(self, run): pass
    def images(self, name, images, *, step, member): pass
    def close(self): pass
    def scalars(self, values, *, step, member):
        if step >= 8:
            raise RuntimeError("the service is gone")
"""

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def runs(tmp_path_factory) -> Iterator[Runs]:
    with Runs(tmp_path_factory.mktemp("failures")) as runs:
        yield runs


def first_lines(processes: list[subprocess.Popen[str]]) -> list[str]:
    """Returns the first line of the errors of each process, after all have ended."""
    start = time.monotonic()
    results = finish(processes)
    assert time.monotonic() - start < BOUND
    return [errors.partition("\n")[0] for _, _, errors in results]


def test_hosts_without_a_shared_disk_are_refused(runs):
    workdirs = runs.folder / "disk_0", runs.folder / "disk_1"
    processes = start_two(runs, workdirs, *SETTINGS)
    first, second = first_lines(processes)
    assert [process.returncode for process in processes] == [2, 2]
    for line in (first, second):
        assert "process 1 (" in line and "does not see what process 0 (" in line
        assert "--workdir on a disk that all hosts share" in line
    assert not any(workdir.exists() for workdir in workdirs)


def test_an_error_on_one_host_ends_both(runs):
    photographs = runs.folder / "photographs"
    for number in range(4):
        write(photographs / f"{number}.png", coordinates(number))
    missing = ("--data.source", f"folder:{runs.folder / 'missing'}")
    processes = start_two(
        runs,
        runs.folder / "one_error",
        *SETTINGS,
        *("--data.source", f"folder:{photographs}"),
        second=missing,
    )
    lines = first_lines(processes)
    assert [process.returncode for process in processes] == [2, 2]
    for line in lines:
        assert line.startswith("jaxcorr: error: process 1 of 2 (")
        assert "missing is not a directory" in line


def test_hosts_with_other_images_are_refused(runs):
    folders = [runs.folder / f"photographs_of_{host}" for host in range(2)]
    for host, folder in enumerate(folders):
        for number in range(4 + host):
            write(folder / f"{number}.png", coordinates(number))
    processes = start_two(
        runs,
        runs.folder / "other_images",
        *SETTINGS,
        *("--data.source", f"folder:{folders[0]}"),
        second=("--data.source", f"folder:{folders[1]}"),
    )
    for line in first_lines(processes):
        assert line.startswith("jaxcorr: error: process 1 of 2 (")
        assert "other images (5 of 4) here than in process 0" in line
    assert [process.returncode for process in processes] == [2, 2]


@pytest.mark.parametrize("is_there", [True, False])
def test_training_in_python_is_watched_in_connected_processes(runs, is_there):
    photographs = runs.folder / "in_python"
    for number in range(4):
        write(photographs / f"{number}.png", coordinates(number))
    sources = photographs, photographs if is_there else runs.folder / "missing"
    address = f"127.0.0.1:{free_port()}"
    processes = [
        runs.launch(
            SCRIPTS / "train_connected.py",
            *(address, str(index), runs.config, runs.folder / f"python_{is_there}"),
            f"folder:{source}",
            devices=2,
        )
        for index, source in enumerate(sources)
    ]
    if is_there:
        for index, (status, output, errors) in enumerate(finish(processes)):
            assert status == 0, errors
            assert f"process {index} goes on" in output
        return
    for line in first_lines(processes):
        assert line.startswith("jaxcorr: error: process 1 of 2 (")
        assert "missing is not a directory" in line
    assert [process.returncode for process in processes] == [2, 2]


def test_an_error_during_training_ends_both(runs):
    """The tracker of the first process fails while the second waits for a gradient."""
    (runs.folder / "failing.py").write_text(FAILING_TRACKER)
    processes = start_two(
        runs,
        runs.folder / "error_in_training",
        *SETTINGS,
        *("--steps", "100000", "--log-to", "failing:Tracker"),
        environment={"PYTHONPATH": str(runs.folder)},
    )
    lines = first_lines(processes)
    assert [process.returncode for process in processes] == [1, 1]
    for line in lines:
        assert line.startswith("jaxcorr: error: process 0 of 2 (")
        assert "RuntimeError: the service is gone" in line


@pytest.mark.parametrize("killed", [0, 1])
def test_a_host_that_dies_ends_the_other_and_the_run_goes_on(runs, killed):
    workdir = runs.folder / f"killed_{killed}"
    processes = start_two(runs, workdir, *SETTINGS, "--steps", "100000")
    wait_for_step(workdir / "metrics.jsonl", 7, processes)
    if killed:
        assert_second_writer_is_refused(runs, workdir, processes[0].pid)
    processes[killed].send_signal(signal.SIGKILL)
    lines = first_lines(processes)
    assert processes[1 - killed].returncode == START_AGAIN
    line = lines[1 - killed]
    assert line.startswith(f"jaxcorr: error: process {killed} of 2 (")
    assert "gives no sign of life" in line and "start all again" in line
    saved = checkpoints.latest_step(workdir)
    assert saved >= 5
    status, output, errors = runs.finish(workdir, *SETTINGS, "--steps", str(saved + 1))
    assert status == 0, errors
    assert f"Resuming from step {saved} of {saved + 1}" in output


def assert_second_writer_is_refused(runs, workdir, pid):
    second = runs.start(workdir, *SETTINGS)
    (line,) = first_lines([second])
    assert second.returncode == 2
    assert f"{workdir} is being written by process {pid} on " in line
    assert "which started at 20" in line


def test_a_coordinator_that_is_not_there_ends_the_others(runs):
    last = runs.start(
        runs.folder / "lonely",
        *SETTINGS,
        *connection(1, free_port()),
        *("--distributed.timeout", "5"),
    )
    (line,) = first_lines([last])
    assert last.returncode == START_AGAIN
    assert line.startswith(
        "jaxcorr: error: process 1 of 2: process 0 cannot be reached"
    )
    assert "Connection refused" in line


def test_a_process_that_is_missing_ends_the_first(runs):
    first = runs.start(
        runs.folder / "incomplete",
        *SETTINGS,
        *connection(0, free_port(), count=3),
        *("--distributed.timeout", "3"),
    )
    (line,) = first_lines([first])
    assert first.returncode == START_AGAIN
    assert "process 0 of 3: processes 1, 2 of 3 did not connect within 3 s" in line
