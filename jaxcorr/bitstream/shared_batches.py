"""Batches of images that several threads code at once, for accelerators.

An accelerator takes about as long for a few small images as for one. Within `sharing`,
threads that give arrays of one shape to one network at about the same time share a run
of it. A thread that finds the network idle runs it on what was given so far; meanwhile
arrays of other threads gather for the next batch. So no thread waits for a batch to be
full.

This is for analysis and synthesis alone. What feeds the range coder must not depend on
other images, not even in the last bits of float32.
"""

import collections
import contextlib
import contextvars
import dataclasses
import threading
from collections.abc import Callable, Hashable, Iterator
from typing import Any

import jax
import numpy as np
from jaxtyping import Float, Shaped

from jaxcorr.layers.valid_region import ValidRegion

Program = Callable[[Any, np.ndarray, ValidRegion | None], Any]
"""A network of a codec: maps arrays of shape [b, rows, columns, c]."""


@dataclasses.dataclass(kw_only=True, eq=False)
class _Request:
    """An array that a thread gives to a network, and the output once it is there."""

    array: Float[np.ndarray, "1 h w c"]
    region: ValidRegion | None
    output: Shaped[np.ndarray, "1 _ _ _"] | None = None


class _Batches:
    """The requests of all threads, by what they can share.

    Args:
      size: Arrays in a batch, at most.
    """

    def __init__(self, size: int):
        self.size = size
        self._waiting: dict[Hashable, list[_Request]] = collections.defaultdict(list)
        self._running: set[Hashable] = set()
        self._failed: set[Hashable] = set()
        self._changed = threading.Condition()

    def run(
        self, program: Program, codec: Any, request: _Request, size: int
    ) -> np.ndarray:
        """Returns the output of a network, which another thread may compute."""
        structure = jax.tree.structure(request.region)
        key = id(program), id(codec), request.array.shape, structure
        with self._changed:
            waiting = self._waiting[key]
            waiting.append(request)
            self._changed.wait_for(
                lambda: request.output is not None or key not in self._running
            )
            if request.output is not None:
                return request.output
            self._running.add(key)
            waiting.remove(request)
            others = 0 if key in self._failed else size - 1
            batch = [request, *waiting[:others]]
            del waiting[:others]
        try:
            if len(batch) > 1 and not _run_batch(program, codec, batch, size):
                self._failed.add(key)
                with self._changed:
                    waiting += batch[1:]
            if request.output is None:
                request.output = np.asarray(
                    program(codec, request.array, request.region)
                )
            return request.output
        finally:
            with self._changed:
                self._running.remove(key)
                self._changed.notify_all()


def _run_batch(program: Program, codec: Any, batch: list[_Request], size: int) -> bool:
    """Sets the outputs of requests; returns False if that fails.

    There is one program for all batches, whose unused places repeat the last array.
    """
    filled = [batch[min(index, len(batch) - 1)] for index in range(size)]
    try:
        arrays = np.concatenate([request.array for request in filled])
        regions = [request.region for request in filled]
        region = jax.tree.map(lambda *sides: np.stack(sides), *regions)
        outputs = np.asarray(program(codec, arrays, region))
    except Exception:  # Each thread meets the error again, or runs where a batch fails.
        return False
    for index, request in enumerate(batch):
        request.output = outputs[index : index + 1]
    return True


_current: contextvars.ContextVar[_Batches | None] = contextvars.ContextVar(
    "shared_batches", default=None
)


@contextlib.contextmanager
def sharing(size: int) -> Iterator[None]:
    """Lets threads with this context share runs of networks in the `with` block.

    Args:
      size: Arrays in a batch, at most; 1 shares nothing.
    """
    token = _current.set(_Batches(size))
    try:
        yield
    finally:
        _current.reset(token)


def run(
    program: Program,
    codec: Any,
    array: Float[np.ndarray, "1 h w c"],
    region: ValidRegion | None,
    *,
    most: int,
) -> Any:
    """Returns the output of a network of a codec; within `sharing`, of a shared run.

    If a batch fails, perhaps because memory runs out, arrays of its shape run alone
    from then on.

    Args:
      program: The network.
      codec: The codec.
      array: The array.
      region: Its valid region.
      most: Arrays of this shape in a batch, at most.
    """
    batches = _current.get()
    size = 1 if batches is None else min(batches.size, most)
    if batches is None or size < 2:
        return program(codec, array, region)
    return batches.run(program, codec, _Request(array=array, region=region), size)
