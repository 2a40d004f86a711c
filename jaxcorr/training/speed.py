"""Measures the speed of training between two logs."""

import time

import jax

from jaxcorr.training import hardware


class Speed:
    """Measures time per step, waits for data, rates and memory.

    Args:
      start: Steps already taken.
      members: Number of codecs that are trained with each image.
    """

    def __init__(self, *, start: int, members: int):
        self._members = members
        self._peak = hardware.peak_flops(jax.devices())
        self.restart(start)

    def restart(self, step: int) -> None:
        """Starts to measure anew after `step`."""
        self._first, self._start = step, time.perf_counter()
        self._data_wait = 0.0

    def add_data_wait(self, seconds: float) -> None:
        """Counts time in which no step ran because the next batch was not there."""
        self._data_wait += seconds

    def measure(
        self, step: int, *, batch_size: int, flops: float | None
    ) -> dict[str, float]:
        """Returns the speed since the last call, and starts to measure anew.

        Args:
          step: Steps taken.
          batch_size: Crops in a step.
          flops: Floating-point operations of a step on all devices; None if unknown.

        Returns:
          `step_seconds`; `images_per_second`, where crops count once for each member;
          `data_wait`, a share of the time; and where they are known `tflops_per_second`
          of all devices, `utilization`, the share of their peak, and `memory_gb`, the
          most that a device of this process has used, in 10^9 bytes.
        """
        seconds = time.perf_counter() - self._start
        steps = step - self._first
        measured = {
            "step_seconds": _round(seconds / steps),
            "images_per_second": round(batch_size * self._members * steps / seconds, 2),
            "data_wait": round(self._data_wait / seconds, 4),
        }
        if flops is not None:
            rate = flops * steps / seconds
            measured["tflops_per_second"] = _round(rate / 1e12)
            if self._peak is not None:
                measured["utilization"] = _round(rate / self._peak)
        memory = hardware.peak_memory(jax.local_devices())
        if memory is not None:
            measured["memory_gb"] = round(memory / 1e9, 3)
        self.restart(step)
        return measured


def _round(value: float) -> float:
    """Returns a value with four significant digits."""
    return float(f"{value:.4g}")
