"""Rate-distortion curves of evaluations, and their Bjøntegaard differences."""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np

from jaxcorr.errors import UserError
from jaxcorr.evaluation import measure
from jaxcorr.evaluation.results import EvaluationResult
from jaxcorr.metrics import bjontegaard
from jaxcorr.metrics.bjontegaard import Interpolation, NoOverlap, RDSamples
from jaxcorr.report.labels import Label

Kind = Literal["model", "classical", "published"]
Quality = Literal["psnr_db", "ms_ssim_db"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class RDPoint:
    """Means over a set of images at one rate. Unknown values are None.

    Attributes:
      bpp: Bits per pixel of the files.
      psnr_db: PSNR, in dB.
      ms_ssim: MS-SSIM, from 0 to 1, over the images that are large enough for it.
      ms_ssim_bpp: Bits per pixel of the same images.
      seconds: Time to encode and decode an image.
    """

    bpp: float
    psnr_db: float
    ms_ssim: float | None = None
    ms_ssim_bpp: float | None = None
    seconds: float | None = None

    def rate(self, quality: Quality) -> float:
        """Returns the bits per pixel of the images that a quality is the mean of."""
        if quality == "ms_ssim_db" and self.ms_ssim_bpp is not None:
            return self.ms_ssim_bpp
        return self.bpp

    @property
    def ms_ssim_db(self) -> float | None:
        """MS-SSIM in dB, -10 log10(1 - MS-SSIM), as figures show it."""
        if self.ms_ssim is None or not self.ms_ssim < 1:
            return None
        return -10 * math.log10(1 - self.ms_ssim)


@dataclasses.dataclass(frozen=True, kw_only=True)
class RDCurve:
    """A codec at several rates, with one series of points per training seed.

    Attributes:
      name: Name of the curve, unique in a report.
      kind: `model` and `classical` were measured here, `published` by others.
      series: Points by ascending rate, of each seed; the seed is None where there is
        no training.
      source: Source of published points.
    """

    name: str
    kind: Kind
    series: Mapping[int | None, tuple[RDPoint, ...]]
    source: str = ""

    @property
    def length(self) -> int:
        """Number of points of the longest series."""
        return max(map(len, self.series.values()))

    def samples(self, seed: int | None, quality: Quality) -> RDSamples:
        """Returns the points of a seed that have the quality."""
        points = self.series[seed]
        known = [point for point in points if getattr(point, quality) is not None]
        return RDSamples(
            name=self.name,
            bpp=tuple(point.rate(quality) for point in known),
            quality=tuple(getattr(point, quality) for point in known),
        )

    def lines(self, quality: Quality) -> list[tuple[np.ndarray, np.ndarray]]:
        """Returns rates and qualities per seed, for seeds with known qualities."""
        samples = [self.samples(seed, quality) for seed in self.series]
        return [(np.array(s.bpp), np.array(s.quality)) for s in samples if s.bpp]

    @property
    def seconds(self) -> float | None:
        """Mean time to encode and decode an image."""
        times = [p.seconds for points in self.series.values() for p in points]
        known = [time for time in times if time is not None]
        return float(np.mean(known)) if known else None


@dataclasses.dataclass(frozen=True, kw_only=True)
class BDComparison:
    """Bjøntegaard differences between a curve and an anchor.

    Attributes:
      rates: BD-rate of each pair of seeds, in percent.
      qualities: BD-PSNR of each pair of seeds, in dB; empty if no rates overlap.
      overlap: Overlap of two curves as a share of their joint range; the smallest of
        all pairs of seeds.
      warnings: Reasons to doubt the differences.
    """

    rates: tuple[float, ...]
    qualities: tuple[float, ...]
    overlap: float
    warnings: tuple[str, ...]


def group_into_curves(
    evaluations: Sequence[EvaluationResult], label: Label
) -> list[RDCurve]:
    """Groups evaluations that differ only in λ, the quality or the seed.

    A codec that was measured several times, as on several devices, is one point.
    """
    groups: dict[str, list[EvaluationResult]] = {}
    for evaluation in evaluations:
        members = groups.setdefault(label(evaluation), [])
        if not any(_is_same_codec(evaluation, member) for member in members):
            members.append(evaluation)
    return [
        RDCurve(
            name=name,
            kind="classical" if members[0].is_classical else "model",
            series={
                seed: _series([member for member in members if member.seed == seed])
                for seed in sorted({member.seed for member in members}, key=str)
            },
        )
        for name, members in groups.items()
    ]


def find_curve(name: str, curves: Sequence[RDCurve]) -> RDCurve:
    """Returns the curve of a name, or of an unambiguous part of a name.

    A part between commas takes precedence over other text: "α = 0" is a part of
    "Minnen 48/64, α = 0" but not of "Minnen 48/64, α = 0.1". If several curves
    have the part, the curve with the fewest parts is returned.

    Raises:
      UserError: If no curve or several curves match.
    """
    exact = [curve for curve in curves if curve.name == name]
    with_part = [curve for curve in curves if name in curve.name.split(", ")]
    if with_part:
        fewest = min(curve.name.count(", ") for curve in with_part)
        with_part = [c for c in with_part if c.name.count(", ") == fewest]
    with_text = [c for c in curves if name.casefold() in c.name.casefold()]
    matching = exact or with_part or with_text
    if len(matching) != 1:
        names = "; ".join(curve.name for curve in (matching or curves))
        raise UserError(
            f"anchor {name!r} names {len(matching) or 'no'} curves; there are {names}"
        )
    return matching[0]


def compare(
    anchor: RDCurve, test: RDCurve, quality: Quality, interpolation: Interpolation
) -> BDComparison:
    """Returns BD-rate and BD-PSNR of a curve against an anchor.

    Curves are compared seed by seed. If they have no seed in common, all pairs of seeds
    are compared.

    Raises:
      UserError: If the curves have no BD-rate.
    """
    shared = [seed for seed in test.series if seed in anchor.series]
    pairs = [(seed, seed) for seed in shared] or [
        (first, second) for first in anchor.series for second in test.series
    ]
    rates, qualities = [], []
    for first, second in pairs:
        samples = anchor.samples(first, quality), test.samples(second, quality)
        rates.append(bjontegaard.bd_rate(*samples, interpolation=interpolation))
        try:
            qualities.append(bjontegaard.bd_psnr(*samples, interpolation=interpolation))
        except NoOverlap:
            continue  # Qualities can overlap where rates do not.
    differences = [*rates, *qualities]
    warnings = [note for difference in differences for note in difference.warnings]
    if shared and {*test.series} != {*anchor.series}:
        warnings.append(
            f"{test.name} and {anchor.name} are compared in {len(shared)} seeds only, "
            "those that both have"
        )
    return BDComparison(
        rates=tuple(rate.value for rate in rates),
        qualities=tuple(difference.value for difference in qualities),
        overlap=min(rate.overlap for rate in rates),
        warnings=tuple(dict.fromkeys(warnings)),
    )


def rd_point(
    means: Mapping[str, Any], images: Sequence[Mapping[str, Any]] = ()
) -> RDPoint:
    """Returns a point with the mean metrics of an evaluation.

    Args:
      means: Mean of each metric, by its name.
      images: Metrics of each image; empty if only the means are known.
    """
    large = [row["bpp"] for row in measure.with_ms_ssim(images) if "bpp" in row]
    encode, decode = means.get("encode_seconds"), means.get("decode_seconds")
    return RDPoint(
        bpp=float(means["bpp"]),
        psnr_db=float(means["psnr_db"]),
        ms_ssim=means.get("ms_ssim"),
        ms_ssim_bpp=float(np.mean(large)) if large else None,
        seconds=None if encode is None or decode is None else float(encode + decode),
    )


def _is_same_codec(first: EvaluationResult, second: EvaluationResult) -> bool:
    if first.is_classical:
        return first.model == second.model
    models = [(e.fingerprint, e.provenance.member) for e in (first, second)]
    return first.fingerprint is not None and models[0] == models[1]


def _series(evaluations: Sequence[EvaluationResult]) -> tuple[RDPoint, ...]:
    points = [
        rd_point(evaluation.mean, evaluation.images) for evaluation in evaluations
    ]
    return tuple(sorted(points, key=lambda point: point.bpp))
