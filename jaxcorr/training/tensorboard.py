"""Curves and pictures for TensorBoard."""

import os
import time
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from jaxtyping import Float
from tensorboardX import summary
from tensorboardX.event_file_writer import EventsWriter
from tensorboardX.proto.event_pb2 import (
    Event,  # pyright: ignore (made when it is imported)
    SessionLog,  # pyright: ignore (made when it is imported)
)

FLUSH_SECONDS = 30


class TensorBoardWriter:
    """Events of one run.

    They are written at once, not by a thread as tensorboardX has: where the disk is
    full, its thread ends, and the run would wait for it for ever.
    """

    def __init__(self, directory: Path, *, start: int):
        """Continues after the first `start` steps; TensorBoard hides what came later.

        Args:
          directory: Where event files lie; a new one is written.
          start: Steps already taken.
        """
        directory.mkdir(parents=True, exist_ok=True)
        # A name holds the second alone: that of a quick restart would be the same.
        name = str(directory / "events")
        self._writer = EventsWriter(name, filename_suffix=f".{os.getpid()}")
        self._flush_at = 0.0
        begin = SessionLog(status=SessionLog.START)
        self._write(Event(step=start + 1, session_log=begin))

    def scalars(self, kind: str, values: Mapping[str, float], step: int) -> None:
        """Adds a point to the curve of each value."""
        for name, value in values.items():
            drawn = summary.scalar(f"{kind}/{name}", value)
            self._write(Event(step=step, summary=drawn))

    def images(self, tag: str, images: Float[np.ndarray, "n h w 3"], step: int) -> None:
        """Adds pictures, with values in [0, 1]."""
        drawn = summary.image(tag, images, dataformats="NHWC")
        self._write(Event(step=step, summary=drawn))

    def close(self) -> None:
        """Writes out what is buffered."""
        self._writer.close()

    def _write(self, event: Event) -> None:
        event.wall_time = time.time()
        self._writer.write_event(event)
        if event.wall_time >= self._flush_at:
            self._writer.flush()
            self._flush_at = event.wall_time + FLUSH_SECONDS
