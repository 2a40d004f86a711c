"""Memory of the system: how much is free, and how it is returned."""

import contextlib
import ctypes
import mmap
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from jaxtyping import Shaped

UNKNOWN = 4 * 2**30
"""Free memory that is assumed where the system does not tell."""
MADV_DONTNEED = 4
"""Advice of Linux's `madvise`: the pages are not needed, and are zeros if read."""


CGROUPS = {
    Path("/sys/fs/cgroup"): ("memory.max", "memory.current"),
    Path("/sys/fs/cgroup/memory"): ("memory.limit_in_bytes", "memory.usage_in_bytes"),
}
"""Folders of both versions of control groups, and their files with the limit of a
container in bytes, and with what it uses."""
LIMITS = {"RLIMIT_AS": "VmSize:", "RLIMIT_DATA": "VmData:"}
"""Limits of a process, as `ulimit` sets them, and what they limit in its status."""


def free_memory() -> int:
    """Returns the bytes of memory that this process can still get.

    That is what the system has, within the limits of a container and of the process.
    """
    return max(0, min([_free_in_system(), *_free_in_container(), *_free_in_process()]))


def _free_in_system() -> int:
    meminfo = Path("/proc/meminfo")
    if meminfo.exists():
        for line in meminfo.read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2
    except (AttributeError, ValueError, OSError):
        return UNKNOWN


def _free_in_container() -> Iterator[int]:
    for folder, names in CGROUPS.items():
        with contextlib.suppress(OSError, ValueError):  # No limit is called "max".
            limit, used = (int((folder / name).read_text()) for name in names)
            lines = (folder / "memory.stat").read_text().splitlines()
            counts = dict(line.split() for line in lines)
            # The system drops cached files when memory is needed.
            yield limit - used + int(counts.get("inactive_file", 0))


def _free_in_process() -> Iterator[int]:
    with contextlib.suppress(ImportError, OSError):  # Not on Linux.
        import resource

        status = Path("/proc/self/status").read_text().splitlines()
        for name, entry in LIMITS.items():
            limit, _ = resource.getrlimit(getattr(resource, name))
            if limit != resource.RLIM_INFINITY:
                used = (line.split()[1] for line in status if line.startswith(entry))
                yield from (limit - int(kibibytes) * 1024 for kibibytes in used)


def return_freed_memory() -> None:
    """Returns freed memory to the system: arrays of another size may not fit into it.

    A command would keep all of it; see `runtime.retain_freed_memory`.
    """
    with contextlib.suppress(OSError, TypeError, AttributeError):  # Without glibc.
        ctypes.CDLL(None).malloc_trim(0)


def discard_rows(array: Shaped[np.ndarray, "rows ..."], stop: int) -> None:
    """Returns the memory of an array's first rows to the system, on Linux.

    The rows must not be read any more, since their values are lost.

    Args:
      array: A contiguous array.
      stop: The row after the last to discard.
    """
    if sys.platform != "linux" or not array.flags.c_contiguous:
        return
    start = array.ctypes.data
    end = start + array[:stop].nbytes
    page = mmap.PAGESIZE
    first, last = -(-start // page) * page, end // page * page
    if last > first:  # Other arrays may share the pages at both ends.
        address, size = ctypes.c_void_p(first), ctypes.c_size_t(last - first)
        ctypes.CDLL(None).madvise(address, size, MADV_DONTNEED)
