"""The process that a command runs in: its memory, its programs, and how it ends."""

import contextlib
import ctypes
import os
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path

import jax

from jaxcorr.errors import UserError

# <malloc.h> of glibc; the last is how many heaps threads share.
TRIM_THRESHOLD, MMAP_THRESHOLD, ARENA_MAX = -1, -3, -8
LARGEST = 2**31 - 1


@contextlib.contextmanager
def run_command() -> Iterator[None]:
    """Runs a command: keeps freed memory, and ends in one line where it must."""
    retain_freed_memory()
    with exit_on_user_error():
        yield


def retain_freed_memory() -> None:
    """Lets large arrays take over the memory of those before them, on a CPU.

    The C library of Linux gets memory for each large array from the system, and gives
    it back when the array goes. The system clears every page of it when it is first
    touched: coding a photograph spent a quarter of its time waiting for that, and a
    train step more. Kept memory stays with the process until it ends, so a command does
    this for itself, early, and a library leaves it to its caller. Other C libraries are
    left alone.
    """
    try:
        set_option = ctypes.CDLL(None).mallopt
    except (OSError, TypeError, AttributeError):
        return
    set_option(MMAP_THRESHOLD, LARGEST)
    set_option(TRIM_THRESHOLD, LARGEST)
    # XLA works in threads, and only the first heap can grow without bound.
    set_option(ARENA_MAX, 1)


@contextlib.contextmanager
def exit_on_user_error() -> Iterator[None]:
    """Ends the program with one line on standard error at a UserError or at Ctrl-C."""
    try:
        yield
    except UserError as error:
        print(f"jaxcorr: error: {error}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        print("jaxcorr: interrupted", file=sys.stderr)
        sys.exit(130)  # What a shell reports for a program that SIGINT ended.


def enable_compilation_cache(folder: Path | None = None) -> None:
    """Keeps compiled programs for later processes, unless JAX was told where already.

    Args:
      folder: A folder for all of them, of which a training has a hundred small ones
        that together take as long as the large. By default those that take a while go
        where the user's caches are.
    """
    # One that another process is writing, or that has no room, is compiled anew.
    warnings.filterwarnings(
        "ignore", "Error (reading|writing) persistent compilation cache entry"
    )
    told = os.environ.get("JAX_COMPILATION_CACHE_DIR")
    if told or jax.config.values["jax_compilation_cache_dir"]:
        return
    home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    shortest = 0.1 if folder is None else 0.0
    jax.config.update("jax_compilation_cache_dir", str(folder or home / "jaxcorr"))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", shortest)
