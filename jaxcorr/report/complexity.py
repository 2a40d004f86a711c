"""Rate that codecs save, beside the time that they take to code an image."""

import dataclasses

import numpy as np

from jaxcorr.metrics.bjontegaard import MIN_OVERLAP
from jaxcorr.report import published
from jaxcorr.report.comparison import AnchorComparison


@dataclasses.dataclass(frozen=True, kw_only=True)
class ComplexityPoint:
    """Rate that a codec saves, and its coding time.

    Attributes:
      name: Name of the codec.
      seconds: Time to encode and decode an image.
      saved: Saved rate, in percent of the anchor's rate.
    """

    name: str
    seconds: float
    saved: float


def measured_complexity(comparison: AnchorComparison) -> list[ComplexityPoint]:
    """Returns the points of the anchor and of the curves that overlap enough with it.

    Curves without times are left out.
    """
    points = []
    for curve in comparison.curves:
        in_psnr = comparison.comparisons.get(curve.name, {}).get("psnr_db")
        anchor = comparison.anchor
        is_anchor = anchor is not None and curve.name == anchor.name
        overlaps = in_psnr is not None and in_psnr.overlap >= MIN_OVERLAP
        if curve.seconds is not None and (overlaps or is_anchor):
            saved = -float(np.mean(in_psnr.rates)) if in_psnr else 0.0
            points.append(
                ComplexityPoint(name=curve.name, seconds=curve.seconds, saved=saved)
            )
    return points


def published_complexity() -> tuple[list[ComplexityPoint], str]:
    """Returns the points of the paper's table of complexity, and their source."""
    paper = published.load_published()["paper"]
    points = [
        ComplexityPoint(name=name, saved=saved, seconds=seconds)
        for name, saved, seconds in paper["rows"]
    ]
    return points, paper["source"]
