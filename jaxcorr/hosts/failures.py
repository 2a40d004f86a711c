"""An error in one process of a run ends all of them, with a line that says why.

Without this, the others would wait in their next exchange for minutes or for ever. A
thread in each process counts up in the key-value store of JAX's coordinator, where
process 0 sees who has stopped counting, and where an error is announced to all.
"""

import contextlib
import json
import os
import socket
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import jax

from jaxcorr.errors import START_AGAIN, UserError
from jaxcorr.hosts import messages
from jaxcorr.hosts.native_errors import NativeErrors

BEAT_SECONDS = 2
"""Seconds between two signs of life of a process."""
LOST_SECONDS = 60
"""Seconds without a sign of life after which a process counts as lost."""
LEAVE_SECONDS = 15
"""Seconds that process 0, which has the store, gives the others to leave before it."""
ERROR, INTERRUPTED = 1, 130
"""Status after an error that is not a `UserError`, and after Ctrl-C."""

BEATS, FAILURE, LEFT = "jaxcorr/beats", "jaxcorr/failure", "jaxcorr/left"
"""Keys of the store."""


class Failure(NamedTuple):
    """Why a run ends.

    Attributes:
      process: Number of the process that is the cause.
      host: Host of that process.
      reason: What happened, in one line.
      status: Exit status of all processes.
      is_lost: Whether the process is lost, and so cannot say what happened.
    """

    process: int
    host: str
    reason: str
    status: int
    is_lost: bool = False


