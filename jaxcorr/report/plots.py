"""Curves of a report, drawn: rate against quality, time, weights and training."""

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from jaxcorr.report.ablation import Series
from jaxcorr.report.rd_curves import ComplexityPoint, Quality, RDCurve

COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
"""Okabe and Ito's colors, which the color-blind tell apart."""
MARKERS = "osD^v"
DASHES = (
    *("-", "--", ":", "-."),
    *((0, (1, 3)), (0, (8, 2)), (0, (5, 1, 1, 1, 1, 1))),
)
BEHIND = "#8A8A8A"
UNITS = {"psnr_db": "PSNR (dB)", "ms_ssim_db": "MS-SSIM (dB: -10 log10(1 - MS-SSIM))"}


def rate_distortion(
    ours: Sequence[RDCurve], behind: Sequence[RDCurve], quality: Quality
) -> Figure:
    """Quality against rate: what was measured, before curves of others in grey."""
    figure = Figure(figsize=(12, 6.5), layout="constrained")
    axes = figure.subplots()
    axes.grid(alpha=0.3)
    rates, heights = [], []
    long_enough = [family for family in ours if family.length > 1] or ours
    for family, color, marker in _styled(long_enough):
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
    lines = itertools.cycle(DASHES)
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
    figure.legend(fontsize="small", loc="outside right upper")
    return figure


def complexity(
    ours: Sequence[ComplexityPoint],
    paper: Sequence[ComplexityPoint],
    anchor: str,
    papers_anchor: str,
) -> Figure:
    """Rate saved against the time to encode and decode an image."""
    figure = Figure(figsize=(13, 5), layout="constrained")
    left, right = figure.subplots(1, 2)
    _draw_spots(left, ours)
    left.set_title(f"measured here, against {anchor}", fontsize="medium")
    left.set_xlabel("encode and decode an image (s)")
    _draw_spots(right, paper)
    right.set_title(f"in the paper, against {papers_anchor}", fontsize="medium")
    right.set_xlabel("as printed there (s; images and hardware not known)")
    for axes in (left, right):
        axes.set_ylabel("rate saved at equal PSNR (BD-rate, %)")
        axes.grid(alpha=0.3)
        axes.legend(fontsize="small", loc="best")
    return figure


def weights(correlation: Sequence[Series], cost: Sequence[Series]) -> Figure:
    """Against α: the correlation that is left, and what the objective without it cost.

    Args:
      correlation: For each λ, α and correlation loss.
      cost: For each λ, α and change of bpp + λ MSE against α = 0, in percent.
    """
    # Linear below the smallest α, so that 0 is on the axis.
    smallest = min(line.x[line.x > 0].min() for line in cost)
    figure = Figure(figsize=(13, 5), layout="constrained")
    left, right = figure.subplots(1, 2)
    for axes, lines in ((left, correlation), (right, cost)):
        for line in lines:
            marker = MARKERS[line.color % len(MARKERS)]
            axes.plot(line.x, line.y, marker=marker, label=line.name, **_style(line))
        axes.set_xscale("symlog", linthresh=smallest)
        axes.set_xlabel("weight of the loss, α (bits per pixel per unit)")
        axes.grid(alpha=0.3)
        if lines:
            axes.legend(fontsize="small")
    left.set_yscale("log")
    left.set_ylabel("correlation loss of the decoded latents")
    right.axhline(0, color="black", linewidth=0.8)
    right.set_ylabel("change of bpp + λ MSE against α = 0 (%)")
    return figure


def training(losses: Sequence[Series], changes: Sequence[Series]) -> Figure:
    """Against steps, on held-out crops: the objective, and what the loss changes in it.

    Args:
      losses: For each run, steps and bpp + λ MSE.
      changes: For each run with the loss, steps and change against that without it, in
        percent.
    """
    figure = Figure(figsize=(15, 5.5), layout="constrained")
    left, right = figure.subplots(1, 2)
    for axes, lines in ((left, losses), (right, changes)):
        for line in lines:
            # Both panels have the same styles: one legend serves them.
            label = line.name if axes is left else None
            axes.plot(line.x, line.y, linewidth=1.4, label=label, **_style(line))
            # The last point, at the low learning rate, is what counts.
            axes.plot(line.x[-1:], line.y[-1:], "o", color=_style(line)["color"])
        axes.set_xlabel("training steps")
        axes.grid(alpha=0.3)
    figure.legend(fontsize="x-small", loc="outside right upper")
    left.set_yscale("log")
    left.set_ylabel("bpp + λ MSE on held-out crops")
    right.axhline(0, color="black", linewidth=0.8)
    right.set_yscale("symlog", linthresh=5)
    right.set_ylabel("change of it by the loss (%)")
    return figure


def _styled(families: Sequence[RDCurve]) -> list[tuple[RDCurve, str, str]]:
    return [
        (family, COLORS[i % len(COLORS)], MARKERS[i % len(MARKERS)])
        for i, family in enumerate(families)
    ]


def _style(line: Series) -> dict[str, Any]:
    return {
        "color": COLORS[line.color % len(COLORS)],
        "linestyle": DASHES[line.dashes % len(DASHES)],
    }


def _draw_spots(axes: Axes, spots: Sequence[ComplexityPoint]) -> None:
    """A marker a codec, on an axis of time that covers a factor of four or more."""
    for index, spot in enumerate(spots):
        axes.plot(
            *(spot.seconds, spot.saved),
            MARKERS[index % len(MARKERS)],
            color=COLORS[index % len(COLORS)],
            markersize=8,
            label=spot.name,
        )
    times = [spot.seconds for spot in spots]
    axes.set_xscale("log")
    axes.set_xlim(min(times) / 2, max(times) * 2)
    axes.margins(y=0.15)
