"""Progress of a run on the terminal: a bar, or plain lines where there is none."""

import datetime
from collections.abc import Mapping, Sequence

import jax
from tqdm.auto import tqdm


class Console:
    """Prints messages, and the metrics of the newest step in a progress bar.

    Without a terminal, as in the log of a cluster, there is no bar: each message and
    each logged step is a line that begins with the time and the process.

    Args:
      start: Steps already taken.
      steps: Length of the run, in steps.
    """

    def __init__(self, *, start: int, steps: int):
        self._steps = steps
        self._bar = tqdm(
            initial=start,
            total=steps,
            dynamic_ncols=True,
            bar_format="{percentage:3.0f}% | {desc}",
            disable=None,  # Without a terminal.
        )

    def print(self, line: str) -> None:
        """Prints a line, above the progress bar."""
        if self._bar.disable:
            now = datetime.datetime.now().isoformat(" ", "seconds")
            process = f"process {jax.process_index()} of {jax.process_count()}"
            line = f"{now} {process}: {line}"
        with tqdm.external_write_mode():
            print(line, flush=True)

    def show_step(
        self,
        step: int,
        metrics: Mapping[int, Mapping[str, float]],
        speed: Mapping[str, float],
    ) -> None:
        """Shows the metrics of a step.

        Args:
          step: Steps taken.
          metrics: Metrics of each member, by its number.
          speed: Result of `Speed.measure`.
        """
        left = (self._steps - step) * speed["step_seconds"]

        def text(name: str, digits: int) -> str:
            return _format_range([values[name] for values in metrics.values()], digits)

        line = (
            f"step {step}/{self._steps}: loss {text('loss', 3)}, "
            f"{text('bpp', 3)} bpp, {text('psnr_db', 2)} dB, "
            f"correlation {text('correlation', 4)}, "
            f"{_describe_speed(speed)}, {tqdm.format_interval(left)} left"
        )
        if self._bar.disable:
            self.print(line)
        else:
            self._bar.set_description_str(line, refresh=False)
            self._bar.update(step - self._bar.n)

    def close(self) -> None:
        """Ends the bar."""
        self._bar.close()


def _describe_speed(speed: Mapping[str, float]) -> str:
    """Returns the result of `Speed.measure` in words."""
    parts = [
        f"{speed['step_seconds']:.3g} s/step",
        f"{speed['images_per_second']:.1f} images/s",
        f"{speed['data_wait']:.0%} data wait",
    ]
    if "tflops_per_second" in speed:
        share = speed.get("utilization")
        peak = "" if share is None else f" ({share:.0%} of peak)"
        parts.append(f"{speed['tflops_per_second']:.3g} TFLOP/s{peak}")
    if "memory_gb" in speed:
        parts.append(f"{speed['memory_gb']:.1f} GB")
    return ", ".join(parts)


def _format_range(values: Sequence[float], digits: int) -> str:
    """Formats one value, or the lowest and the highest of several."""
    lowest, highest = (f"{value:.{digits}f}" for value in (min(values), max(values)))
    return lowest if lowest == highest else f"{lowest} to {highest}"
