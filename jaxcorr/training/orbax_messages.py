"""Silences messages of Orbax about failures that a run reports itself."""

import functools
import logging
import sys
import warnings


def silence() -> None:
    """Silences logs, warnings and errors in threads of Orbax, in this process."""
    # Orbax logs every file it touches and every thread that fails.
    for name in ("absl", "asyncio"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    # On a full disk it abandons writes that have not begun, and Python warns of each.
    warnings.filterwarnings("ignore", "coroutine .* was never awaited")
    _ignore_closed_event_loops()


@functools.cache  # Once a process.
def _ignore_closed_event_loops() -> None:
    """Silences errors of writes that end after Orbax has given up a checkpoint.

    When one write fails, Orbax closes its event loop while other writes are running.
    Each thread of tensorstore that finishes one of them would print an error.
    """
    report = sys.unraisablehook

    def report_other_errors(unraisable):
        error = unraisable.exc_value
        closed = isinstance(error, RuntimeError) and "loop is closed" in str(error)
        if not closed:
            report(unraisable)

    sys.unraisablehook = report_other_errors
