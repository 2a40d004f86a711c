"""A lock on a run directory, so that two runs do not write the same checkpoints.

The run that writes keeps `writer.json` in the directory, which names it and counts up.
A lock whose count stands still belongs to a run that has ended, and is taken over.
On the same machine, the system knows that at once, by a lock on a folder that it frees
when the process ends.
"""

import contextlib
import dataclasses
import datetime
import hashlib
import json
import os
import socket
import tempfile
import threading
import time
import uuid
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import TypeVar

import jax

from jaxcorr.errors import UserError
from jaxcorr.hosts import failures, messages, shared_disk
from jaxcorr.paths import AnyPath, is_remote, make_folder
from jaxcorr.storage_errors import describe_error, storage_error

Item = TypeVar("Item")

FILE = "writer.json"
"""File of a run directory that names the run that writes it."""
BEAT_SECONDS = 10
"""Seconds between two counts of the run that writes."""
STALE_SECONDS = 40
"""Seconds without a count after which a run on another machine has ended."""
SETTLE_SECONDS = 2
"""Seconds after which, of two runs that start at once, the later has written."""
BOOT = Path("/proc/sys/kernel/random/boot_id")
"""File of Linux with a number of the running system."""


@dataclasses.dataclass(frozen=True)
class Writer:
    """A run that writes to a directory.

    Attributes:
      host: Name of the host of its first process.
      pid: Number of that process on the host.
      started: When it started, with its time zone.
      token: Random text, different for each run.
      machine: Names the running system and the folder that the system locks.
      count: Counts up while the run lives.
    """

    host: str
    pid: int
    started: str
    token: str
    machine: str
    count: int = 0

    def describe(self) -> str:
        """Returns it in words."""
        return f"process {self.pid} on {self.host}, which started at {self.started}"


class RunLock:
    """A lock that this process holds. Process 0 holds that of a run with several."""

    def __init__(self, workdir: AnyPath, writer: Writer):
        self._workdir, self._writer = workdir, writer
        self._taken_by: Writer | None = None
        self._ended = threading.Event()
        self._thread = threading.Thread(
            target=self._beat, daemon=True, name="jaxcorr-lock"
        )
        self._thread.start()

    def check(self) -> None:
        """Checks that no other run has taken the lock over.

        Raises:
          UserError: If one has, since this process stood still for long.
        """
        if self._taken_by is not None:
            raise UserError(
                f"{self._workdir} was taken over by {self._taken_by.describe()}, since "
                f"this process stood still for more than {STALE_SECONDS} s: start it "
                "again once the other has ended"
            )

    def release(self) -> None:
        """Frees the directory for other runs."""
        self._ended.set()
        self._thread.join()
        with contextlib.suppress(Exception):  # Storage raises many classes.
            current = _read(self._workdir)
            if current is not None and current.token == self._writer.token:
                (self._workdir / FILE).unlink()

    def _beat(self) -> None:
        """Counts up until the end."""
        while not self._ended.wait(BEAT_SECONDS):
            # A full disk must not end the run here: the next checkpoint reports it.
            with contextlib.suppress(Exception):  # Storage raises many classes.
                current = _read(self._workdir)
                if current is not None and current.token != self._writer.token:
                    self._taken_by = current
                    return
                count = self._writer.count + 1
                self._writer = dataclasses.replace(self._writer, count=count)
                _write(self._workdir, self._writer)


def while_held(
    lock: RunLock | None, items: Generator[Item, None, None]
) -> Generator[Item, None, None]:
    """Yields items until another run takes the lock over.

    Args:
      lock: The lock; None in a process that does not hold it.
      items: Closed at the end.

    Raises:
      UserError: If another run has taken the lock over.
    """
    with contextlib.closing(items):
        for item in items:
            if lock is not None:
                lock.check()
            yield item


@contextlib.contextmanager
def hold(workdir: AnyPath) -> Iterator[RunLock | None]:
    """Holds the lock on a run directory. Every process of the run must call it.

    Args:
      workdir: The run directory. It is made; if nothing is in it at the end, it is
        removed.

    Yields:
      The lock, in process 0.

    Raises:
      UserError: If another run writes to the directory, or it cannot be written.
    """
    with contextlib.ExitStack() as stack:
        problem, lock = "", None
        if jax.process_index() == 0:
            try:
                lock = _acquire(workdir, stack)
            except UserError as error:
                problem = str(error)
        problem = messages.gather("lock", problem)[0]
        if problem:
            raise UserError(problem)
        yield lock


