"""Logs of a run: lines on the terminal, JSON lines in files, and TensorBoard."""

import contextlib
import json
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Protocol, TextIO, runtime_checkable

import numpy as np
from jaxtyping import Float
from tqdm.auto import tqdm
from typing_extensions import override

from jaxcorr import files
from jaxcorr.errors import UserError
from jaxcorr.run_directory import HELD_OUT_LOG
from jaxcorr.training.tensorboard import TensorBoardWriter

METRICS = "metrics.jsonl"
"""File with one JSON object per member and logged step."""


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
        self, step: int, metrics: Mapping[int, Mapping[str, float]], *, batch_size: int
    ) -> None:
        """Logs the metrics of a training step.

        Args:
          step: Steps taken.
          metrics: Metrics of each member, by its number.
          batch_size: Crops in a step.
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
    def log_step(self, step, metrics, *, batch_size):
        pass

    @override
    def log_held_out(self, step, member, metrics, images, reconstructions):
        pass

    @override
    def log_message(self, line):
        pass


class FileLogger(RunLogger):
    """Logs to the terminal, to JSON lines and to TensorBoard.

    Continues the logs of the first `start` steps. Records of later steps are dropped.

    Args:
      workdir: The run directory.
      start: Steps already taken.
      steps: Length of the run, in steps.
      members: Number of codecs that are trained with each image.
    """

    def __init__(
        self,
        workdir: Path,
        *,
        start: int,
        steps: int,
        members: int = 1,
    ):
        self._workdir = workdir
        self._metrics = _open_log(workdir / METRICS, start)
        self._held_out = _open_log(workdir / HELD_OUT_LOG, start)
        folder = workdir / "tensorboard"
        folders = [folder / f"member_{number}" for number in range(members)]
        with self._report_write_errors():
            self._tensorboard = [
                TensorBoardWriter(member_folder, start=start)
                for member_folder in (folders if members > 1 else [folder])
            ]
        self._bar = tqdm(
            initial=start,
            total=steps,
            dynamic_ncols=True,
            bar_format="{percentage:3.0f}% | {desc}",
            disable=None,  # Without a terminal, lines are printed instead of a bar.
        )
        self._steps = steps
        self._members = members
        self.restart_timer(start)

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
        self._bar.close()
        for file in (*self._tensorboard, self._metrics, self._held_out):
            # A full disk was reported before; the other files are still closed.
            with contextlib.suppress(OSError):
                file.close()

    @override
    def restart_timer(self, step):
        self._clock = (step, time.perf_counter())
        self._data_wait = 0.0

    @override
    def log_data_wait(self, seconds):
        self._data_wait += seconds

    @override
    def log_step(self, step, metrics, *, batch_size):
        first, start = self._clock
        seconds = time.perf_counter() - start
        # Crops count once for each member that trains on them.
        speed = batch_size * self._members * (step - first) / seconds
        data_wait = self._data_wait / seconds
        self.restart_timer(step)
        measured = {
            "images_per_second": round(speed, 2),
            "data_wait": round(data_wait, 4),
        }
        for member, member_metrics in metrics.items():
            values = {**member_metrics, **measured}
            with self._report_write_errors():
                _write(self._metrics, {"step": step, "member": member, **values})
                self._tensorboard[member].scalars("train", values, step)

        def text(name: str, digits: int) -> str:
            return _format_range([values[name] for values in metrics.values()], digits)

        left = (self._steps - step) * seconds / (step - first)
        line = (
            f"step {step}/{self._steps}: loss {text('loss', 3)}, "
            f"{text('bpp', 3)} bpp, {text('psnr_db', 2)} dB, "
            f"correlation {text('correlation', 4)}, "
            f"{speed:.1f} images/s, {data_wait:.0%} data wait, "
            f"{tqdm.format_interval(left)} left"
        )
        if self._bar.disable:
            self.log_message(line)
        else:
            self._bar.set_description_str(line, refresh=False)
            self._bar.update(step - self._bar.n)

    @override
    def log_held_out(self, step, member, metrics, images, reconstructions):
        tensorboard = self._tensorboard[member]
        pairs = np.concatenate([images, np.clip(reconstructions, 0, 1)], axis=2)
        with self._report_write_errors():
            _write(self._held_out, {"step": step, "member": member, **metrics})
            tensorboard.scalars("held_out", metrics, step)
            tensorboard.images("held_out/original_and_reconstruction", pairs, step)
        which = f", member {member}" if len(self._tensorboard) > 1 else ""
        self.log_message(
            f"step {step}{which}: held out {metrics['bpp']:.4f} bpp, "
            f"{metrics['psnr_db']:.2f} dB, correlation {metrics['correlation']:.4f}"
        )

    @override
    def log_message(self, line):
        # Prints above the progress bar.
        with tqdm.external_write_mode():
            print(line, flush=True)

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


def _format_range(values: Sequence[float], digits: int) -> str:
    """Formats one value, or the lowest and the highest of several."""
    lowest, highest = (f"{value:.{digits}f}" for value in (min(values), max(values)))
    return lowest if lowest == highest else f"{lowest} to {highest}"


def _write(file: TextIO, record: Mapping[str, int | float]) -> None:
    file.write(json.dumps(record) + "\n")
    file.flush()


def _open_log(path: Path, start: int) -> TextIO:
    """Opens a log for appending, and drops records of steps after `start`.

    A run that was killed may have logged steps after its last checkpoint, and its last
    line may be incomplete.
    """
    kept = []
    for line in path.read_text().splitlines() if path.exists() else []:
        try:
            record = json.loads(line)
        except ValueError:
            break
        if record["step"] <= start:
            kept.append(line + "\n")
    files.write_file(path, "".join(kept).encode())
    return path.open("a")
