"""Compiled programs: those for a few sizes of images are kept, so memory is bounded.

JAX keeps the programs of a function for every size that it was ever called with. Images
of many sizes share the programs of a canvas, but there are still hundreds of canvases.
"""

import contextlib
import gc
import threading
from collections.abc import Callable, Hashable, Iterator
from typing import Any, TypeVar

from jaxcorr import system_memory

LIMIT = 4
"""Sizes of images whose programs are kept at once."""

Compiled = TypeVar("Compiled", bound=Callable[..., Any])


class _FirstUse:
    """A use of programs for a size, the first of which compiles them.

    Attributes:
      lock: Is held in the first use.
      is_over: Whether the programs are compiled.
    """

    def __init__(self):
        self.lock = threading.Lock()
        self.is_over = False


_functions: list[Any] = []
_first_uses: dict[Hashable, dict[str, _FirstUse]] = {}
_lock = threading.Lock()
_generation = 0


def forgotten(function: Compiled) -> Compiled:
    """Lets `kept_for` free the programs of a function, the result of `jax.jit`."""
    _functions.append(function)
    return function


@contextlib.contextmanager
def kept_for(size: Hashable, use: str) -> Iterator[None]:
    """Keeps the programs that the block compiles, and frees those of earlier sizes.

    Once there are programs for `LIMIT` sizes, a further size frees all of them: those
    of the functions marked as `forgotten`, but none of the caller's own. A program that
    is freed while it runs in another thread ends as if it were kept.

    The first block of a size and a use runs alone, so that threads which code images of
    one size compile its programs once.

    Args:
      size: What decides the shapes of the arrays.
      use: What the programs are used for, such as "encode".
    """
    with _lock:
        if _first_uses and size not in _first_uses:
            if len(_first_uses) >= LIMIT:
                _free()
            system_memory.return_freed_memory()
        first = _first_uses.setdefault(size, {}).setdefault(use, _FirstUse())
    if not first.is_over:
        with first.lock:
            if not first.is_over:
                yield
                first.is_over = True
                return
    yield


def generation() -> int:
    """Returns how often the programs were freed."""
    return _generation


def _free() -> None:
    global _generation
    _generation += 1
    _first_uses.clear()
    for function in _functions:
        function.clear_cache()
    gc.collect()  # Traced functions refer to each other.
