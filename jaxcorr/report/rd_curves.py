"""Evaluations as rate-distortion curves, and how far these are apart."""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np

from jaxcorr.errors import UserError
from jaxcorr.evaluation.results import EvaluationResult
from jaxcorr.metrics import bjontegaard
from jaxcorr.metrics.bjontegaard import Interpolation, NoOverlap
from jaxcorr.report.labels import Label

Kind = Literal["model", "classical", "published"]
Quality = Literal["psnr_db", "ms_ssim_db"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class RDPoint:
    """Means over a set of images at one rate; None where something is not known."""

    bpp: float
    psnr_db: float
    ms_ssim: float | None = None
    seconds: float | None = None

    @property
    def ms_ssim_db(self) -> float | None:
        """MS-SSIM in decibels, -10 log10(1 - MS-SSIM): what curves are drawn in."""
        if self.ms_ssim is None or not self.ms_ssim < 1:
            return None
        return -10 * math.log10(1 - self.ms_ssim)


@dataclasses.dataclass(frozen=True, kw_only=True)
class RDCurve:
    """A codec at several rates, of one training or of several with other seeds.

    Attributes:
      name: What to call it.
      kind: Ours, a classical codec measured here, or a curve that others published.
      series: Points by ascending rate, of each seed.
      source: Where published points are from.
    """

    name: str
    kind: Kind
    series: Mapping[int | None, tuple[RDPoint, ...]]
    source: str = ""

    @property
    def length(self) -> int:
        """Points of the longest series."""
        return max(map(len, self.series.values()))

    def points(self, quality: Quality) -> list[tuple[np.ndarray, np.ndarray]]:
        """Rates and qualities of each seed, of the points that have the quality."""
        found = []
        for points in self.series.values():
            given = [p for p in points if getattr(p, quality) is not None]
            if given:
                rates = np.array([each.bpp for each in given])
                found.append((rates, np.array([getattr(p, quality) for p in given])))
        return found

    @property
    def seconds(self) -> float | None:
        """Mean time to encode and decode an image."""
        times = [p.seconds for points in self.series.values() for p in points]
        known = [time for time in times if time is not None]
        return float(np.mean(known)) if known else None


@dataclasses.dataclass(frozen=True, kw_only=True)
class BDComparison:
    """A family against an anchor.

    Attributes:
      rates: BD-rate of each pair of seeds, in percent.
      qualities: BD-PSNR of each pair of seeds, in dB; empty where no rate is shared.
      overlap: Smallest share of the range of both curves that they have in common.
      warnings: What makes them doubtful.
    """

    rates: tuple[float, ...]
    qualities: tuple[float, ...]
    overlap: float
    warnings: tuple[str, ...]


@dataclasses.dataclass(frozen=True, kw_only=True)
class ComplexityPoint:
    """A codec in the plane of time and rate.

    Attributes:
      name: What to call it.
      seconds: To encode and decode an image.
      saved: Percent of the anchor's rate that it saves.
    """

    name: str
    seconds: float
    saved: float


def group_into_curves(found: Sequence[EvaluationResult], label: Label) -> list[RDCurve]:
    """Groups evaluations that differ in λ, in the quality or in the seed alone."""
    groups: dict[str, list[EvaluationResult]] = {}
    for each in found:
        groups.setdefault(label(each), []).append(each)
    return [
        RDCurve(
            name=name,
            kind="classical" if members[0].is_classical else "model",
            series={
                seed: _series([each for each in members if each.seed == seed])
                for seed in sorted({each.seed for each in members}, key=str)
            },
        )
        for name, members in groups.items()
    ]


def find_curve(name: str, among: Sequence[RDCurve]) -> RDCurve:
    """The one curve of a name; of a part of the name, if that tells it from the others.

    Parts of names are between commas: "α = 0" is one of "Minnen 48/64, α = 0" and none
    of "Minnen 48/64, α = 0.1". Of several curves with the part, the one is meant that
    has the fewest others.

    Raises:
      UserError: If there is none, or several.
    """
    holds = lambda family: name.casefold() in family.name.casefold()
    exact = [family for family in among if family.name == name]
    parts = [family for family in among if name in family.name.split(", ")]
    if parts:
        fewest = min(family.name.count(", ") for family in parts)
        parts = [family for family in parts if family.name.count(", ") == fewest]
    close = exact or parts or list(filter(holds, among))
    if len(close) != 1:
        names = "; ".join(family.name for family in (close or among))
        raise UserError(
            f"anchor {name!r} names {len(close) or 'no'} curves; there are {names}"
        )
    return close[0]


def compare(
    anchor: RDCurve, test: RDCurve, quality: Quality, interpolation: Interpolation
) -> BDComparison:
    """BD-rate and BD-PSNR of a family, each seed against the same seed of the anchor.

    Raises:
      UserError: If the curves cannot be compared in rate.
    """
    shared = [seed for seed in test.series if seed in anchor.series]
    pairs = [(seed, seed) for seed in shared] or [
        (first, second) for first in anchor.series for second in test.series
    ]
    rates, qualities = [], []
    for first, second in pairs:
        both = _curve(anchor, first, quality), _curve(test, second, quality)
        rates.append(bjontegaard.bd_rate(*both, interpolation=interpolation))
        try:
            qualities.append(bjontegaard.bd_psnr(*both, interpolation=interpolation))
        except NoOverlap:
            continue  # Curves may share qualities and no rate.
    warnings = [note for each in (*rates, *qualities) for note in each.warnings]
    if shared and {*test.series} != {*anchor.series}:
        warnings.append(
            f"{test.name} and {anchor.name} are compared in {len(shared)} seeds only, "
            "those that both have"
        )
    return BDComparison(
        rates=tuple(each.value for each in rates),
        qualities=tuple(each.value for each in qualities),
        overlap=min(each.overlap for each in rates),
        warnings=tuple(dict.fromkeys(warnings)),
    )


def rd_point(means: Mapping[str, Any]) -> RDPoint:
    """A point from the means of a table."""
    encode, decode = means.get("encode_seconds"), means.get("decode_seconds")
    return RDPoint(
        bpp=float(means["bpp"]),
        psnr_db=float(means["psnr_db"]),
        ms_ssim=means.get("ms_ssim"),
        seconds=None if encode is None or decode is None else float(encode + decode),
    )


def _curve(
    family: RDCurve, seed: int | None, quality: Quality
) -> bjontegaard.RDSamples:
    given = [p for p in family.series[seed] if getattr(p, quality) is not None]
    return bjontegaard.RDSamples(
        name=family.name,
        bpp=tuple(each.bpp for each in given),
        quality=tuple(getattr(each, quality) for each in given),
    )


def _series(members: Sequence[EvaluationResult]) -> tuple[RDPoint, ...]:
    points = [rd_point(each.mean) for each in members]
    return tuple(sorted(points, key=lambda each: each.bpp))