class _Watch:
    """Watches the processes of a run, in threads of this one."""

    def __init__(self) -> None:
        self.failure: Failure | None = None
        self.before_exit: list[Callable[[], Any]] = []
        self._store = messages.client()
        self._index, self._count = jax.process_index(), jax.process_count()
        now = time.monotonic()
        self._counts: dict[int, tuple[str, float]] = {}
        self._hosts: dict[int, str] = {}
        self._contact = now
        self._aborted: float | None = None
        self._details = ""
        self._ended = threading.Event()
        self._leaving = threading.Lock()
        self.native = NativeErrors()
        self._threads = [
            threading.Thread(target=target, daemon=True, name=f"jaxcorr-{name}")
            for name, target in (("beats", self._beat), ("watch", self._watch))
        ]
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Ends the threads."""
        self._ended.set()
        for thread in self._threads:
            thread.join()
        self.native.release()

    def end_all(self, failure: Failure, details: str) -> None:
        """Ends all processes for an error of this one, unless another is the cause.

        Args:
          failure: The error.
          details: Text to print after its line, such as a traceback.
        """
        self._details = details
        deadline = time.monotonic() + LOST_SECONDS + LEAVE_SECONDS
        # An exchange with a process that was lost fails before its loss is noticed.
        start = self._read_counts()
        while time.monotonic() < deadline:
            now = self._read_counts()
            others = [n for n in range(self._count) if n != self._index]
            if start and all(now.get(n, "") != start.get(n, "") for n in others):
                break
            start = start or now
            self._ended.wait(0.5)
        self._announce(failure)
        self._ended.wait(LEAVE_SECONDS)
        self._leave(failure)

    def _beat(self) -> None:
        """Counts up, and looks for failures."""
        count, host = 0, socket.gethostname()
        while not self._ended.is_set():
            try:
                self._store.key_value_set(
                    f"{BEATS}/{self._index}", f"{count} {host}", allow_overwrite=True
                )
                self._check_counts(self._read_counts(reraise=True))
                for _, text in self._store.key_value_dir_get(FAILURE):
                    self.failure = self.failure or Failure(*json.loads(text))
                self._contact = time.monotonic()
            except Exception:  # The class depends on the version of JAX.
                pass  # The other thread sees that there is no contact.
            count += 1
            self._ended.wait(BEAT_SECONDS)

    def _watch(self) -> None:
        """Ends this process when a failure is known or process 0 is lost."""
        while not self._ended.is_set():
            self.native.forward()
            failure = self.failure or self._find_lost_store() or self._find_abort()
            if failure is not None:
                self._leave(failure)
            self._ended.wait(0.5)

    def _read_counts(self, *, reraise: bool = False) -> dict[int, str]:
        """Returns the newest sign of life of each process; empty without the store."""
        try:
            rows = self._store.key_value_dir_get(BEATS)
        except Exception:  # The class depends on the version of JAX.
            if reraise:
                raise
            return {}
        return {int(key.rpartition("/")[2]): value for key, value in rows}

    def _check_counts(self, counts: dict[int, str]) -> None:
        """Announces, in process 0, a process that no longer counts."""
        now = time.monotonic()
        for index in range(self._count):
            text = counts.get(index, "")
            if text != self._counts.get(index, ("never", 0.0))[0]:
                self._counts[index] = text, now
                self._hosts[index] = text.partition(" ")[2]
        if self._index != 0:
            return
        for index, (_, since) in self._counts.items():
            if now - since > LOST_SECONDS:
                self._announce(self._lost(index))

    def _lost(self, index: int) -> Failure:
        """Returns the failure that a process is lost."""
        reason = (
            "gives no sign of life: it was killed, or its host is down; start all "
            "again, and the run goes on from its newest checkpoint"
        )
        host = self._hosts.get(index, "")
        return Failure(index, host, reason, START_AGAIN, is_lost=True)

    def _find_lost_store(self) -> Failure | None:
        """Returns the failure that process 0 is lost, if it is."""
        silence = time.monotonic() - self._contact
        return self._lost(0) if self._index and silence > LOST_SECONDS else None

    def _find_abort(self) -> Failure | None:
        """Returns the failure that made a native library end this process, if one did.

        JAX's connection does so when process 0 is lost. It no longer answers then.
        """
        if not self.native.has_aborted.is_set():
            return None
        self._aborted = self._aborted or time.monotonic()
        since = time.monotonic() - self._aborted
        if since < 3 * BEAT_SECONDS:
            return None
        if self._index and self._contact < self._aborted:
            return self._lost(0)
        reason = self.native.fatal_message() or "a native library ended the process"
        failure = Failure(self._index, socket.gethostname(), reason, ERROR)
        self._announce(failure)
        return failure if since > 6 * BEAT_SECONDS else None

    def _announce(self, failure: Failure) -> None:
        """Tells all processes. The first failure counts."""

        def announce() -> None:
            with contextlib.suppress(Exception):  # Another was first, or no store.
                self._store.key_value_set(f"{FAILURE}/first", json.dumps(failure))

        # Without an answer it would wait for ever.
        thread = threading.Thread(target=announce, daemon=True)
        thread.start()
        thread.join(BEAT_SECONDS)

    def _leave(self, failure: Failure) -> None:
        """Prints why the run ends, and ends this process."""
        with self._leaving:
            for function in self.before_exit:
                with contextlib.suppress(Exception):
                    function()
            with contextlib.suppress(Exception):
                sys.stdout.flush()
            host = f" ({failure.host})" if failure.host else ""
            self.native.print(
                f"jaxcorr: error: process {failure.process} of {self._count}{host}: "
                f"{failure.reason}\n{self._details}"
            )
            self.native.release()
            self._wait_for_others(self._count - 1 - failure.is_lost)
            os._exit(failure.status)

    def _wait_for_others(self, others: int) -> None:
        """Lets process 0, which has the store, leave last."""
        with contextlib.suppress(Exception):
            if self._index:
                if time.monotonic() - self._contact < 3 * BEAT_SECONDS:
                    self._store.key_value_set(f"{LEFT}/{self._index}", "")
                return
            deadline = time.monotonic() + LEAVE_SECONDS
            while time.monotonic() < deadline:
                if len(self._store.key_value_dir_get(LEFT)) >= others:
                    return
                time.sleep(0.2)


_watch: _Watch | None = None


def watch() -> None:
    """Starts to watch the processes of the run, after they have connected."""
    global _watch
    _watch = _Watch()


def is_watching() -> bool:
    """Returns whether the processes of the run are watched."""
    return _watch is not None


def stop_watching() -> None:
    """Stops to watch the processes, at the end of the run."""
    global _watch
    if _watch is not None:
        _watch.stop()
        _watch = None


def before_exit(function: Callable[[], Any]) -> None:
    """Calls a function before a failure ends this process of several."""
    if _watch is not None:
        _watch.before_exit.append(function)


@contextlib.contextmanager
def end_all_on_error(*passed: type[BaseException]) -> Iterator[None]:
    """Ends all processes of the run after an error in the block.

    The process ends inside the block, since cleaning up would wait for the others. In a
    run of one process, errors pass.

    Args:
      *passed: Errors that pass.
    """
    try:
        yield
    except BaseException as error:
        if _watch is None or isinstance(error, passed):
            raise
        reason, status = _describe(error)
        details = "" if isinstance(error, UserError) else traceback.format_exc()
        failure = Failure(jax.process_index(), socket.gethostname(), reason, status)
        _watch.end_all(failure, details)


def _describe(error: BaseException) -> tuple[str, int]:
    """Returns an error in one line, and the exit status."""
    if isinstance(error, UserError):
        return str(error), error.status
    if isinstance(error, KeyboardInterrupt):
        return "interrupted", INTERRUPTED
    line = next(iter(str(error).strip().splitlines()), "")
    return f"{type(error).__name__}: {line}", ERROR
