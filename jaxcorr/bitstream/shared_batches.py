"""Batches of images that several threads code at once, for accelerators.

An accelerator takes about as long for a few small images as for one. Within `sharing`,
threads that give arrays of one shape to one network at about the same time share a run
of it. A thread that finds the network idle runs it on what was given so far; meanwhile
arrays of other threads gather to the next batch. So no thread waits for a batch to be
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
from jaxcorr.transforms.windows import Network

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
      size: Arrays in a batch.
    """

    def __init__(self, size: int):
        self._size = size
        self._waiting: dict[Hashable, list[_Request]] = collections.defaultdict(list)
        self._turns: dict[Hashable, threading.Lock] = collections.defaultdict(
            threading.Lock
        )
        self._lock = threading.Lock()

    def run(self, program: Program, codec: Any, request: _Request) -> np.ndarray:
        """Returns the output of a network, which another thread may compute."""
        region = request.region
        canvas = None if region is None else region.canvas
        key = id(program), id(codec), request.array.shape, canvas
        with self._lock:
            self._waiting[key].append(request)
            turn = self._turns[key]
        with turn:
            if request.output is not None:
                return request.output
            with self._lock:
                waiting = self._waiting[key]
                others = [other for other in waiting if other is not request]
                batch, waiting[:] = others[: self._size - 1], others[self._size - 1 :]
            return self._run_batch(program, codec, [request, *batch])

    def _run_batch(
        self, program: Program, codec: Any, batch: list[_Request]
    ) -> np.ndarray:
        """Sets the outputs of requests, and returns that of the first, this thread's.

        There is a program for a single array and one for a full batch. If a batch
        fails, for want of memory perhaps, each thread runs its own array.
        """
        first = batch[0]
        if len(batch) > 1:
            filled = [batch[min(i, len(batch) - 1)] for i in range(self._size)]
            arrays = np.concatenate([request.array for request in filled])
            region = _stack([request.region for request in filled])
            with contextlib.suppress(jax.errors.JaxRuntimeError):
                outputs = np.asarray(program(codec, arrays, region))
                for index, request in enumerate(batch):
                    request.output = outputs[index : index + 1]
        if first.output is None:
            first.output = np.asarray(program(codec, first.array, first.region))
        return first.output


_current: contextvars.ContextVar[_Batches | None] = contextvars.ContextVar(
    "shared_batches", default=None
)


@contextlib.contextmanager
def sharing(size: int) -> Iterator[None]:
    """Lets threads with this context share runs of networks in the `with` block.

    Args:
      size: Arrays in a batch; 1 shares nothing.
    """
    token = _current.set(_Batches(size) if size > 1 else None)
    try:
        yield
    finally:
        _current.reset(token)


def shared(program: Program, codec: Any) -> Network:
    """Returns a network of a codec, whose runs are shared within `sharing`."""

    def run(array: np.ndarray, region: ValidRegion | None) -> Any:
        batches = _current.get()
        if batches is None:
            return program(codec, array, region)
        return batches.run(program, codec, _Request(array=array, region=region))

    return run


def _stack(regions: list[ValidRegion | None]) -> ValidRegion | None:
    """Returns the valid regions of a batch, all of which have one canvas."""
    known = [region for region in regions if region is not None]
    if not known:
        return None
    return ValidRegion(
        rows=np.stack([region.rows for region in known]),
        columns=np.stack([region.columns for region in known]),
        canvas=known[0].canvas,
    )
