"""Runs with several processes, on one host or on many.

Every process runs the same program, has its own devices and reads its own rows of a
batch. The functions of this module let all processes take the same decisions. How
processes connect is in `jaxcorr.hosts`.
"""

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import jax
import numpy as np
from jax.experimental import multihost_utils

from jaxcorr.errors import START_AGAIN


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
    with _handle(handled, request_stop) as previous:
        yield requests


@contextlib.contextmanager
def exit_at_sigterm() -> Iterator[None]:
    """Lets SIGTERM outside of the steps end the process, with status `START_AGAIN`.

    With several processes JAX handles it from their connection on.
    """

    def exit_now(*_):
        print("Stopped outside of training; the same command goes on.", flush=True)
        sys.exit(START_AGAIN)

    with _handle([signal.SIGTERM], exit_now):
        yield


@contextlib.contextmanager
def _handle(
    numbers: Sequence[int], handler: Callable[[int, Any], Any]
) -> Iterator[dict[int, Any]]:
    """Handles signals in a block. Yields the handlers that they had before."""
    if threading.current_thread() is not threading.main_thread():
        numbers = []  # Python allows signal handlers only in the main thread.
    previous = {number: signal.signal(number, handler) for number in numbers}
    try:
        yield previous
    finally:
        for number, before in previous.items():
            signal.signal(number, before)
