"""How the process keeps its memory."""

import ctypes

# <malloc.h> of glibc; sizes are ints.
TRIM_THRESHOLD, MMAP_THRESHOLD = -1, -3
LARGEST = 2**31 - 1


def keep_freed() -> None:
    """Lets large arrays take over the memory of those before them, on a CPU.

    The C library of Linux gets memory for each array above 32 MB from the system, and
    gives it back when the array goes. The system clears every page of it when it is
    first touched: the first layers of a transform of a photograph wait longer for that
    than they compute. Kept memory stays with the process until it ends, so a command
    does this for itself, and a library leaves it to its caller. Other C libraries are
    left alone.
    """
    try:
        set_option = ctypes.CDLL(None).mallopt
    except (OSError, TypeError, AttributeError):
        return
    set_option(MMAP_THRESHOLD, LARGEST)
    set_option(TRIM_THRESHOLD, LARGEST)
