"""What a run tells while it goes: a line on the terminal, a file, TensorBoard."""

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
from jaxcorr.training.tensorboard import TensorBoardWriter

METRICS = "metrics.jsonl"
"""One object a logged step."""
HELD_OUT = "held_out.jsonl"
"""One object an evaluation on held-out crops."""


@runtime_checkable  # So that tests can check types.
class RunLogger(Protocol):
    """Reports the progress of a run.

    Members of a sweep are told apart by their number.
    """

    def restart_timer(self, step: int) -> None:
        """Leaves out of the speed what was not training, such as compilation."""
        ...

    def log_step(self, step: int, metrics: Mapping[int, Mapping[str, float]]) -> None:
        """Logs the metrics of a training step, of each member."""
        ...

    def log_held_out(
        self,
        step: int,
        member: int,
        metrics: Mapping[str, float],
        images: Float[np.ndarray, "n h w 3"],
        reconstructions: Float[np.ndarray, "n h w 3"],
    ) -> None:
        """Logs metrics on held-out crops, and reconstructions of some of them.

        Args:
          step: Steps taken.
          member: Number of the sweep member.
          metrics: Means over the crops.
          images: Crops in [0, 1].
          reconstructions: Reconstructions of `images`.
        """
        ...

    def log_message(self, line: str) -> None:
        """Logs a line of text."""
        ...


class NullLogger(RunLogger):
    """Logs nothing, as all processes but the first do."""

    @override
    def restart_timer(self, step):
        pass

    @override
    def log_step(self, step, metrics):
        pass

    @override
    def log_held_out(self, step, member, metrics, images, reconstructions):
        pass

    @override
    def log_message(self, line):
        pass


class FileLogger(RunLogger):
    """Logs on the terminal, in JSON lines and for TensorBoard."""

    def __init__(
        self,
        workdir: Path,
        *,
        start: int,
        steps: int,
        batch_size: int,
        members: int = 1,
    ):
        """Continues after the first `start` steps; what was logged after them goes.

        Args:
          workdir: The run directory.
          start: Steps already taken.
          steps: Length of the run.
          batch_size: Images in a step.
          members: Codecs that are trained with each image.
        """
        self._workdir = workdir
        self._metrics = _reopened(workdir / METRICS, start)
        self._held_out = _reopened(workdir / HELD_OUT, start)
        board = workdir / "tensorboard"
        with self._disk():
            self._boards = [
                TensorBoardWriter(
                    board / f"member_{number}" if members > 1 else board, start=start
                )
                for number in range(members)
            ]
        self._bar = tqdm(
            initial=start,
            total=steps,
            dynamic_ncols=True,
            bar_format="{percentage:3.0f}% | {desc}",
            disable=None,  # Off unless on a terminal: there lines are printed instead.
        )
        self._steps = steps
        self._crops = batch_size * members
        self._clock = (start, time.perf_counter())

    def __enter__(self) -> "FileLogger":
        """Returns itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Writes out what is buffered."""
        self._bar.close()
        for file in (*self._boards, self._metrics, self._held_out):
            # What cannot be written has been said; what is at hand goes out.
            with contextlib.suppress(OSError):
                file.close()

    @override
    def restart_timer(self, step):
        self._clock = (step, time.perf_counter())

    @override
    def log_step(self, step, metrics):
        # Crops count once for each member that trains on them.
        now = time.perf_counter()
        seconds_per_step = (now - self._clock[1]) / (step - self._clock[0])
        self._clock = (step, now)
        speed = self._crops / seconds_per_step
        for member, each in metrics.items():
            values = {**each, "images_per_second": round(speed, 2)}
            with self._disk():
                _write(self._metrics, {"step": step, "member": member, **values})
                self._boards[member].scalars("train", values, step)

        left = tqdm.format_interval((self._steps - step) * seconds_per_step)
        shown = lambda name, digits: _range([m[name] for m in metrics.values()], digits)
        line = (
            f"step {step}/{self._steps}: loss {shown('loss', 3)}, "
            f"{shown('bpp', 3)} bpp, {shown('psnr_db', 2)} dB, "
            f"correlation {shown('correlation', 4)}, "
            f"{speed:.1f} images/s, {left} left"
        )
        if self._bar.disable:
            self.log_message(line)
        else:
            self._bar.set_description_str(line, refresh=False)
            self._bar.update(step - self._bar.n)

    @override
    def log_held_out(self, step, member, metrics, images, reconstructions):
        board = self._boards[member]
        pairs = np.concatenate([images, np.clip(reconstructions, 0, 1)], axis=2)
        with self._disk():
            _write(self._held_out, {"step": step, "member": member, **metrics})
            board.scalars("held_out", metrics, step)
            board.images("held_out/original_and_reconstruction", pairs, step)
        which = f", member {member}" if len(self._boards) > 1 else ""
        self.log_message(
            f"step {step}{which}: held out {metrics['bpp']:.4f} bpp, "
            f"{metrics['psnr_db']:.2f} dB, correlation {metrics['correlation']:.4f}"
        )

    @override
    def log_message(self, line):
        # Above the progress line.
        with tqdm.external_write_mode():
            print(line, flush=True)

    @contextlib.contextmanager
    def _disk(self) -> Iterator[None]:
        """Says in one line if the disk is full."""
        try:
            yield
        except OSError as error:
            raise UserError(
                f"cannot write logs in {self._workdir}: {error.strerror}; "
                "checkpoints are kept"
            ) from error


def _range(values: Sequence[float], digits: int) -> str:
    """A value, or the lowest and the highest of several."""
    lowest, highest = (f"{value:.{digits}f}" for value in (min(values), max(values)))
    return lowest if lowest == highest else f"{lowest} to {highest}"


def _write(file: TextIO, record: Mapping[str, int | float]) -> None:
    file.write(json.dumps(record) + "\n")
    file.flush()


def _reopened(path: Path, start: int) -> TextIO:
    """Opens a log for appending, without what comes after step `start`.

    A run that was killed may have logged steps that its last checkpoint does not hold,
    the last of them in part.
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
