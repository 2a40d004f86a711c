"""Set-up of the process of a command: memory, device, compilation cache, exit status.

Importing this module does not import JAX, which takes most of the time of a start.
"""

import atexit
import contextlib
import ctypes
import gc
import os
import signal
import sys
import threading
import traceback
import warnings
from collections.abc import Iterator
from pathlib import Path

from jaxcorr.errors import UserError
from jaxcorr.paths import AnyPath, as_path

# Options of `mallopt`, from <malloc.h> of glibc.
TRIM_THRESHOLD, MMAP_THRESHOLD, ARENA_MAX = -1, -3, -8
LARGEST = 2**31 - 1

OBJECTS_BEFORE_COLLECTION = 30_000
"""New objects before Python searches for unused ones in `collect_garbage_rarely`."""


@contextlib.contextmanager
def run_command(*, with_traceback: bool = False) -> Iterator[None]:
    """Runs a command that retains freed memory and exits with one line on an error."""
    retain_freed_memory()
    with (
        exit_on_user_error(with_traceback=with_traceback),
        exit_without_reader(),
        collect_garbage_rarely(),
    ):
        yield


@contextlib.contextmanager
def exit_without_reader() -> Iterator[None]:
    """Exits quietly if the reader of standard output has ended, as `head` does early.

    Raises:
      BrokenPipeError: If another pipe is broken.
    """
    try:
        yield
        sys.stdout.flush()
    except BrokenPipeError:
        with contextlib.suppress(BrokenPipeError):
            sys.stdout.flush()
            raise
        # At its end, Python writes what is left.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(141)  # Status of shells for a program that SIGPIPE ended.


@contextlib.contextmanager
def collect_garbage_rarely() -> Iterator[None]:
    """Searches for unused objects less often in the block.

    Nearly all objects of a command live until it ends: imported modules and traced
    programs. By default Python searches them hundreds of times while they are made,
    which takes a tenth of the time of `jaxcorr compress` for one photograph, and
    several times when the process ends, which takes a sixth.
    """
    atexit.register(gc.freeze)
    thresholds = gc.get_threshold()
    gc.set_threshold(OBJECTS_BEFORE_COLLECTION, *thresholds[1:])
    try:
        yield
    finally:
        gc.set_threshold(*thresholds)


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


def end_with_parent() -> None:
    """Ends this process when its parent is killed. Without this it might run forever.

    Ctrl-C, which reaches all processes, is left to the parent.
    """
    import multiprocessing

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()
    assert parent is not None

    def watch() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def usable_threads() -> int:
    """Returns the number of threads of the CPU that this process may use."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # Linux alone restricts a process to some of the threads.
        return os.cpu_count() or 1


@contextlib.contextmanager
def exit_on_user_error(*, with_traceback: bool = False) -> Iterator[None]:
    """Exits with one line on standard error after a `UserError` or Ctrl-C.

    Args:
      with_traceback: Whether the traceback of a `UserError` precedes its line.
    """
    try:
        yield
    except UserError as error:
        if with_traceback:
            traceback.print_exc()
        print(f"jaxcorr: error: {error}", file=sys.stderr)
        sys.exit(error.status)
    except KeyboardInterrupt:
        print("jaxcorr: interrupted", file=sys.stderr)
        sys.exit(130)  # Status of shells for a program that SIGINT ended.


def check_device() -> None:
    """Starts JAX on its devices.

    Raises:
      UserError: If JAX has no device, with the reason that JAX gives.
    """
    import jax

    try:
        jax.devices()
    except Exception as error:  # A plugin of a device may raise any.
        # JAX ends its message with a remedy in parentheses, which ours replaces.
        message = str(error).partition(" (set JAX_PLATFORMS")[0]
        reason = " ".join(message.split()) or "no such device or plugin is found"
        platforms = os.environ.get("JAX_PLATFORMS")
        setting = f" with JAX_PLATFORMS={platforms}" if platforms else ""
        remedy = "unset it, or set" if platforms else "set"
        raise UserError(
            f"JAX cannot start a device{setting}: {reason}; {remedy} JAX_PLATFORMS=cpu "
            "to compute on the CPU"
        ) from error


def compilation_cache() -> AnyPath | None:
    """Returns the folder of compiled programs that commands share; see `_cache`."""
    folder = os.environ.get("JAX_COMPILATION_CACHE_DIR")
    return as_path(folder) if folder else _cache("jaxcorr")


def folder_lists() -> Path | None:
    """Returns the folder of lists of the images in folders; see `_cache`."""
    return _cache("jaxcorr-folders")


def _cache(name: str) -> Path | None:
    """Returns a folder among the user's caches; None if the user has no home.

    Containers run programs under numbers of users that the system does not know.
    """
    caches = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    return None if caches.startswith("~") else Path(caches) / name


def enable_compilation_cache(folder: AnyPath | None = None) -> None:
    """Caches compiled programs for later processes, unless JAX has a cache already.

    Args:
      folder: Folder for all programs: training compiles a hundred small ones, which
        together take as long as the large ones. By default the user's cache folder, for
        programs that take long to compile.
    """
    import jax

    # A program that another process is writing, or that finds the disk full, is
    # compiled again.
    warnings.filterwarnings(
        "ignore", "Error (reading|writing) persistent compilation cache entry"
    )
    environment = os.environ.get("JAX_COMPILATION_CACHE_DIR")
    if environment or jax.config.values["jax_compilation_cache_dir"]:
        return
    min_seconds = 0.1 if folder is None else 0.0
    folder = folder or compilation_cache()
    if folder is None:
        return
    jax.config.update("jax_compilation_cache_dir", str(folder))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", min_seconds)
