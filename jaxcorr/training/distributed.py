"""Runs with several processes, on one host or on many.

Every process runs the same program, has its own devices and reads its own rows of a
batch. The functions of this module let all processes take the same decisions.
"""

import contextlib
import dataclasses
import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import jax
import numpy as np
from jax.experimental import multihost_utils

from jaxcorr import serialization
from jaxcorr.errors import FieldError, UserError, require


@serialization.stored("Processes")
@dataclasses.dataclass(frozen=True, kw_only=True)
class DistributedConfig:
    """Processes of a run. TPU pods, Slurm and Open MPI need none of these settings."""

    coordinator_address: str | None = None
    """Host and port of the first process, such as 10.0.0.1:8476. None on TPU pods, with
    Slurm or Open MPI, and for a single process."""
    num_processes: int | None = None
    """Number of processes of the run. Required with a coordinator address."""
    process_id: int | None = None
    """Number of this process, from 0. Required with a coordinator address."""

    def __post_init__(self):
        """Checks that all fields are set or none, and the range of `process_id`."""
        names = [field.name for field in dataclasses.fields(self)]
        given = [getattr(self, name) is not None for name in names]
        if any(given) and not all(given):
            raise FieldError(
                self,
                "coordinator_address",
                "and num_processes and process_id must be given together, but are "
                f"{self.coordinator_address}, {self.num_processes} and "
                f"{self.process_id}",
            )
        if self.process_id is not None and self.num_processes is not None:
            rule = f"from 0 to num_processes - 1 ({self.num_processes - 1})"
            in_range = 0 <= self.process_id < self.num_processes
            require(self, "process_id", rule, in_range)


def initialize(config: DistributedConfig) -> None:
    """Connects to the other processes of the run, if there are any.

    Call it before anything uses a device.

    Raises:
      UserError: If not all processes connect.
    """
    announced = config.coordinator_address is not None or _is_launched_with_others()
    if not announced and not _has_tpu():
        return
    try:
        jax.distributed.initialize(
            config.coordinator_address, config.num_processes, config.process_id
        )
    except (ValueError, RuntimeError) as error:
        if announced:
            reason = str(error).partition("\n")[0]
            raise UserError(f"the processes could not connect: {reason}") from error
        # A host with TPUs that is not part of a pod: this is the only process.


def shutdown() -> None:
    """Waits for the other processes, then disconnects. Call it at the end of a run."""
    if jax.process_count() > 1:
        jax.distributed.shutdown()


def is_first_process() -> bool:
    """Returns whether this process is the one that prints and writes logs."""
    return jax.process_index() == 0


def broadcast_from_first(value: int) -> int:
    """Returns the value of the first process, in every process."""
    if jax.process_count() == 1:
        return value
    return int(multihost_utils.broadcast_one_to_all(np.int32(value)))


def all_processes(value: bool) -> bool:
    """Returns whether `value` is true in every process."""
    if jax.process_count() == 1:
        return value
    return bool(np.all(multihost_utils.process_allgather(np.array(value))))


class StopRequests:
    """Requests to stop that arrived in this process, or in another one of the run.

    Attributes:
      by_user: Whether Ctrl-C was pressed in this process.
    """

    def __init__(self) -> None:
        self.by_user = False
        self._is_only_process = jax.process_count() == 1
        self._requested = threading.Event()

    def request(self, number: int) -> None:
        """Requests a stop, for a signal with this number."""
        self.by_user |= number == signal.SIGINT
        if self._is_only_process:
            self._requested.set()
        else:
            os.kill(os.getpid(), signal.SIGTERM)

    def stop_after(self, step: int) -> bool:
        """Returns whether to stop after a step. Call it after every step.

        With several processes, a request to one of them stops all after the same step.
        """
        if self._is_only_process:
            return self._requested.is_set()
        return multihost_utils.reached_preemption_sync_point(step)


@contextlib.contextmanager
def stop_requests() -> Iterator[StopRequests]:
    """Records SIGTERM and Ctrl-C as requests to stop. A second Ctrl-C interrupts."""
    requests = StopRequests()

    def request_stop(number, _):
        requests.request(number)
        if number == signal.SIGINT:
            signal.signal(number, previous[number])

    # With several processes JAX handles SIGTERM, and lets the others know.
    is_only_process = jax.process_count() == 1
    handled = [signal.SIGTERM, signal.SIGINT] if is_only_process else [signal.SIGINT]
    if threading.current_thread() is not threading.main_thread():
        handled = []  # Python allows signal handlers only in the main thread.
    previous = {number: signal.signal(number, request_stop) for number in handled}
    try:
        yield requests
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


def _is_launched_with_others() -> bool:
    """Returns whether Slurm, Open MPI or JAX variables announce several processes."""

    def is_several(name: str) -> bool:
        return int(os.environ.get(name, "1")) > 1

    return (
        "JAX_COORDINATOR_ADDRESS" in os.environ
        or is_several("SLURM_STEP_NUM_TASKS")
        or is_several("OMPI_COMM_WORLD_SIZE")
    )


def _has_tpu() -> bool:
    """Returns whether this host has TPUs, whose pods announce processes otherwise."""
    devices = Path("/dev")
    return any(devices.glob("accel[0-9]*")) or any(devices.glob("vfio/[0-9]*"))
