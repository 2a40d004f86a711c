"""Waits for what other processes do."""

import subprocess
import time
from collections.abc import Callable
from typing import Any

PATIENCE = 600
"""Seconds after which a process counts as hanging; long, for busy machines."""


def wait_until(done: Callable[[], Any], *processes: subprocess.Popen[Any]) -> None:
    """Waits until `done` returns true, which it must before a process ends."""
    deadline = time.monotonic() + PATIENCE
    while not done():
        ended = [process for process in processes if process.poll() is not None]
        assert not ended, [process.communicate() for process in ended]
        assert time.monotonic() < deadline
        time.sleep(0.005)
