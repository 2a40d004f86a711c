"""Set-up of the process of a command: memory, compilation cache and exit status."""

import contextlib
import ctypes
import os
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path

import jax

from jaxcorr.errors import UserError

# Options of `mallopt`, from <malloc.h> of glibc.
TRIM_THRESHOLD, MMAP_THRESHOLD, ARENA_MAX = -1, -3, -8
LARGEST = 2**31 - 1


@contextlib.contextmanager
def run_command() -> Iterator[None]:
    """Runs a command that retains freed memory and exits with one line on an error."""
    retain_freed_memory()
    with exit_on_user_error():
        yield


def retain_freed_memory() -> None:
    """Lets large arrays reuse the memory of freed arrays, on a CPU with glibc.

    By default glibc requests memory for each large array from the system, and returns
    it when the array is freed. The system clears each page at its first use: coding a
    photograph spent a quarter of its time on that, and a training step even more.
    Retained memory belongs to the process until it ends, so only commands call this
    function, and a library leaves the choice to its caller. With other C libraries it
    does nothing.
    """
    try:
        set_option = ctypes.CDLL(None).mallopt
    except (OSError, TypeError, AttributeError):
        return
    set_option(MMAP_THRESHOLD, LARGEST)
    set_option(TRIM_THRESHOLD, LARGEST)
    # One heap for all threads: XLA allocates in threads, and only the first heap can
    # grow without bound.
    set_option(ARENA_MAX, 1)


@contextlib.contextmanager
def exit_on_user_error() -> Iterator[None]:
    """Exits with one line on standard error after a `UserError` or Ctrl-C."""
    try:
        yield
    except UserError as error:
        print(f"jaxcorr: error: {error}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        print("jaxcorr: interrupted", file=sys.stderr)
        sys.exit(130)  # Status of shells for a program that SIGINT ended.


def enable_compilation_cache(folder: Path | None = None) -> None:
    """Caches compiled programs for later processes, unless JAX has a cache already.

    Args:
      folder: Folder for all programs: training compiles a hundred small ones, which
        together take as long as the large ones. By default the user's cache folder, for
        programs that take long to compile.
    """
    # A program that another process is writing, or that finds the disk full, is
    # compiled again.
    warnings.filterwarnings(
        "ignore", "Error (reading|writing) persistent compilation cache entry"
    )
    environment = os.environ.get("JAX_COMPILATION_CACHE_DIR")
    if environment or jax.config.values["jax_compilation_cache_dir"]:
        return
    caches = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    min_seconds = 0.1 if folder is None else 0.0
    jax.config.update("jax_compilation_cache_dir", str(folder or caches / "jaxcorr"))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", min_seconds)
