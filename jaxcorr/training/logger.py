"""What a run tells while it goes: a line on the terminal, a file, TensorBoard."""

import contextlib
import json
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import TextIO

import numpy as np
from jaxtyping import Float
from tqdm.auto import tqdm

from jaxcorr import files
from jaxcorr.errors import UserError
from jaxcorr.training.tensorboard import Board

METRICS = "metrics.jsonl"
"""One object a logged step."""
HELD_OUT = "held_out.jsonl"
"""One object an evaluation on held-out crops."""


class Log:
    """Where a run tells what it does: nowhere, unless a method is overridden.

    Members of a sweep are told apart by their number.
    """

    def restart_clock(self, step: int) -> None:
        """Leaves out of the speed what was no training, such as compilation."""

    def train(self, step: int, metrics: Mapping[int, Mapping[str, float]]) -> None:
        """Tells metrics of a training step, of each member."""

    def held_out(
        self,
        step: int,
        member: int,
        metrics: Mapping[str, float],
        images: Float[np.ndarray, "n h w 3"],
        reconstructions: Float[np.ndarray, "n h w 3"],
    ) -> None:
        """Tells metrics on held-out crops, and shows what some crops became.

        Args:
          step: Steps taken.
          member: Whose metrics they are.
          metrics: Means over the crops.
          images: Crops in [0, 1].
          reconstructions: What the codec made of them.
        """

    def say(self, line: str) -> None:
        """Tells something else."""


class Logs(Log):
    """Progress of one run, on the terminal and in files."""

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
                Board(board / f"member_{number}" if members > 1 else board, start=start)
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

    def __enter__(self) -> "Logs":
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

    def restart_clock(self, step: int) -> None:
        """As of `Log`."""
        self._clock = (step, time.perf_counter())

    def train(self, step: int, metrics: Mapping[int, Mapping[str, float]]) -> None:
        """As of `Log`; crops count once for each member that trains on them."""
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
            self.say(line)
        else:
            self._bar.set_description_str(line, refresh=False)
            self._bar.update(step - self._bar.n)

    def held_out(
        self,
        step: int,
        member: int,
        metrics: Mapping[str, float],
        images: Float[np.ndarray, "n h w 3"],
        reconstructions: Float[np.ndarray, "n h w 3"],
    ) -> None:
        """As of `Log`."""
        board = self._boards[member]
        pairs = np.concatenate([images, np.clip(reconstructions, 0, 1)], axis=2)
        with self._disk():
            _write(self._held_out, {"step": step, "member": member, **metrics})
            board.scalars("held_out", metrics, step)
            board.images("held_out/original_and_reconstruction", pairs, step)
        which = f", member {member}" if len(self._boards) > 1 else ""
        self.say(
            f"step {step}{which}: held out {metrics['bpp']:.4f} bpp, "
            f"{metrics['psnr_db']:.2f} dB, correlation {metrics['correlation']:.4f}"
        )

    def say(self, line: str) -> None:
        """Prints a line above the progress line."""
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
