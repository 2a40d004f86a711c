"""Writes metrics and pictures for TensorBoard."""

import contextlib
import itertools
import os
import time
from collections.abc import Mapping

import numpy as np
from jaxtyping import Float

from jaxcorr import extras, paths
from jaxcorr.paths import AnyPath
from jaxcorr.training.remote_log import RemoteLog
from jaxcorr.training.trackers import TrackedRun

with extras.needs_extra("train", "training"):
    from tensorboardX import record_writer, summary
    from tensorboardX.event_file_writer import EventsWriter
    from tensorboardX.proto.event_pb2 import (
        Event,  # pyright: ignore (made when it is imported)
        SessionLog,  # pyright: ignore (made when it is imported)
    )

FLUSH_SECONDS = 30
"""Seconds between two flushes to disk."""
SEGMENT_BYTES = 16_000_000
"""Bytes of events in a bucket after which another file is begun."""


class TensorBoard:
    """Tracks a run in `tensorboard` of its directory; each member has a folder there.

    Args:
      run: The run.
    """

    def __init__(self, run: TrackedRun):
        folder = run.workdir / "tensorboard"
        numbers = range(len(run.members))
        folders = [folder / f"member_{number}" for number in numbers]
        self._writers = [
            _EventWriter(member_folder, start=run.start)
            for member_folder in (folders if len(folders) > 1 else [folder])
        ]

    def scalars(self, values: Mapping[str, float], *, step: int, member: int) -> None:
        """Writes metrics of a member."""
        for name, value in values.items():
            scalar = summary.scalar(name, value)
            self._writers[member].write(Event(step=step, summary=scalar))

    def images(
        self, name: str, images: Float[np.ndarray, "n h w 3"], *, step: int, member: int
    ) -> None:
        """Writes pictures with values in [0, 1]."""
        encoded = summary.image(name, images, dataformats="NHWC")
        self._writers[member].write(Event(step=step, summary=encoded))
        # A checkpoint may follow, after which nobody repeats what is written so far.
        self._writers[member].upload()

    def close(self) -> None:
        """Writes buffered events to disk and closes the files."""
        for writer in self._writers:
            with contextlib.suppress(OSError):  # The others are still closed.
                writer.close()


class _RemoteLogs:
    """Opens files in buckets for tensorboardX, whose own writers need other clients."""

    def open(self, path: str) -> RemoteLog:
        """Opens a file."""
        return RemoteLog(paths.as_path(path))

    def directory_check(self, path: str) -> None:
        """Does nothing, since buckets have no folders."""


class _EventWriter:
    """Writes TensorBoard events of one codec, after the first `start` steps.

    TensorBoard hides earlier events of later steps. Events are written in the calling
    thread. The thread of tensorboardX ends when the disk is full, and the run would
    wait for it forever.

    Args:
      directory: Folder of event files; a new file is added to it.
      start: Steps already taken.
    """

    def __init__(self, directory: AnyPath, *, start: int):
        paths.make_folder(directory)
        self._directory, self._segments = directory, itertools.count()
        self._writer = self._open()
        self._flush_at = 0.0
        session = SessionLog(status=SessionLog.START)
        self.write(Event(step=start + 1, session_log=session))

    def _open(self) -> EventsWriter:
        """Opens the next file of events."""
        # The file name has a resolution of seconds, too coarse for a quick restart.
        suffix = f".{os.getpid()}"
        if paths.is_remote(self._directory):
            suffix += f".{next(self._segments):05}"
            scheme = str(paths.scheme_of(self._directory))
            record_writer.register_writer_factory(scheme, _RemoteLogs())
        return EventsWriter(str(self._directory / "events"), filename_suffix=suffix)

    def write(self, event: Event) -> None:
        """Writes an event, and from time to time those of the buffer."""
        event.wall_time = time.time()
        self._writer.write_event(event)
        file = self._remote_log
        if file is not None and file.size > SEGMENT_BYTES:
            self._writer.close()
            self._writer = self._open()
        if event.wall_time >= self._flush_at:
            self._writer.flush()
            self._flush_at = event.wall_time + FLUSH_SECONDS

    @property
    def _remote_log(self) -> RemoteLog | None:
        """Returns the file of events if it is in a bucket."""
        file = self._writer._py_recordio_writer._writer
        return file if isinstance(file, RemoteLog) else None

    def upload(self) -> None:
        """Writes all events to the file if it is in a bucket."""
        if self._remote_log is not None:
            self._remote_log.upload()

    def close(self) -> None:
        """Writes buffered events to disk and closes the file."""
        self._writer.close()
