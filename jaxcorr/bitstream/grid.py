"""Rounding of predicted means and scales that is the same on every machine.

Two machines compute means and scales that differ in the last digits. The range coder
never sees these digits: it sees the class of a scale, and the mean rounded to a grid.
If a value lies so close to a boundary that another machine may find it on the other
side, the encoder shifts all boundaries by an offset, writes the offset to the file, and
starts over.
"""

import dataclasses
import math
from collections.abc import Callable

import numpy as np
from jaxtyping import DTypeLike, Float64, Shaped, UInt8

from jaxcorr.entropy import tables

MEAN_STEPS = 64
"""Grid points of means in a quantization step."""

OFFSETS = 256
"""Number of offsets; each shifts the boundaries by 1/256 of their spacing."""

MARGIN = 1e-10
"""Distance from a boundary, in quantization steps, that is safe on any machine.

Float64 networks of two versions of XLA were seen to differ by 1e-13. The distance is
relative for values above 1, as errors of networks are."""

BLOCK = 2**16
"""Values that are rounded at once, so that intermediate results take little memory."""

_CLASSES_PER_NAT = (tables.SCALES.size - 1) / math.log(
    tables.SCALES[-1] / tables.SCALES[0]
)


class UnsafeRounding(Exception):
    """A value is so close to a boundary that two machines may round it differently.

    The message describes the values, as in "means of up to 3".
    """


@dataclasses.dataclass(frozen=True, kw_only=True)
class ReproducibleGrid:
    """Boundaries of scale classes and of rounded means.

    Attributes:
      offset: Shift of the boundaries, in 1/256 of their spacing.
      guarded: Whether to raise for values close to a boundary, as the encoder must.
    """

    offset: int = 0
    guarded: bool = False

    @property
    def _shift(self) -> float:
        return self.offset / OFFSETS

    def round_means(self, mean: Float64[np.ndarray, "*n"]) -> Float64[np.ndarray, "*n"]:
        """Rounds means to the nearest grid point, a multiple of 1/16384 and so exact.

        Raises:
          UnsafeRounding: If guarded, and a mean is close to the middle of two points.
        """
        return _in_blocks(self._round_block, mean, np.float64)

    def classes(self, scale: Float64[np.ndarray, "*n"]) -> UInt8[np.ndarray, "*n"]:
        """Returns the class of each scale.

        Raises:
          UnsafeRounding: If guarded, and a scale is close to a boundary.
        """
        return _in_blocks(self._classify_block, scale, np.uint8)

    def _round_block(self, mean: Float64[np.ndarray, " n"]) -> np.ndarray:
        position = mean * MEAN_STEPS - self._shift
        nearest = np.rint(position)
        if self.guarded:
            margin = MARGIN * MEAN_STEPS * np.maximum(1.0, np.abs(mean))
            if np.any(0.5 - np.abs(position - nearest) < margin):
                raise UnsafeRounding(f"means of up to {np.abs(mean).max():.3g}")
        return (nearest + self._shift) / MEAN_STEPS

    def _classify_block(self, scale: Float64[np.ndarray, " n"]) -> np.ndarray:
        position = tables.scale_position(scale) - self._shift
        if self.guarded:
            boundary = np.clip(np.floor(position), 0, tables.SCALES.size - 2) + 0.5
            margin = MARGIN * np.maximum(1.0, 1.0 / scale) * _CLASSES_PER_NAT
            if np.any(np.abs(position - boundary) < margin):
                raise UnsafeRounding(f"scales from {scale.min():.3g} on")
        return tables.position_class(position)


def _in_blocks(
    function: Callable[[np.ndarray], np.ndarray],
    values: Float64[np.ndarray, "*n"],
    dtype: DTypeLike,
) -> Shaped[np.ndarray, "*n"]:
    """Applies a function to values, a block at a time."""
    flat, results = values.ravel(), np.empty(values.size, dtype)
    for start in range(0, flat.size, BLOCK):
        block = slice(start, start + BLOCK)
        results[block] = function(flat[block])
    return results.reshape(values.shape)