def _acquire(workdir: AnyPath, stack: contextlib.ExitStack) -> RunLock:
    """Acquires the lock in this process; `stack` releases it."""
    try:
        make_folder(workdir)
        stack.callback(shared_disk.remove_if_empty, workdir)
        machine, is_free = stack.enter_context(_lock_folder(workdir))
        other = _wait_for_end(workdir, machine, is_free=is_free)
        writer = Writer(
            host=socket.gethostname(),
            pid=os.getpid(),
            started=datetime.datetime.now().astimezone().isoformat(" ", "seconds"),
            token=uuid.uuid4().hex,
            machine=machine,
        )
        _write(workdir, writer)
        if is_remote(workdir) or not is_free or other is not None:
            time.sleep(SETTLE_SECONDS)
            _refuse_other(workdir, writer)
    except UserError:
        raise
    except Exception as error:  # Storage raises errors of many classes.
        message = f"cannot write {workdir}: {describe_error(error)}"
        raise storage_error(message, error) from error
    lock = RunLock(workdir, writer)
    stack.callback(lock.release)
    failures.before_exit(lock.release)
    return lock


def _wait_for_end(workdir: AnyPath, machine: str, *, is_free: bool) -> Writer | None:
    """Waits until the run that has the lock counts as ended.

    Returns:
      That run, if it did not release the lock.

    Raises:
      UserError: If it lives.
    """
    other = _read(workdir)
    if other is None:
        return None
    if machine and other.machine == machine:
        if not is_free:
            raise UserError(_describe_conflict(workdir, other))
    else:
        print(
            f"{workdir} was written by {other.describe()}: waiting for "
            f"{STALE_SECONDS} s whether it still runs",
            flush=True,
        )
        deadline = time.monotonic() + STALE_SECONDS
        while time.monotonic() < deadline:
            time.sleep(1)
            now = _read(workdir)
            if now is None:
                return None
            if now != other:
                raise UserError(_describe_conflict(workdir, now))
    print(
        f"{workdir}: the run of {other.describe()}, no longer updates its lock and "
        "counts as ended; this run takes over",
        flush=True,
    )
    return other


def _refuse_other(workdir: AnyPath, writer: Writer) -> None:
    """Raises a UserError if another run has written the lock after this one."""
    now = _read(workdir)
    if now is not None and now.token != writer.token:
        raise UserError(_describe_conflict(workdir, now))


def _describe_conflict(workdir: AnyPath, other: Writer) -> str:
    return (
        f"{workdir} is being written by {other.describe()}: stop that run, or give "
        "another --workdir"
    )


def _read(workdir: AnyPath) -> Writer | None:
    """Reads the lock of a directory, if there is one."""
    for _ in range(3):
        try:
            return Writer(**json.loads((workdir / FILE).read_text()))
        except FileNotFoundError:
            return None
        except (TypeError, ValueError):
            time.sleep(0.1)  # Being written, where that is not done at once.
    return Writer("an unknown host", 0, "an unknown time", "", "")


def _write(workdir: AnyPath, writer: Writer) -> None:
    text = json.dumps(dataclasses.asdict(writer)) + "\n"
    if is_remote(workdir):  # An object appears as a whole.
        (workdir / FILE).write_text(text)
        return
    temporary = workdir / f".{FILE}-{writer.token}"
    temporary.write_text(text)
    temporary.replace(workdir / FILE)


@contextlib.contextmanager
def _lock_folder(workdir: AnyPath) -> Iterator[tuple[str, bool]]:
    """Locks a folder of this machine for a directory, until the process ends.

    Yields:
      A name of the running system and the folder, empty where the system cannot lock
      it, and whether no other process has the lock.
    """
    with contextlib.ExitStack() as stack:
        try:
            import fcntl
        except ImportError:  # Windows.
            yield "", False
            return
        folder = workdir
        if is_remote(workdir):
            name = hashlib.sha256(str(workdir).encode()).hexdigest()[:16]
            folder = Path(tempfile.gettempdir(), f"jaxcorr-lock-{name}")
            folder.mkdir(exist_ok=True)
            stack.callback(shared_disk.remove_if_empty, folder)
        descriptor = os.open(folder, os.O_RDONLY)
        stack.callback(os.close, descriptor)
        status = os.fstat(descriptor)
        boot = BOOT.read_text().strip() if BOOT.exists() else socket.gethostname()
        machine = f"{boot}:{status.st_dev}:{status.st_ino}"
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield machine, False
        except OSError:  # Some network file systems cannot lock a folder.
            yield "", False
        else:
            yield machine, True
