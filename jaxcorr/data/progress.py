"""Lines on standard error that say how far long work is."""

import sys
import time

SECONDS_BETWEEN_LINES = 5.0
"""Time between two lines."""


class Progress:
    """Says on standard error how far work is, if it takes long.

    Args:
      name: Name of the work, which begins each line.
    """

    def __init__(self, name: str):
        self._name = name
        self._said_at = time.monotonic()

    def say(self, done: str) -> None:
        """Prints a line if enough time has passed since the last one."""
        if time.monotonic() - self._said_at >= SECONDS_BETWEEN_LINES:
            self._said_at = time.monotonic()
            print(f"{self._name}: {done}", file=sys.stderr, flush=True)
