"""What a run tells while it goes: a line on the terminal, a file, TensorBoard."""

import json
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import TextIO

import numpy as np
import tensorboardX
from jaxtyping import Float
from tqdm.auto import tqdm

from jaxcorr import files

METRICS = "metrics.jsonl"
"""One object a logged step."""
HELD_OUT = "held_out.jsonl"
"""One object an evaluation on held-out crops."""


class Logs:
    """Progress of one run, from one process."""

    def __init__(self, workdir: Path, *, start: int, steps: int, batch_size: int):
        """Continues after the first `start` steps; what was logged after them goes.

        Args:
          workdir: The run directory.
          start: Steps already taken.
          steps: Length of the run.
          batch_size: Images in a step.
        """
        self._metrics = _reopened(workdir / METRICS, start)
        self._held_out = _reopened(workdir / HELD_OUT, start)
        self._board = tensorboardX.SummaryWriter(
            str(workdir / "tensorboard"), purge_step=start + 1
        )
        self._bar = tqdm(
            initial=start,
            total=steps,
            dynamic_ncols=True,
            bar_format="{percentage:3.0f}% | {desc}",
            disable=None,  # Off unless on a terminal: there lines are printed instead.
        )
        self._steps = steps
        self._batch_size = batch_size
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
        self._board.close()
        self._metrics.close()
        self._held_out.close()

    def restart_clock(self, step: int) -> None:
        """Leaves out of the speed what was no training, such as compilation."""
        self._clock = (step, time.perf_counter())

    def train(self, step: int, metrics: Mapping[str, float]) -> None:
        """Logs metrics of a training step."""
        now = time.perf_counter()
        seconds_per_step = (now - self._clock[1]) / (step - self._clock[0])
        self._clock = (step, now)
        speed = self._batch_size / seconds_per_step
        values = {**metrics, "images_per_second": round(speed, 2)}
        _write(self._metrics, {"step": step, **values})
        for name, value in values.items():
            self._board.add_scalar(f"train/{name}", value, step)

        left = tqdm.format_interval((self._steps - step) * seconds_per_step)
        line = (
            f"step {step}/{self._steps}: loss {metrics['loss']:.3f}, "
            f"{metrics['bpp']:.3f} bpp, {metrics['psnr_db']:.2f} dB, "
            f"correlation {metrics['correlation']:.4f}, "
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
        metrics: Mapping[str, float],
        images: Float[np.ndarray, "n h w 3"],
        reconstructions: Float[np.ndarray, "n h w 3"],
    ) -> None:
        """Logs metrics on held-out crops, and some crops beside what they became.

        Args:
          step: Steps taken.
          metrics: Means over the crops.
          images: Crops in [0, 1].
          reconstructions: What the codec made of them.
        """
        _write(self._held_out, {"step": step, **metrics})
        for name, value in metrics.items():
            self._board.add_scalar(f"held_out/{name}", value, step)
        pairs = np.concatenate([images, np.clip(reconstructions, 0, 1)], axis=2)
        self._board.add_images(
            "held_out/original_and_reconstruction", pairs, step, dataformats="NHWC"
        )
        self.say(
            f"step {step}: held out {metrics['bpp']:.4f} bpp, "
            f"{metrics['psnr_db']:.2f} dB, correlation {metrics['correlation']:.4f}"
        )

    def say(self, line: str) -> None:
        """Prints a line above the progress line."""
        with tqdm.external_write_mode():
            print(line, flush=True)


def _write(file: TextIO, record: Mapping[str, float]) -> None:
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
