"""The processes of a run: which there are, and how they connect.

JAX recognizes clusters (Kubernetes, GKE, Slurm, Open MPI, TPU pods); flags name the
processes elsewhere. A process trains alone only where no cluster says that there are
several.
"""

import contextlib
import dataclasses
import os
import socket
import warnings
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import jax
from jax._src.clusters import ClusterEnv

from jaxcorr import serialization
from jaxcorr.errors import FieldError, TransientError, UserError, require
from jaxcorr.hosts import failures, messages, roll_call

CONNECT_SECONDS = 60
"""Seconds in which JAX connects processes that have all reported."""
NAMES = {
    "OmpiCluster": "Open MPI",
    "SlurmCluster": "Slurm",
    "GkeTpuCluster": "TPUs on GKE",
    "GceTpuCluster": "TPUs of Google Cloud",
    "K8sCluster": "Kubernetes",
}
"""Names of clusters by JAX's class."""
LAUNCHERS = (
    "SLURM_STEP_NUM_TASKS",
    "OMPI_COMM_WORLD_SIZE",
    "PMI_SIZE",
    "WORLD_SIZE",
)
"""Variables with the number of processes that a launcher has started."""
ADDRESS = "JAX_COORDINATOR_ADDRESS"
"""Variable of JAX with the host and port of process 0."""
LASTING = ImportError, LookupError, ValueError
"""Errors by which a cluster is described wrongly; others may pass."""
KUBERNETES, JOB_INDEX = "KUBERNETES_SERVICE_HOST", "JOB_COMPLETION_INDEX"
"""Variables of any pod of Kubernetes, and of one of an indexed Job."""
FLAGS = (
    "--distributed.coordinator-address, --distributed.num-processes and "
    "--distributed.process-id (for one process: localhost:8476, 1 and 0)"
)


@serialization.stored("Processes")
@dataclasses.dataclass(frozen=True, kw_only=True)
class DistributedConfig:
    """Processes of a run. In a cluster that JAX recognizes, none of them is needed."""

    coordinator_address: str | None = None
    """Host and port of the first process, such as 10.0.0.1:8476. None in a cluster that
    JAX recognizes (Kubernetes, GKE, Slurm, Open MPI, TPU pods), and for a single
    process."""
    num_processes: int | None = None
    """Number of processes of the run. Required with a coordinator address."""
    process_id: int | None = None
    """Number of this process, from 0. Required with a coordinator address."""
    timeout: int = 100
    """Seconds within which all processes must have started."""

    def __post_init__(self):
        """Checks that all or none name the processes, and ranges."""
        names = ("coordinator_address", "num_processes", "process_id")
        given = [getattr(self, name) is not None for name in names]
        if any(given) and not all(given):
            raise FieldError(
                self,
                "coordinator_address",
                "and num_processes and process_id must be given together, but are "
                f"{self.coordinator_address}, {self.num_processes} and "
                f"{self.process_id}",
            )
        require(self, "timeout", "at least 1", self.timeout >= 1)
        if self.process_id is not None and self.num_processes is not None:
            rule = f"from 0 to num_processes - 1 ({self.num_processes - 1})"
            in_range = 0 <= self.process_id < self.num_processes
            require(self, "process_id", rule, in_range)


class Processes(NamedTuple):
    """The processes of a run, as this one sees them.

    Attributes:
      address: Host and port of process 0.
      count: Number of processes.
      index: Number of this process.
      found_by: What names them: flags, or a cluster.
    """

    address: str
    count: int
    index: int
    found_by: str


def connect(config: DistributedConfig) -> None:
    """Connects to the other processes of the run, if there are any.

    Call it before anything uses a device. From then on an error of one process ends
    all; see `failures`.

    Raises:
      UserError: If not all processes connect, or a cluster does not say which there
        are.
    """
    processes = find_processes(config)
    if processes is None:
        return
    address, count, index, found_by = processes
    print(
        f"process {index} of {count} on {socket.gethostname()} (pid {os.getpid()}), by "
        f"{found_by}; process 0 is at {address}",
        flush=True,
    )
    try:
        roll_call.call_roll(address, count=count, index=index, seconds=config.timeout)
    except UserError as error:
        raise type(error)(f"process {index} of {count}: {error}") from error
    try:
        jax.distributed.initialize(
            address, count, index, initialization_timeout=CONNECT_SECONDS
        )
    except (ValueError, RuntimeError) as error:
        reason = str(error).partition("\n")[0]
        raise TransientError(
            f"process {index} of {count} could not connect to {address}: {reason}"
        ) from error
    failures.watch()


