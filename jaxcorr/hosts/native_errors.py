"""Holds back what libraries in C++ print as errors, and how they end the process.

When a process of a run is lost, JAX's connection prints a failed check with its stack
and ends the others at once. To print first which process was lost, standard error of
the process goes to a temporary file, whose text follows after some seconds, and the
thread that failed sleeps instead of ending the process.
"""

import collections
import contextlib
import ctypes
import os
import re
import signal
import sys
import tempfile
import threading
import time

HOLD_SECONDS = 10
"""Seconds for which text is held back."""
FATAL = re.compile(r"^F\d{4} .*?\] (.*)$", re.MULTILINE)
"""The line of a failed check."""


class NativeErrors:
    """Holds back native errors of this process until `release`.

    Attributes:
      has_aborted: Set once a native library has tried to end the process.
    """

    def __init__(self) -> None:
        self.has_aborted = threading.Event()
        self._file = tempfile.TemporaryFile()
        self._python_errors = sys.stderr
        sys.stderr.flush()
        self._descriptor = os.dup(2)
        os.dup2(self._file.fileno(), 2)
        if sys.stderr is sys.__stderr__:  # Python prints at once.
            sys.stderr = open(
                os.dup(self._descriptor), "w", buffering=1, errors="backslashreplace"
            )
        self._sizes: collections.deque[tuple[float, int]] = collections.deque()
        self._printed = 0
        self._handler = ctypes.CFUNCTYPE(None, ctypes.c_int)(self._sleep)
        self._signal = ctypes.CDLL(None).signal
        self._signal.argtypes = [ctypes.c_int, ctypes.c_void_p]
        self._signal.restype = ctypes.c_void_p
        self._previous = self._signal(
            signal.SIGABRT, ctypes.cast(self._handler, ctypes.c_void_p)
        )

    def forward(self) -> None:
        """Prints text that has been held back long enough. Call it every second."""
        now = time.monotonic()
        self._sizes.append((now, os.fstat(self._file.fileno()).st_size))
        while self._sizes and now - self._sizes[0][0] >= HOLD_SECONDS:
            self._print(self._sizes.popleft()[1])

    def print(self, text: str) -> None:
        """Prints a text before all that is held back."""
        with contextlib.suppress(OSError):
            os.write(self._descriptor, text.encode(errors="backslashreplace"))

    def fatal_message(self) -> str:
        """Returns the message of a failed check that is held back; empty if none is."""
        end = os.fstat(self._file.fileno()).st_size
        found = FATAL.search(self._held(end).decode(errors="replace"))
        return found[1] if found else ""

    def release(self) -> None:
        """Prints all that is held back, and holds back nothing from now on."""
        os.dup2(self._descriptor, 2)
        self._signal(signal.SIGABRT, self._previous)
        sys.stderr.flush()
        sys.stderr = self._python_errors
        self._print(os.fstat(self._file.fileno()).st_size)

    def _print(self, end: int) -> None:
        """Prints the text of the file up to a position."""
        if end > self._printed:
            text = self._held(end)
            self._printed = end
            with contextlib.suppress(OSError):
                os.write(self._descriptor, text)

    def _held(self, end: int) -> bytes:
        return os.pread(self._file.fileno(), end - self._printed, self._printed)

    def _sleep(self, number: int) -> None:
        """Keeps a thread that has failed from ending the process, for a while."""
        del number
        self.has_aborted.set()
        time.sleep(120)
