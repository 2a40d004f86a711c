"""Moves each batch to the devices while the step before it runs."""

import concurrent.futures
import time
from collections.abc import Iterator
from types import TracebackType
from typing import Any

import jax
from jaxtyping import Array, PyTree


class BatchTransfer:
    """Reads and moves the next batch in a thread, and measures the wait for it.

    Use it in a `with` block, which waits at its end for the batch that is being read.

    Args:
      batches: Yields batches on the devices. It is advanced in the thread, one batch
        ahead of `take`.
    """

    def __init__(self, batches: Iterator[Array]):
        self._batches = batches
        self._thread = concurrent.futures.ThreadPoolExecutor(1, "batches")
        self._upcoming = self._thread.submit(self._read)
        self._before: Any = None

    def __enter__(self) -> "BatchTransfer":
        """Returns the transfer."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Ends the thread."""
        self._thread.shutdown()

    def take(self, running: PyTree) -> tuple[Array, float]:
        """Returns the next batch, and how long the devices waited for it.

        Waits until the step before the running one has finished. So the devices always
        have a step to run, and no more than three batches are in their memory.

        Args:
          running: Results of the step that runs now; None before the first step.

        Returns:
          The batch, and the seconds in which no step ran because it was not there.

        Raises:
          Exception: What reading the batch raised.
        """
        jax.block_until_ready(self._before)
        self._before = running
        waited = 0.0
        if not self._upcoming.done():
            jax.block_until_ready(running)
            start = time.perf_counter()
            concurrent.futures.wait([self._upcoming])
            waited = time.perf_counter() - start
        batch = self._upcoming.result()
        self._upcoming = self._thread.submit(self._read)
        return batch, waited

    def _read(self) -> Any:
        """Returns the next batch when it is on the devices, or None after the last."""
        return jax.block_until_ready(next(self._batches, None))
