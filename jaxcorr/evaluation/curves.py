"""Evaluations as rate-distortion curves, and how far these are apart."""

import collections
import dataclasses
import importlib.resources
import json
import math
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

import numpy as np

from jaxcorr.errors import UserError
from jaxcorr.evaluation import bjontegaard, evaluations
from jaxcorr.evaluation.bjontegaard import Difference, Interpolation
from jaxcorr.evaluation.evaluations import LOSS, Evaluation

PUBLISHED = "published.json"
Kind = Literal["model", "classical", "published"]
Quality = Literal["psnr_db", "ms_ssim_db"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Point:
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
class Family:
    """A codec at several rates, of one training or of several with other seeds.

    Attributes:
      name: What to call it.
      kind: Ours, a classical codec measured here, or a curve that others published.
      series: Points by ascending rate, of each seed.
      source: Where published points are from.
    """

    name: str
    kind: Kind
    series: Mapping[int | None, tuple[Point, ...]]
    source: str = ""

    def points(self, quality: Quality) -> list[tuple[np.ndarray, np.ndarray]]:
        """Rates and qualities of each seed, of the points that have the quality."""
        found = []
        for points in self.series.values():
            given = [p for p in points if getattr(p, quality) is not None]
            if given:
                rates = np.array([point.bpp for point in given])
                found.append((rates, np.array([getattr(p, quality) for p in given])))
        return found

    @property
    def seconds(self) -> float | None:
        """Mean time to encode and decode an image."""
        times = [p.seconds for points in self.series.values() for p in points]
        known = [time for time in times if time is not None]
        return float(np.mean(known)) if known else None


@dataclasses.dataclass(frozen=True, kw_only=True)
class Comparison:
    """A family against an anchor.

    Attributes:
      rates: BD-rate of each pair of seeds, in percent.
      qualities: BD-PSNR of each pair of seeds, in dB.
      overlap: Smallest share of the range of both curves that they have in common.
      warnings: What makes them doubtful.
    """

    rates: tuple[float, ...]
    qualities: tuple[float, ...]
    overlap: float
    warnings: tuple[str, ...]


def families(found: Sequence[Evaluation]) -> list[Family]:
    """Groups evaluations that differ in λ, in the quality or in the seed alone.

    Models that do not say how they were trained are a curve if they lie in one folder.
    """
    label = labels(found)
    groups: dict[str, list[Evaluation]] = {}
    for each in found:
        groups.setdefault(label(each), []).append(each)
    return [
        Family(
            name=name,
            kind="classical" if "codec" in members[0].model else "model",
            series={
                seed: _series([each for each in members if each.seed == seed])
                for seed in sorted({each.seed for each in members}, key=str)
            },
        )
        for name, members in groups.items()
    ]


def labels(found: Sequence[Evaluation]) -> Callable[[Evaluation], str]:
    """Names curves by architecture, α, and settings that most others have not."""
    varying = sorted(
        name
        for name in evaluations.differing(found)
        if not name.startswith("codec.") and not name.endswith(".kind")
    )
    shown = {name: _shown(name, varying) for name in varying}
    usual = {
        name: collections.Counter(
            _value(each.settings.get(name)) for each in found if each.trained
        ).most_common(1)[0][0]
        for name in varying
    }

    def label(each: Evaluation) -> str:
        if "codec" in each.model:
            return each.model.get("title", each.model["codec"])
        if not each.trained:
            return each.path.resolve().parent.name
        parts = [each.architecture, f"α = {each.correlation_weight:g}"]
        for name in varying:
            value = _value(each.settings.get(name))
            # Without the loss, how it would be computed makes no difference.
            unused = each.correlation_weight == 0 and name.startswith(LOSS)
            if value != usual[name] and not unused:
                parts.append(f"{shown[name]} {value}")
        return ", ".join(parts)

    return label


def published() -> list[Family]:
    """Curves on Kodak that others published, with their sources."""
    return [_published(curve) for curve in published_facts()["curves"].values()]


def published_facts() -> Mapping[str, Any]:
    """Numbers that others published, with their sources, as they are packaged."""
    held = importlib.resources.files("jaxcorr.evaluation") / PUBLISHED
    return json.loads(held.read_text(encoding="utf-8"))


def find(name: str, among: Sequence[Family]) -> Family:
    """The one curve whose name is `name`, or holds it.

    Raises:
      UserError: If there is none, or several.
    """
    exact = [family for family in among if family.name == name]
    close = exact or [f for f in among if name.casefold() in f.name.casefold()]
    if len(close) != 1:
        names = "; ".join(family.name for family in (close or among))
        raise UserError(
            f"anchor {name!r} names {len(close) or 'no'} curves; there are {names}"
        )
    return close[0]


def compare(
    anchor: Family, test: Family, quality: Quality, interpolation: Interpolation
) -> Comparison:
    """BD-rate and BD-PSNR of a family, each seed against the same seed of the anchor.

    Raises:
      UserError: If the curves cannot be compared.
    """
    shared = [seed for seed in test.series if seed in anchor.series]
    pairs = [(seed, seed) for seed in shared] or [
        (first, second) for first in anchor.series for second in test.series
    ]
    rates, qualities, overlaps, warnings = [], [], [], []
    for first, second in pairs:
        curves = (
            _curve(anchor, first, quality),
            _curve(test, second, quality),
        )
        in_rate: Difference = bjontegaard.bd_rate(*curves, interpolation=interpolation)
        in_quality = bjontegaard.bd_psnr(*curves, interpolation=interpolation)
        rates.append(in_rate.value)
        qualities.append(in_quality.value)
        overlaps.append(in_rate.overlap)
        warnings += in_rate.warnings
    return Comparison(
        rates=tuple(rates),
        qualities=tuple(qualities),
        overlap=min(overlaps),
        warnings=tuple(dict.fromkeys(warnings)),
    )


def without_loss(each: Evaluation, found: Sequence[Evaluation]) -> Evaluation | None:
    """The model that was trained as this one was, but without the loss."""
    if not each.trained or not each.correlation_weight:
        return None

    def rest(evaluation: Evaluation) -> dict[str, Any]:
        kept = {
            name: value
            for name, value in evaluation.settings.items()
            if not name.startswith(LOSS)
        }
        own = {"seed": evaluation.seed, "λ": evaluation.distortion_weight}
        return kept | own

    same = [e for e in found if e.correlation_weight == 0 and rest(e) == rest(each)]
    return same[0] if same else None


def _curve(family: Family, seed: int | None, quality: Quality) -> bjontegaard.Curve:
    given = [p for p in family.series[seed] if getattr(p, quality) is not None]
    return bjontegaard.Curve(
        name=family.name,
        bpp=tuple(point.bpp for point in given),
        quality=tuple(getattr(point, quality) for point in given),
    )


def _series(members: Sequence[Evaluation]) -> tuple[Point, ...]:
    points = [_point(each.mean) for each in members]
    return tuple(sorted(points, key=lambda point: point.bpp))


def _point(mean: Mapping[str, Any]) -> Point:
    encode, decode = mean.get("encode_seconds"), mean.get("decode_seconds")
    return Point(
        bpp=float(mean["bpp"]),
        psnr_db=float(mean["psnr_db"]),
        ms_ssim=mean.get("ms_ssim"),
        seconds=None if encode is None or decode is None else float(encode + decode),
    )


def _published(curve: Mapping[str, Any]) -> Family:
    columns = {
        "bpp": "bpp",
        "psnr_db": "psnr_rgb_db",
        "ms_ssim": "ms_ssim_rgb",
        "encode_seconds": "encode_seconds",
        "decode_seconds": "decode_seconds",
    }
    rows = [
        {
            ours: curve[theirs][row]
            for ours, theirs in columns.items()
            if theirs in curve
        }
        for row in range(len(curve["bpp"]))
    ]
    points = sorted(map(_point, rows), key=lambda point: point.bpp)
    return Family(
        name=curve["name"],
        kind="published",
        series={None: tuple(points)},
        source=curve["source"],
    )


def _shown(name: str, among: Sequence[str]) -> str:
    """The last word of a setting's name, or more where two settings share it."""
    last = name.rpartition(".")[2]
    same = [other for other in among if other.rpartition(".")[2] == last]
    return (name if len(same) > 1 else last).replace("_", " ")


def _value(value: Any) -> str:
    if value is None:
        return "default"
    shown = ("off", "on")[value] if isinstance(value, bool) else value
    return re.sub(r"[\[\]'\"]", "", str(shown))
