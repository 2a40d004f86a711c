"""Curves of a report, drawn: rate against quality, time, weights and training."""

import dataclasses
import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from jaxcorr.evaluation.curves import Family, Quality

COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
"""Okabe and Ito's colors, which the color-blind tell apart."""
MARKERS = "osD^vPX"
BEHIND_LINES = ("-", "--", ":", "-.")
BEHIND = "#8A8A8A"
UNITS = {"psnr_db": "PSNR (dB)", "ms_ssim_db": "MS-SSIM (dB: -10 log10(1 - MS-SSIM))"}

Curve = tuple[str, np.ndarray, np.ndarray]
"""A name, and two coordinates of the points."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Spot:
    """A codec in the plane of time and rate.

    Attributes:
      name: What to call it.
      seconds: To encode and decode an image.
      saved: Percent of the anchor's rate that it saves.
    """

    name: str
    seconds: float
    saved: float


def rate_distortion(
    ours: Sequence[Family], behind: Sequence[Family], quality: Quality
) -> Figure:
    """Quality against rate: what was measured, before curves of others in grey."""
    figure, axes = _figure()
    rates, heights = [], []
    for family, color, marker in _styled(ours):
        for number, (x, y) in enumerate(family.points(quality)):
            axes.plot(
                *(x, y),
                color=color,
                marker=marker,
                markersize=5,
                label=family.name if number == 0 else None,
                zorder=3,
            )
            rates.append(x)
            heights.append(y)
    limit = 1.1 * max(x.max() for x in rates)
    lines = itertools.cycle(BEHIND_LINES)
    for family, line in zip(behind, lines, strict=False):
        for x, y in family.points(quality):
            label = None
            if (x < limit).sum() > 1:
                label = family.name
            axes.plot(x, y, color=BEHIND, linestyle=line, linewidth=1.1, label=label)
            heights.append(y[x < limit])
    axes.set_xlim(0, limit)
    shown = np.concatenate(heights)
    axes.set_ylim(shown.min() - 0.5, shown.max() + 0.5)
    axes.set_xlabel("rate (bits per pixel of the real file)")
    axes.set_ylabel(UNITS[quality])
    axes.legend(fontsize="small", loc="lower right")
    return figure


def complexity(
    ours: Sequence[Spot], paper: Sequence[Spot], anchor: str, papers_anchor: str
) -> Figure:
    """Rate saved against the time to encode and decode an image."""
    figure = Figure(figsize=(13, 5), layout="constrained")
    left, right = figure.subplots(1, 2)
    _draw_spots(left, ours, COLORS[0])
    left.set_title(f"measured here, against {anchor}", fontsize="medium")
    left.set_xlabel("encode and decode an image (s)")
    _draw_spots(right, paper, BEHIND)
    right.set_title(f"in the paper, against {papers_anchor}", fontsize="medium")
    right.set_xlabel("as printed there (s; images and hardware not known)")
    for axes in (left, right):
        axes.set_ylabel("rate saved at equal PSNR (BD-rate, %)")
        axes.grid(alpha=0.3)
    return figure


def weights(
    correlation: Sequence[Curve], cost: Sequence[Curve], *, smallest: float
) -> Figure:
    """Against α: the correlation that is left, and what the objective without it cost.

    Args:
      correlation: For each λ, α and correlation loss.
      cost: For each λ, α and change of bpp + λ MSE against α = 0, in percent.
      smallest: Smallest α above 0; the axis is linear below it, so that 0 is on it.
    """
    figure = Figure(figsize=(13, 5), layout="constrained")
    left, right = figure.subplots(1, 2)
    for axes, curves in ((left, correlation), (right, cost)):
        for (name, x, y), color, marker in zip(curves, COLORS, MARKERS, strict=False):
            axes.plot(x, y, color=color, marker=marker, label=name)
        axes.set_xscale("symlog", linthresh=smallest)
        axes.set_xlabel("weight of the loss, α (bits per pixel per unit)")
        axes.grid(alpha=0.3)
        axes.legend(fontsize="small")
    left.set_yscale("log")
    left.set_ylabel("correlation loss of the decoded latents")
    right.axhline(0, color="black", linewidth=0.8)
    right.set_ylabel("change of bpp + λ MSE against α = 0 (%)")
    return figure


def training(losses: Sequence[Curve], changes: Sequence[Curve]) -> Figure:
    """Against steps, on held-out crops: the objective, and what the loss changes in it.

    Args:
      losses: For each run, steps and bpp + λ MSE.
      changes: For each run with the loss, steps and change against that without it, in
        percent.
    """
    figure = Figure(figsize=(13, 5.5), layout="constrained")
    left, right = figure.subplots(1, 2)
    for axes, curves in ((left, losses), (right, changes)):
        for index, (name, x, y) in enumerate(curves):
            color = COLORS[index % len(COLORS)]
            line = BEHIND_LINES[index // len(COLORS) % len(BEHIND_LINES)]
            axes.plot(x, y, color=color, linestyle=line, linewidth=1.4, label=name)
        axes.set_xlabel("training steps")
        axes.grid(alpha=0.3)
        if curves:
            axes.legend(fontsize="x-small", ncols=2 if len(curves) > 8 else 1)
    left.set_yscale("log")
    left.set_ylabel("bpp + λ MSE on held-out crops")
    right.axhline(0, color="black", linewidth=0.8)
    right.set_ylabel("change of it by the loss (%)")
    return figure


def _figure() -> tuple[Figure, Axes]:
    figure = Figure(figsize=(9, 6.5), layout="constrained")
    axes = figure.subplots()
    axes.grid(alpha=0.3)
    return figure, axes


def _styled(families: Sequence[Family]) -> list[tuple[Family, str, str]]:
    return [
        (family, COLORS[i % len(COLORS)], MARKERS[i % len(MARKERS)])
        for i, family in enumerate(families)
    ]


def _draw_spots(axes: Any, spots: Sequence[Spot], color: str) -> None:
    """Points with their names beside them, above and below in turn."""
    axes.set_xscale("log")
    axes.margins(x=0.25, y=0.15)
    for index, spot in enumerate(sorted(spots, key=lambda spot: spot.saved)):
        axes.plot(spot.seconds, spot.saved, "o", color=color, markersize=8)
        axes.annotate(
            spot.name,
            (spot.seconds, spot.saved),
            xytext=(8, 4 if index % 2 else -10),
            textcoords="offset points",
            fontsize="small",
        )


def relative(values: Mapping[int, float], base: Mapping[int, float]) -> Curve:
    """Change against `base` where both have a value, in percent."""
    shared = sorted(values.keys() & base.keys())
    change = [100 * (values[step] / base[step] - 1) for step in shared]
    return "", np.array(shared), np.array(change)
