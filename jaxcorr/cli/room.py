"""The memory in which the images of a batch are coded at once."""

import contextlib
import threading
from collections.abc import Iterator

from jaxcorr import system_memory
from jaxcorr.bitstream import memory
from jaxcorr.codec import TransformConfig


class Room:
    """Admits images to coding, in order, as long as they fit into memory together.

    An image that is coded in windows uses all cores, so it has the room for itself: the
    memory of a batch is that of its largest image.

    Args:
      limit: Bytes that the process may take; None for half of what is free.
    """

    def __init__(self, limit: int | None):
        total = system_memory.free_memory() // 2 if limit is None else limit
        self._total = max(total - memory.BASE, 1)
        self._used = 0
        self._entrance = threading.Lock()
        self._changed = threading.Condition()
        self._writing = threading.Lock()

    @contextlib.contextmanager
    def coding(self, transforms: TransformConfig, size: tuple[int, int]) -> Iterator:
        """Waits until there is room for an image, and takes it during the block.

        Args:
          transforms: Settings of the transforms.
          size: Height and width of the image in pixels; zeros if they are not known.
        """
        share = self._total
        if not memory.is_large(size):
            share = min(share, memory.coding_bytes(transforms, size))
        with self._entrance, self._changed:
            self._changed.wait_for(lambda: self._used + share <= self._total)
            self._used += share
        try:
            yield
        finally:
            with self._changed:
                self._used -= share
                self._changed.notify_all()

    @contextlib.contextmanager
    def writing(self, size: tuple[int, int]) -> Iterator[None]:
        """Waits until no other large image is written, if this one is large."""
        with self._writing if memory.is_large(size) else contextlib.nullcontext():
            yield
