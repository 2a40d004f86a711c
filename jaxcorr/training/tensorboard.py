"""Writes scalars and images for TensorBoard."""

import os
import time
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from jaxtyping import Float

from jaxcorr import extras

with extras.needs_extra("train", "training"):
    from tensorboardX import summary
    from tensorboardX.event_file_writer import EventsWriter
    from tensorboardX.proto.event_pb2 import (
        Event,  # pyright: ignore (made when it is imported)
        SessionLog,  # pyright: ignore (made when it is imported)
    )

FLUSH_SECONDS = 30
"""Seconds between two flushes to disk."""


class TensorBoardWriter:
    """Writes TensorBoard events of one codec, after the first `start` steps.

    TensorBoard hides earlier events of later steps. Events are written in the calling
    thread. The thread of tensorboardX ends when the disk is full, and the run would
    wait for it forever.

    Args:
      directory: Folder of event files; a new file is added to it.
      start: Steps already taken.
    """

    def __init__(self, directory: Path, *, start: int):
        directory.mkdir(parents=True, exist_ok=True)
        # The file name has a resolution of seconds, too coarse for a quick restart.
        name = str(directory / "events")
        self._writer = EventsWriter(name, filename_suffix=f".{os.getpid()}")
        self._flush_at = 0.0
        session = SessionLog(status=SessionLog.START)
        self._write(Event(step=start + 1, session_log=session))

    def scalars(self, kind: str, values: Mapping[str, float], step: int) -> None:
        """Writes each value under the tag `kind/name`."""
        for name, value in values.items():
            scalar = summary.scalar(f"{kind}/{name}", value)
            self._write(Event(step=step, summary=scalar))

    def images(self, tag: str, images: Float[np.ndarray, "n h w 3"], step: int) -> None:
        """Writes images with values in [0, 1]."""
        encoded = summary.image(tag, images, dataformats="NHWC")
        self._write(Event(step=step, summary=encoded))

    def close(self) -> None:
        """Writes buffered events to disk and closes the file."""
        self._writer.close()

    def _write(self, event: Event) -> None:
        event.wall_time = time.time()
        self._writer.write_event(event)
        if event.wall_time >= self._flush_at:
            self._writer.flush()
            self._flush_at = event.wall_time + FLUSH_SECONDS
