"""Figures of a report: rate-distortion, complexity, weights and training."""

import dataclasses
import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
"""Palette of Okabe and Ito, which color-blind readers can distinguish."""
MARKERS = "osD^v"
DASHES = ("-", "--", ":", "-.", (0, (1, 3)), (0, (8, 2)), (0, (5, 1, 1, 1, 1, 1)))
BACKGROUND_COLOR = "#8A8A8A"

Lines = Mapping[str, Sequence[tuple[np.ndarray, np.ndarray]]]
"""x and y of one or more lines, by their name in the legend."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Series:
    """A line of a figure.

    Attributes:
      name: Name in the legend.
      x: Horizontal positions of the points.
      y: Vertical positions of the points.
      hue: Series with the same value have the same color.
      style: Series with the same value have the same dashes.
    """

    name: str
    x: np.ndarray
    y: np.ndarray
    hue: float
    style: str = ""


def rate_distortion(curves: Lines, background: Lines, *, quality: str) -> Figure:
    """Draws quality against rate.

    Args:
      curves: Rates (bits per pixel) and qualities, drawn in color.
      background: Rates and qualities of other codecs, drawn in gray behind `curves`
        and only up to their highest rate.
      quality: Name of the quality with its unit.
    """
    figure = Figure(figsize=(12, 6.5), layout="constrained")
    axes = figure.subplots()
    axes.grid(alpha=0.3)
    limit = 1.1 * max(x.max() for lines in curves.values() for x, _ in lines)
    visible = []
    for index, (name, lines) in enumerate(curves.items()):
        for number, (x, y) in enumerate(lines):
            axes.plot(
                x,
                y,
                color=COLORS[index % len(COLORS)],
                marker=MARKERS[index % len(MARKERS)],
                markersize=5,
                label=name if number == 0 else None,
                zorder=3,
            )
            visible.append(y)
    for (name, lines), dashes in zip(
        background.items(), itertools.cycle(DASHES), strict=False
    ):
        for x, y in lines:
            axes.plot(
                x,
                y,
                color=BACKGROUND_COLOR,
                linestyle=dashes,
                linewidth=1.1,
                label=name if (x < limit).sum() > 1 else None,
            )
            visible.append(y[x < limit])
    axes.set_xlim(0, limit)
    qualities = np.concatenate(visible)
    axes.set_ylim(qualities.min() - 0.5, qualities.max() + 0.5)
    axes.set_xlabel("rate (bits per pixel of the real file)")
    axes.set_ylabel(quality)
    figure.legend(fontsize="small", loc="outside right upper")
    return figure


def complexity(
    measured: Mapping[str, tuple[float, float]],
    published: Mapping[str, tuple[float, float]],
    *,
    measured_anchor: str,
    published_anchor: str,
) -> Figure:
    """Draws the saved rate against the time to encode and decode an image.

    Args:
      measured: Seconds and saved rate (percent) of each codec that was measured here.
      published: Seconds and saved rate of each codec in the paper.
      measured_anchor: Name of the curve that `measured` is compared with.
      published_anchor: Name of the curve that `published` is compared with.
    """
    figure = Figure(figsize=(13, 5), layout="constrained")
    left, right = figure.subplots(1, 2)
    _draw_complexity(left, measured)
    left.set_title(f"measured here, against {measured_anchor}", fontsize="medium")
    left.set_xlabel("encode and decode an image (s)")
    _draw_complexity(right, published)
    right.set_title(f"in the paper, against {published_anchor}", fontsize="medium")
    right.set_xlabel("as printed there (s; images and hardware not known)")
    for axes in (left, right):
        axes.set_ylabel("rate saved at equal PSNR (BD-rate, %)")
        axes.grid(alpha=0.3)
        axes.legend(fontsize="small", loc="best")
    return figure


def weights(correlations: Sequence[Series], cost_changes: Sequence[Series]) -> Figure:
    """Draws the remaining correlation, and the change of cost, against α.

    Args:
      correlations: Correlation loss against α, for each λ and seed.
      cost_changes: Change of bpp + λ MSE against α, in percent, for each λ and seed.
    """
    # The axis is linear below the smallest α, so that it contains 0.
    smallest = min(series.x[series.x > 0].min() for series in cost_changes)
    figure = Figure(figsize=(13, 5), layout="constrained")
    left, right = figure.subplots(1, 2)
    for axes, lines in ((left, correlations), (right, cost_changes)):
        hues = sorted({series.hue for series in lines})
        styles = _line_styles(lines)
        for series in lines:
            marker = MARKERS[hues.index(series.hue) % len(MARKERS)]
            style = styles[series.name]
            axes.plot(series.x, series.y, marker=marker, label=series.name, **style)
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


def training(costs: Sequence[Series], changes: Sequence[Series]) -> Figure:
    """Draws the cost on held-out crops, and its change by the loss, against steps.

    Args:
      costs: bpp + λ MSE against training steps, for each model.
      changes: Change of bpp + λ MSE by the loss, in percent, for each model with the
        loss. The names are among those of `costs`.
    """
    figure = Figure(figsize=(15, 5.5), layout="constrained")
    left, right = figure.subplots(1, 2)
    styles = _line_styles(costs)
    for axes, lines in ((left, costs), (right, changes)):
        for series in lines:
            # The styles of both panels are the same, so one legend is enough.
            label = series.name if axes is left else None
            style = styles[series.name]
            axes.plot(series.x, series.y, linewidth=1.4, label=label, **style)
            # The last point, at the low learning rate, is the one that counts.
            axes.plot(series.x[-1:], series.y[-1:], "o", color=style["color"])
        axes.set_xlabel("training steps")
        axes.grid(alpha=0.3)
    figure.legend(fontsize="x-small", loc="outside right upper")
    left.set_yscale("log")
    left.set_ylabel("bpp + λ MSE on held-out crops")
    right.axhline(0, color="black", linewidth=0.8)
    right.set_yscale("symlog", linthresh=5)
    right.set_ylabel("change of it by the loss (%)")
    return figure


def _line_styles(lines: Sequence[Series]) -> dict[str, dict[str, Any]]:
    """Returns the color and the dashes of each series by its name."""
    hues = sorted({series.hue for series in lines})
    styles = [*dict.fromkeys(series.style for series in lines)]
    return {
        series.name: {
            "color": COLORS[hues.index(series.hue) % len(COLORS)],
            "linestyle": DASHES[styles.index(series.style) % len(DASHES)],
        }
        for series in lines
    }


def _draw_complexity(axes: Axes, points: Mapping[str, tuple[float, float]]) -> None:
    """Draws one marker per codec, on a time axis that spans at least a factor of 4."""
    for index, (name, (seconds, saved)) in enumerate(points.items()):
        axes.plot(
            seconds,
            saved,
            MARKERS[index % len(MARKERS)],
            color=COLORS[index % len(COLORS)],
            markersize=8,
            label=name,
        )
    times = [seconds for seconds, _ in points.values()]
    axes.set_xscale("log")
    axes.set_xlim(min(times) / 2, max(times) * 2)
    axes.margins(y=0.15)
