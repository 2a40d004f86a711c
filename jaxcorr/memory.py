"""How the process keeps its memory."""

import ctypes

# <malloc.h> of glibc; the last is how many heaps threads share.
TRIM_THRESHOLD, MMAP_THRESHOLD, ARENA_MAX = -1, -3, -8
LARGEST = 2**31 - 1


def keep_freed() -> None:
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
