"""What coding reads off predicted means and scales, the same on every machine.

Two machines compute means and scales that differ in the last digits. The coder never
sees those digits: it sees the class of a scale, and the mean rounded to a grid. Where
a value lies so close to a boundary that another machine may see it on the other side,
the encoder moves all boundaries by an offset, notes it in the file, and starts over.
"""

import dataclasses
import math

import numpy as np
from jaxtyping import Float64, UInt8

from jaxcorr.entropy import tables

MEAN_STEPS = 64
"""Grid points of means in a quantization step."""

OFFSETS = 256
"""Number of offsets; each moves the boundaries by 1/256 of their distance."""

MARGIN = 1e-10
"""Distance from a boundary, in quantization steps, that is safe on any machine: float64
networks of two versions of XLA were seen to differ by 1e-13. Above 1 it is relative, as
their errors are."""

_CLASSES_PER_NAT = (tables.SCALES.size - 1) / math.log(
    tables.SCALES[-1] / tables.SCALES[0]
)


class UnsafeRounding(Exception):
    """A value lies so close to a boundary that machines may disagree on its side."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class ReproducibleGrid:
    """Boundaries of scale classes and of rounded means.

    Attributes:
      offset: What the boundaries are moved by, in 1/256 of their distance.
      guarded: Whether to refuse values close to a boundary, as the encoder must.
    """

    offset: int = 0
    guarded: bool = False

    @property
    def _shift(self) -> float:
        return self.offset / OFFSETS

    def round_means(self, mean: Float64[np.ndarray, "*n"]) -> Float64[np.ndarray, "*n"]:
        """The grid point nearest to each mean; a multiple of 1/16384, so exact.

        Raises:
          UnsafeRounding: If guarded and a mean lies close to the middle of two points.
        """
        place = mean * MEAN_STEPS - self._shift
        nearest = np.rint(place)
        if self.guarded:
            margin = MARGIN * MEAN_STEPS * np.maximum(1.0, np.abs(mean))
            if np.any(0.5 - np.abs(place - nearest) < margin):
                raise UnsafeRounding
        return (nearest + self._shift) / MEAN_STEPS

    def classes(self, scale: Float64[np.ndarray, "*n"]) -> UInt8[np.ndarray, "*n"]:
        """The class of each scale.

        Raises:
          UnsafeRounding: If guarded and a scale lies close to a boundary.
        """
        place = tables.scale_position(scale) - self._shift
        if self.guarded:
            boundary = np.clip(np.floor(place), 0, tables.SCALES.size - 2) + 0.5
            margin = MARGIN * np.maximum(1.0, 1.0 / scale) * _CLASSES_PER_NAT
            if np.any(np.abs(place - boundary) < margin):
                raise UnsafeRounding
        return tables.position_class(place)
