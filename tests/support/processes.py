"""Runs of two processes, which find each other by flags."""

import socket
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from jaxcorr.paths import AnyPath
from support.training_runs import Runs
from support.waiting import PATIENCE, wait_until


def free_port() -> int:
    """Returns a port that nobody listens at."""
    with socket.socket() as free_socket:
        free_socket.bind(("127.0.0.1", 0))
        return free_socket.getsockname()[1]


def connection(index: int, port: int, *, count: int = 2) -> list[str]:
    """Returns the flags by which a process finds the others."""
    return [
        *("--distributed.coordinator-address", f"127.0.0.1:{port}"),
        *("--distributed.num-processes", str(count)),
        *("--distributed.process-id", str(index)),
    ]


def start_two(
    runs: Runs,
    workdirs: Path | Sequence[AnyPath],
    *arguments: str,
    second: Sequence[str] = (),
    devices: int = 2,
    environment: Mapping[str, str] | None = None,
) -> list[subprocess.Popen[str]]:
    """Starts a run of two processes.

    Args:
      runs: Starts processes.
      workdirs: The run directory, or one for each process.
      *arguments: Arguments of both.
      second: More arguments of the second process.
      devices: Devices of each process.
      environment: More variables of the environment.
    """
    port = free_port()
    if isinstance(workdirs, Path):
        workdirs = [workdirs, workdirs]
    return [
        runs.start(
            workdirs[index],
            *arguments,
            *connection(index, port),
            *(second if index else ()),
            devices=devices,
            environment=environment,
        )
        for index in range(2)
    ]


def finish(processes: list[subprocess.Popen[str]]) -> list[tuple[int, str, str]]:
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


def wait_for_step(
    log: Path, step: int, processes: Sequence[subprocess.Popen[str]]
) -> None:
    """Waits until a run has logged a step."""
    line = f'"step": {step},'
    wait_until(lambda: log.exists() and line in log.read_text(), *processes)