def check_connected(config: DistributedConfig) -> None:
    """Checks that JAX has connected the processes of the run, if there are several.

    Raises:
      UserError: If it has not, since each process would then train alone.
    """
    if jax.distributed.is_initialized():
        return
    processes = find_processes(config)
    if processes is not None:
        raise UserError(
            f"this is process {processes.index} of {processes.count} by "
            f"{processes.found_by}, but JAX has not connected them: call "
            "jax.distributed.initialize before anything uses a device, or start "
            "jaxcorr train"
        )


@contextlib.contextmanager
def watching() -> Iterator[None]:
    """Watches the processes of the run in a block, unless they are watched already.

    At the end of the block it waits for the others. An error in the block must end all;
    see `failures.end_all_on_error`.
    """
    is_one = not jax.distributed.is_initialized() or jax.process_count() == 1
    if is_one or failures.is_watching():
        yield
        return
    failures.watch()
    try:
        yield
    finally:
        messages.wait_for_all("end")
        failures.stop_watching()


def disconnect() -> None:
    """Waits for the other processes, then disconnects. Call it at the end of a run."""
    if jax.process_count() > 1:
        messages.wait_for_all("end")
        failures.stop_watching()
        jax.distributed.shutdown()


def find_processes(
    config: DistributedConfig, variables: Mapping[str, str] = os.environ
) -> Processes | None:
    """Returns the processes of the run; None if this is the only one.

    Raises:
      UserError: If there are several, but not all is known that they need to connect.
    """
    address = config.coordinator_address
    if address is not None:
        assert config.num_processes is not None and config.process_id is not None
        if config.num_processes == 1:
            return None
        return Processes(address, config.num_processes, config.process_id, "flags")
    try:
        found = _ask_jax(variables, config.timeout)
    except Exception as error:  # Requests to a cluster raise errors of many classes.
        kind = UserError if isinstance(error, LASTING) else TransientError
        raise kind(
            "the cluster does not say which processes there are: "
            f"{_describe(error)}; correct it, or give {FLAGS}"
        ) from error
    if found is None:
        _check_alone(variables)
    return None if found is None or found.count == 1 else found


def _ask_jax(variables: Mapping[str, str], timeout: int) -> Processes | None:
    """Returns the processes of the cluster that JAX recognizes, if it does."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # On a package that is missing; see below.
            cluster = next(filter(_is_present, ClusterEnv._cluster_types), None)
        if cluster is None:
            return None
        count = cluster.get_process_count()
    except Exception:
        if KUBERNETES in variables and JOB_INDEX not in variables:
            return None  # A pod that is not one of a Job, such as that of a notebook.
        raise
    name = NAMES.get(cluster.__name__, cluster.__name__)
    if count == 1:
        return Processes("", 1, 0, name)
    address, _, index, _ = ClusterEnv.auto_detect_unset_distributed_params(
        variables.get(ADDRESS), count, None, None, None, timeout
    )
    assert address is not None and index is not None
    return Processes(address, count, index, name)


def _is_present(cluster: Any) -> bool:
    return not cluster.opt_in_only_method and cluster.is_env_present()


def _check_alone(variables: Mapping[str, str]) -> None:
    """Checks that nothing says that there are several processes.

    Raises:
      UserError: If a variable says so.
    """
    if KUBERNETES in variables and JOB_INDEX in variables:
        raise UserError(
            f"this is pod {variables[JOB_INDEX]} of an indexed Job, but JAX does not "
            "find the others without the package kubernetes: "
            f"pip install 'jaxcorr[k8s]', or give {FLAGS}"
        )
    several = [name for name in LAUNCHERS if _is_several(variables.get(name, ""))]
    names = [*several, *([ADDRESS] if ADDRESS in variables else [])]
    if names:
        raise UserError(
            f"{names[0]}={variables[names[0]]} says that there are several processes, "
            f"but JAX recognizes no cluster: give {FLAGS}, or unset the variable"
        )


def _is_several(value: str) -> bool:
    return value.isdigit() and int(value) > 1


def _describe(error: Exception) -> str:
    """Returns the first line of an error."""
    line = next(iter(str(error).strip().splitlines()), "")
    return line if isinstance(error, RuntimeError) else f"{type(error).__name__} {line}"
