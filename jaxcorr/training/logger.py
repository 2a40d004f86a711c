"""Logs of a run: lines on the terminal, JSON lines in files, and trackers."""

import contextlib
import json
import logging
from collections.abc import Iterator, Mapping, Sequence
from types import TracebackType
from typing import Protocol, TextIO, runtime_checkable

import numpy as np
from jaxtyping import Float
from typing_extensions import override

from jaxcorr import files, paths
from jaxcorr.errors import UserError
from jaxcorr.paths import AnyPath
from jaxcorr.run_directory import HELD_OUT_LOG
from jaxcorr.training.console import Console
from jaxcorr.training.remote_log import RemoteLog
from jaxcorr.training.speed import Speed
from jaxcorr.training.trackers import Tracker

logger = logging.getLogger(__name__)

METRICS = "metrics.jsonl"
"""File with one JSON object per member and logged step."""
PICTURES = "held_out/original_and_reconstruction"
"""Name of the pictures of an evaluation for trackers."""


@runtime_checkable  # So that tests can check types.
class RunLogger(Protocol):
    """Reports the progress of a run. Members of a sweep are identified by number."""

    def restart_timer(self, step: int) -> None:
        """Starts to measure the speed anew after `step`.

        Excludes time that is not training, such as compilation or evaluation.
        """
        ...

    def log_data_wait(self, seconds: float) -> None:
        """Counts time in which no step ran because the next batch was not there."""
        ...

    def log_step(
        self,
        step: int,
        metrics: Mapping[int, Mapping[str, float]],
        *,
        batch_size: int,
        flops: float | None = None,
    ) -> None:
        """Logs the metrics of a training step, and the speed since the last log.

        Args:
          step: Steps taken.
          metrics: Metrics of each member, by its number.
          batch_size: Crops in a step.
          flops: Floating-point operations of a step on all devices; None if unknown.
        """
        ...

    def log_held_out(
        self,
        step: int,
        member: int,
        metrics: Mapping[str, float],
        images: Float[np.ndarray, "n h w 3"],
        reconstructions: Float[np.ndarray, "n h w 3"],
    ) -> None:
        """Logs metrics on held-out images, and reconstructions of some crops.

        Args:
          step: Steps taken.
          member: Number of the sweep member.
          metrics: Metrics over all held-out images.
          images: Some held-out crops, in [0, 1].
          reconstructions: Reconstructions of `images`.
        """
        ...

    def log_message(self, line: str) -> None:
        """Logs a line of text."""
        ...


class NullLogger(RunLogger):
    """Logs nothing, as every process does except the first."""

    @override
    def restart_timer(self, step):
        pass

    @override
    def log_data_wait(self, seconds):
        pass

    @override
    def log_step(self, step, metrics, *, batch_size, flops=None):
        pass

    @override
    def log_held_out(self, step, member, metrics, images, reconstructions):
        pass

    @override
    def log_message(self, line):
        pass


class FileLogger(RunLogger):
    """Logs to the terminal, to JSON lines and to trackers.

    Continues the logs of the first `start` steps. Records of later steps are dropped.

    Args:
      workdir: The run directory.
      start: Steps already taken.
      steps: Length of the run, in steps.
      members: Number of codecs that are trained with each image.
      trackers: Receive metrics and pictures, too. They are closed with the logger.
    """

    def __init__(
        self,
        workdir: AnyPath,
        *,
        start: int,
        steps: int,
        members: int = 1,
        trackers: Sequence[Tracker] = (),
    ):
        self._workdir = workdir
        self._metrics = _open_log(workdir / METRICS, start)
        self._held_out = _open_log(workdir / HELD_OUT_LOG, start)
        self._trackers = trackers
        self._console = Console(start=start, steps=steps)
        self._members = members
        self._speed = Speed(start=start, members=members)

    def __enter__(self) -> "FileLogger":
        """Returns the logger."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Closes the files."""
        self._console.close()
        for file in (*self._trackers, self._metrics, self._held_out):
            # A full disk was reported before; the other files are still closed.
            with contextlib.suppress(OSError):
                try:
                    file.close()
                except UserError as problem:  # The end of a log did not reach a bucket.
                    logger.warning("%s", problem)

    @override
    def restart_timer(self, step):
        self._speed.restart(step)

    @override
    def log_data_wait(self, seconds):
        self._speed.add_data_wait(seconds)

    @override
    def log_step(self, step, metrics, *, batch_size, flops=None):
        speed = self._speed.measure(step, batch_size=batch_size, flops=flops)
        for member, member_metrics in metrics.items():
            values = {**member_metrics, **speed}
            with self._report_write_errors():
                _write(self._metrics, {"step": step, "member": member, **values})
                self._track("train", values, step, member)
        self._console.show_step(step, metrics, speed)

    @override
    def log_held_out(self, step, member, metrics, images, reconstructions):
        pairs = np.concatenate([images, np.clip(reconstructions, 0, 1)], axis=2)
        with self._report_write_errors():
            _write(self._held_out, {"step": step, "member": member, **metrics})
            self._track("held_out", metrics, step, member)
            for tracker in self._trackers:
                tracker.images(PICTURES, pairs, step=step, member=member)
            # A checkpoint may follow, after which nobody repeats what is logged so far.
            for file in (self._metrics, self._held_out):
                if isinstance(file, RemoteLog):
                    file.upload()
        which = f", member {member}" if self._members > 1 else ""
        self.log_message(
            f"step {step}{which}: held out {metrics['bpp']:.4f} bpp, "
            f"{metrics['psnr_db']:.2f} dB, correlation {metrics['correlation']:.4f}"
        )

    @override
    def log_message(self, line):
        self._console.print(line)

    def _track(
        self, kind: str, metrics: Mapping[str, float], step: int, member: int
    ) -> None:
        """Passes metrics to the trackers, under names such as `train/loss`."""
        values = {f"{kind}/{name}": value for name, value in metrics.items()}
        for tracker in self._trackers:
            tracker.scalars(values, step=step, member=member)

    @contextlib.contextmanager
    def _report_write_errors(self) -> Iterator[None]:
        """Turns errors of writing into a UserError of one line."""
        try:
            yield
        except OSError as error:
            raise UserError(
                f"cannot write logs in {self._workdir}: {error.strerror}; "
                "checkpoints are kept"
            ) from error


def _write(file: TextIO | RemoteLog, record: Mapping[str, int | float]) -> None:
    file.write(json.dumps(record) + "\n")
    file.flush()


def _open_log(path: AnyPath, start: int) -> TextIO | RemoteLog:
    """Opens a log for appending, and drops records of steps after `start`.

    A run that was killed may have logged steps after its last checkpoint, and its last
    line may be incomplete.
    """
    kept = []
    for line in files.read_file(path).decode().splitlines() if path.exists() else []:
        try:
            record = json.loads(line)
        except ValueError:
            break
        if record["step"] <= start:
            kept.append(line + "\n")
    content = "".join(kept).encode()
    if paths.is_remote(path):
        return RemoteLog(path, content)
    files.write_file(path, content)
    return path.open("a")
