"""Bjøntegaard metrics: the mean distance between two rate-distortion curves.

BD-rate is the mean difference in log-rate over the qualities that both curves cover.
BD-PSNR is the mean difference in quality over the log-rates that both curves cover.
"""

import dataclasses
import math
from collections.abc import Callable
from typing import Literal

import numpy as np
from jaxtyping import Float
from scipy.interpolate import Akima1DInterpolator, PchipInterpolator

from jaxcorr.errors import UserError

Interpolation = Literal["pchip", "akima", "cubic"]
MIN_POINTS = 4
"""Smallest number of points of a curve."""
MIN_OVERLAP = 0.5
"""Overlap below which a comparison gets a warning, as in `BDDifference.overlap`."""

_Values = Float[np.ndarray, "_"]
_Integral = Callable[[_Values, _Values, float, float], float]


class NoOverlap(UserError):
    """Two curves have no common range in which they can be compared."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class RDSamples:
    """Rates and qualities of one codec, as samples of its rate-distortion curve.

    Attributes:
      name: Name of the codec, for messages.
      bpp: Rates in bits per pixel; positive.
      quality: Qualities in dB (PSNR or another metric of which higher is better).
    """

    name: str
    bpp: tuple[float, ...]
    quality: tuple[float, ...]


@dataclasses.dataclass(frozen=True, kw_only=True)
class BDDifference:
    """Difference between a curve and its anchor.

    Attributes:
      value: Percent of the anchor's rate (BD-rate), or dB (BD-PSNR).
      overlap: Length of the range that both curves cover, divided by the length of the
        range that either covers; from 0 to 1.
      warnings: Reasons to doubt the value, one sentence each.
    """

    value: float
    overlap: float
    warnings: tuple[str, ...]


def bd_rate(
    anchor: RDSamples, test: RDSamples, *, interpolation: Interpolation = "pchip"
) -> BDDifference:
    """Returns the BD-rate: the additional rate of `test` at equal quality, in percent.

    Args:
      anchor: Curve to compare with.
      test: Curve to compare; the BD-rate is negative if it needs fewer bits.
      interpolation: Interpolation between points: monotone cubic pieces ("pchip"),
        Akima splines ("akima"), or one cubic polynomial fitted to all points
        ("cubic"), as in the first reference.

    Raises:
      NoOverlap: If the curves share no quality.
      UserError: If a curve has fewer than four points, two points of equal quality, a
        value that is not finite, or a rate that is not positive.

    References:
      Bjøntegaard, "Calculation of Average PSNR Differences between RD-curves",
      VCEG-M33, 2001. Herglotz et al., "Beyond Bjøntegaard: Limits of Video Compression
      Performance Comparisons", ICIP 2022, https://arxiv.org/abs/2202.12565.
    """
    points = [(np.array(curve.quality), _log_rate(curve)) for curve in (anchor, test)]
    mean, overlap, warnings = _mean_difference(anchor, test, points, interpolation)
    return BDDifference(
        value=100 * math.expm1(mean), overlap=overlap, warnings=warnings
    )


def bd_psnr(
    anchor: RDSamples, test: RDSamples, *, interpolation: Interpolation = "pchip"
) -> BDDifference:
    """Returns the BD-PSNR: the additional quality of `test` at equal rate, in dB.

    Args:
      anchor: Curve to compare with.
      test: Curve to compare; the result is positive if its quality is higher.
      interpolation: As in `bd_rate`.

    Raises:
      NoOverlap: If the curves share no rate.
      UserError: As in `bd_rate`, but for two points of equal rate.
    """
    points = [(_log_rate(curve), np.array(curve.quality)) for curve in (anchor, test)]
    mean, overlap, warnings = _mean_difference(anchor, test, points, interpolation)
    return BDDifference(value=mean, overlap=overlap, warnings=warnings)


def _mean_difference(
    anchor: RDSamples,
    test: RDSamples,
    points: list[tuple[_Values, _Values]],
    interpolation: Interpolation,
) -> tuple[float, float, tuple[str, ...]]:
    """Returns the mean of test minus anchor over their common x, overlap, warnings."""
    warnings = [*_check_curve(anchor), *_check_curve(test)]
    lowest = np.array([np.min(x) for x, _ in points])
    highest = np.array([np.max(x) for x, _ in points])
    start, end = lowest.max(), highest.min()
    if not start < end:
        raise NoOverlap(
            f"{test.name} and {anchor.name} cannot be compared: their ranges, "
            f"{_format_range(test)} and {_format_range(anchor)}, do not overlap"
        )
    overlap = float((end - start) / (highest.max() - lowest.min()))
    if overlap < MIN_OVERLAP:
        warnings.append(
            f"{test.name} and {anchor.name} share only {overlap:.0%} of their range"
        )
    integrals = []
    for curve, (x, y) in zip((anchor, test), points, strict=True):
        order = np.argsort(x)
        if np.any(np.diff(x[order]) <= 0):
            raise UserError(f"{curve.name} has two points at the same place")
        integrals.append(_INTEGRALS[interpolation](x[order], y[order], start, end))
    mean = (integrals[1] - integrals[0]) / (end - start)
    return float(mean), overlap, tuple(warnings)


def _check_curve(curve: RDSamples) -> list[str]:
    """Checks that a curve can be interpolated; warns if its quality does not rise."""
    if len(curve.bpp) < MIN_POINTS:
        raise UserError(
            f"{curve.name} has {len(curve.bpp)} points, but a comparison of curves "
            f"needs at least {MIN_POINTS}"
        )
    if not (np.all(np.isfinite([curve.bpp, curve.quality])) and min(curve.bpp) > 0):
        raise UserError(
            f"{curve.name} must have positive rates and finite qualities, but has "
            f"{_format_range(curve)}"
        )
    quality = np.array(curve.quality)[np.argsort(curve.bpp)]
    if np.any(np.diff(quality) <= 0):
        return [f"{curve.name} is not monotone: more bits do not always help"]
    return []


def _log_rate(curve: RDSamples) -> _Values:
    with np.errstate(divide="ignore", invalid="ignore"):  # `_check_curve` rejects it.
        return np.log(np.array(curve.bpp))


def _format_range(curve: RDSamples) -> str:
    return (
        f"{min(curve.bpp):.3g} to {max(curve.bpp):.3g} bpp at "
        f"{min(curve.quality):.2f} to {max(curve.quality):.2f} dB"
    )


def _polynomial(x: _Values, y: _Values, start: float, end: float) -> float:
    integral = np.polynomial.Polynomial.fit(x, y, 3).integ()
    return float(integral(end) - integral(start))


_INTEGRALS: dict[Interpolation, _Integral] = {
    "pchip": lambda x, y, *ends: float(PchipInterpolator(x, y).integrate(*ends)),
    "akima": lambda x, y, *ends: float(Akima1DInterpolator(x, y).integrate(*ends)),
    "cubic": _polynomial,
}
