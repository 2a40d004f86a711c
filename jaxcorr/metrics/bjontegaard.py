"""How far apart two rate-distortion curves are: BD-rate and BD-PSNR.

Each is the mean distance of two curves over what they share: of the logarithm of the
rate over qualities, or of the quality over logarithms of the rate.
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
MIN_OVERLAP = 0.5
"""Share of the range of both curves together below which a warning is due."""

_Values = Float[np.ndarray, "_"]
_Integral = Callable[[_Values, _Values, float, float], float]


class NoOverlap(UserError):
    """Two curves have nothing in common over which they could be compared."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class RDSamples:
    """Points of a codec at several rates.

    Attributes:
      name: What to call it.
      bpp: Rates, in bits per pixel; positive.
      quality: Qualities: PSNR or another measure in dB, the higher the better.
    """

    name: str
    bpp: tuple[float, ...]
    quality: tuple[float, ...]


@dataclasses.dataclass(frozen=True, kw_only=True)
class BDDifference:
    """How a curve differs from its anchor.

    Attributes:
      value: In percent of the anchor's rate (BD-rate), or in dB (BD-PSNR).
      overlap: Share of the range of both curves that they have in common.
      warnings: What makes the value doubtful, a sentence each.
    """

    value: float
    overlap: float
    warnings: tuple[str, ...]


def bd_rate(
    anchor: RDSamples, test: RDSamples, *, interpolation: Interpolation = "pchip"
) -> BDDifference:
    """Rate that `test` needs beyond `anchor` at the same quality, in percent.

    Args:
      anchor: What to compare with.
      test: What to compare; negative results mean that it needs fewer bits.
      interpolation: Between points: monotone cubic pieces (PCHIP), Akima's, or one
        cubic polynomial through all, as in the first reference.

    Raises:
      NoOverlap: If the curves share no quality.
      UserError: If a curve has fewer than four points, two points of equal quality, a
        point that is not finite or a rate of 0.

    References:
      Bjøntegaard, "Calculation of Average PSNR Differences between RD-curves",
      VCEG-M33, 2001. Herglotz et al., "Beyond Bjøntegaard: Limits of Video Compression
      Performance Comparisons", ICIP 2022, https://arxiv.org/abs/2202.12565.
    """
    pairs = [(np.array(c.quality), _log_rate(c)) for c in (anchor, test)]
    mean, overlap, warnings = _mean_difference(anchor, test, pairs, interpolation)
    return BDDifference(
        value=100 * math.expm1(mean), overlap=overlap, warnings=warnings
    )


def bd_psnr(
    anchor: RDSamples, test: RDSamples, *, interpolation: Interpolation = "pchip"
) -> BDDifference:
    """Quality that `test` gains over `anchor` at the same rate, in its own unit (dB).

    Args and errors are those of `bd_rate`, with rates for qualities.
    """
    pairs = [(_log_rate(c), np.array(c.quality)) for c in (anchor, test)]
    mean, overlap, warnings = _mean_difference(anchor, test, pairs, interpolation)
    return BDDifference(value=mean, overlap=overlap, warnings=warnings)


def _mean_difference(
    anchor: RDSamples,
    test: RDSamples,
    pairs: list[tuple[_Values, _Values]],
    interpolation: Interpolation,
) -> tuple[float, float, tuple[str, ...]]:
    """Mean of test minus anchor over the arguments they share."""
    warnings = [note for curve in (anchor, test) for note in _checked(curve)]
    lowest, highest = (np.array([f(x) for x, _ in pairs]) for f in (np.min, np.max))
    start, end = lowest.max(), highest.min()
    if not start < end:
        raise NoOverlap(
            f"{test.name} and {anchor.name} cannot be compared: their ranges, "
            f"{_range(test)} and {_range(anchor)}, do not overlap"
        )
    overlap = float((end - start) / (highest.max() - lowest.min()))
    if overlap < MIN_OVERLAP:
        warnings.append(
            f"{test.name} and {anchor.name} share only {overlap:.0%} of their range"
        )
    integrals = []
    for curve, (x, y) in zip((anchor, test), pairs, strict=True):
        order = np.argsort(x)
        if np.any(np.diff(x[order]) <= 0):
            raise UserError(f"{curve.name} has two points at the same place")
        integrals.append(_INTEGRALS[interpolation](x[order], y[order], start, end))
    mean = (integrals[1] - integrals[0]) / (end - start)
    return float(mean), overlap, tuple(warnings)


def _checked(curve: RDSamples) -> list[str]:
    """Refuses a curve that cannot be interpolated; warns of one that turns back."""
    if len(curve.bpp) < MIN_POINTS:
        raise UserError(
            f"{curve.name} has {len(curve.bpp)} points, but a comparison of curves "
            f"needs at least {MIN_POINTS}"
        )
    if not (np.all(np.isfinite([curve.bpp, curve.quality])) and min(curve.bpp) > 0):
        raise UserError(
            f"{curve.name} must have positive rates and finite qualities, but has "
            f"{_range(curve)}"
        )
    quality = np.array(curve.quality)[np.argsort(curve.bpp)]
    if np.any(np.diff(quality) <= 0):
        return [f"{curve.name} is not monotone: more bits do not always help"]
    return []


def _log_rate(curve: RDSamples) -> _Values:
    with np.errstate(divide="ignore", invalid="ignore"):  # Refused by `_checked`.
        return np.log(np.array(curve.bpp))


def _range(curve: RDSamples) -> str:
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
