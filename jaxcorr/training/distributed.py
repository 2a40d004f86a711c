"""The processes of a run, which may be on many hosts: one program, started everywhere.

Each process has its own devices and reads its own rows of a batch. All of them take the
same decisions: what only one of them can know is asked for here.
"""

import contextlib
import dataclasses
import os
import signal
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import jax
import numpy as np
from jax.experimental import multihost_utils

from jaxcorr import serialization
from jaxcorr.errors import FieldError, UserError, require


@serialization.stored("Processes")
@dataclasses.dataclass(frozen=True, kw_only=True)
class DistributedConfig:
    """Which process this is; TPU pods, Slurm and Open MPI say it without these."""

    coordinator_address: str | None = None
    """Host and port of the first process, such as 10.0.0.1:8476."""
    num_processes: int | None = None
    """Processes of the run."""
    process_id: int | None = None
    """Which one this is, from 0."""

    def __post_init__(self):
        """Checks that all three are given or none, and the number of the process."""
        names = [field.name for field in dataclasses.fields(self)]
        given = [getattr(self, name) is not None for name in names]
        if any(given) and not all(given):
            others = "num_processes and process_id"
            values = f"{self.coordinator_address}, {self.num_processes} and "
            raise FieldError(
                self,
                "coordinator_address",
                f"and {others} must be given together, but are {values}"
                f"{self.process_id}",
            )
        if self.process_id is not None and self.num_processes is not None:
            rule = f"from 0 to num_processes - 1 ({self.num_processes - 1})"
            within = 0 <= self.process_id < self.num_processes
            require(self, "process_id", rule, within)


def initialize(config: DistributedConfig) -> None:
    """Meets the other processes, if there are any; before any use of devices.

    Raises:
      UserError: If they do not all come.
    """
    named = config.coordinator_address is not None or _environment_names_others()
    if not named and not _has_tpu():
        return
    try:
        jax.distributed.initialize(
            config.coordinator_address, config.num_processes, config.process_id
        )
    except (ValueError, RuntimeError) as error:
        if named:
            reason = str(error).partition("\n")[0]
            raise UserError(f"the processes did not meet: {reason}") from error
        # A machine with TPUs, but of no pod: there are no others.


def shutdown() -> None:
    """Waits for the other processes, so that none is gone while others need it."""
    if jax.process_count() > 1:
        jax.distributed.shutdown()


def is_first_process() -> bool:
    """Whether this is the process that writes logs and prints."""
    return jax.process_index() == 0


def broadcast_from_first(value: int) -> int:
    """The first process's value, in all of them."""
    if jax.process_count() == 1:
        return value
    return int(multihost_utils.broadcast_one_to_all(np.int32(value)))


def all_processes(done: bool) -> bool:
    """Whether it is true in every process."""
    if jax.process_count() == 1:
        return done
    return bool(np.all(multihost_utils.process_allgather(np.array(done))))


@contextlib.contextmanager
def stop_requests() -> Iterator[Callable[[int], bool]]:
    """Notes SIGTERM and Ctrl-C instead of obeying, but obeys a second Ctrl-C.

    Yields:
      Whether to stop after a step; to be asked after each. Where there are several
      processes, a signal to one lets all of them stop after the same step.
    """
    alone = jax.process_count() == 1
    requested = threading.Event()

    def note(number, _):
        if alone:
            requested.set()
        else:
            os.kill(os.getpid(), signal.SIGTERM)
        if number == signal.SIGINT:
            signal.signal(number, previous[number])

    # With several processes SIGTERM stays with JAX, which tells the others.
    noted = (signal.SIGTERM, signal.SIGINT) if alone else (signal.SIGINT,)
    # Python allows handlers in the main thread alone.
    main = threading.current_thread() is threading.main_thread()
    previous = {
        number: signal.signal(number, note) for number in (noted if main else ())
    }
    try:
        if alone:
            yield lambda step: requested.is_set()
        else:
            yield multihost_utils.reached_preemption_sync_point
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


def _environment_names_others() -> bool:
    """Whether variables of Slurm, Open MPI or JAX say that there are several."""
    several = lambda name: int(os.environ.get(name, "1")) > 1
    return (
        "JAX_COORDINATOR_ADDRESS" in os.environ
        or several("SLURM_STEP_NUM_TASKS")
        or several("OMPI_COMM_WORLD_SIZE")
    )


def _has_tpu() -> bool:
    """Whether there are TPUs, which know of a pod by other ways than variables."""
    devices = Path("/dev")
    return any(devices.glob("accel[0-9]*")) or any(devices.glob("vfio/[0-9]*"))
