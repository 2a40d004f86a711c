"""Figures of a report: rate-distortion, complexity, weights and training."""

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter

from jaxcorr.report import styles

RATE_MARGIN = 1.08
"""Factor from the outermost measured rates to the limits of the axis."""
QUALITY_MARGIN_DB = 0.5
LEGEND_LINE_INCHES = 0.19
MIN_DETAIL_POINTS = 3
"""Fewest points of models that axes of their own show."""

Lines = Mapping[str, Sequence[tuple[np.ndarray, np.ndarray]]]
"""x and y of one or more lines, by their name in the legend."""
Limits = tuple[tuple[float, float], tuple[float, float]]
"""Lowest and highest rate, and lowest and highest quality, of axes."""


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


def rate_distortion(
    models: Lines, classical: Lines, published: Lines, *, quality: str
) -> Figure:
    """Draws quality against rate, on a logarithmic axis.

    The first axes contain all measured points. If models cover only a small part of
    them, second axes show that part. A codec that saves a share of the rate is equally
    far to the left everywhere.

    Args:
      models: Rates (bits per pixel) and qualities, drawn in color.
      classical: Rates and qualities of classical codecs, in gray with markers.
      published: Rates and qualities that others measured, in light gray, where they are
        within these axes.
      quality: Name of the quality with its unit.
    """
    ranges = [_ranges([*models.values(), *classical.values()])]
    published = {
        name: curve for name, curve in published.items() if _crosses(curve, ranges[0])
    }
    entries = len(models) + len(classical) + len(published)
    height = max(6.5, LEGEND_LINE_INCHES * (entries + 1))
    if sum(len(x) for curve in models.values() for x, _ in curve) >= MIN_DETAIL_POINTS:
        detail = _ranges([*models.values()])
        ranges += [detail] if _is_detail(detail, ranges[0]) else []
    figure = Figure(figsize=(12 + 4 * (len(ranges) - 1), height), layout="constrained")
    panels = figure.subplots(1, len(ranges), squeeze=False)[0]
    for axes, limits in zip(panels, ranges, strict=True):
        _draw_rate_distortion(axes, models, classical, published)
        _limit(axes, limits)
        axes.set_xlabel("rate (bits per pixel of the real file, logarithmic)")
        axes.set_ylabel(quality)
    if len(ranges) > 1:
        panels[0].set_title("all measured points", fontsize="medium")
        panels[1].set_title("around the models", fontsize="medium")
    handles, names = panels[0].get_legend_handles_labels()
    figure.legend(handles, names, fontsize="small", loc="outside right upper")
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
        for index, series in enumerate(lines):
            style = styles.model_style(index)
            axes.plot(series.x, series.y, label=series.name, **style)
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
    """Draws the cost on held-out images, and its change by the loss, against steps.

    Args:
      costs: bpp + λ MSE against training steps, for each model.
      changes: Change of bpp + λ MSE by the loss, in percent, for each model with the
        loss. The names are among those of `costs`.
    """
    figure = Figure(figsize=(15, 5.5), layout="constrained")
    left, right = figure.subplots(1, 2)
    line_styles = _line_styles(costs)
    for axes, lines in ((left, costs), (right, changes)):
        for series in lines:
            # The styles of both panels are the same, so one legend is enough.
            label = series.name if axes is left else None
            style = line_styles[series.name]
            axes.plot(series.x, series.y, label=label, linewidth=1.4, **style)
            # The last point, at the low learning rate, is the one that counts.
            axes.plot(series.x[-1:], series.y[-1:], "o", color=style["color"])
        axes.set_xlabel("training steps")
        axes.grid(alpha=0.3)
    figure.legend(fontsize="x-small", loc="outside right upper")
    left.set_yscale("log")
    left.set_ylabel("bpp + λ MSE on held-out images")
    right.axhline(0, color="black", linewidth=0.8)
    right.set_yscale("symlog", linthresh=5)
    right.set_ylabel("change of it by the loss (%)")
    return figure


def _ranges(curves: Sequence[Sequence[tuple[np.ndarray, np.ndarray]]]) -> Limits:
    """Returns limits of axes that contain all points of some curves, with a margin."""
    rates, qualities = (
        np.concatenate([line[axis] for seeds in curves for line in seeds])
        for axis in (0, 1)
    )
    return (
        (float(rates.min() / RATE_MARGIN), float(rates.max() * RATE_MARGIN)),
        (
            float(qualities.min() - QUALITY_MARGIN_DB),
            float(qualities.max() + QUALITY_MARGIN_DB),
        ),
    )


def _crosses(curve: Sequence[tuple[np.ndarray, np.ndarray]], limits: Limits) -> bool:
    """Returns whether any line of a curve is visible between limits."""
    (left, right), (bottom, top) = limits
    for x, y in curve:
        first, last = max(left, x.min()), min(right, x.max())
        if first > last:
            continue
        rates = np.geomspace(first, last, 100)
        qualities = np.interp(np.log(rates), np.log(x), y)
        if np.any((bottom <= qualities) & (qualities <= top)):
            return True
    return False


def _is_detail(part: Limits, whole: Limits) -> bool:
    """Returns whether limits are small in others: less than half as wide or high."""
    octaves, all_octaves = (np.log2(high / low) for (low, high), _ in (part, whole))
    decibels, all_decibels = (high - low for _, (low, high) in (part, whole))
    return bool(octaves < all_octaves / 2 or decibels < all_decibels / 2)


def _draw_rate_distortion(
    axes: Axes, models: Lines, classical: Lines, published: Lines
) -> None:
    for curves, style in (
        (models, styles.model_style),
        (classical, styles.classical_style),
        (published, styles.published_style),
    ):
        for index, (name, seeds) in enumerate(curves.items()):
            for number, (x, y) in enumerate(seeds):
                label = name if number == 0 else None
                axes.plot(x, y, label=label, **style(index))


def _limit(axes: Axes, limits: Limits) -> None:
    """Sets the limits of axes, with rates on a logarithmic scale."""
    rates, qualities = limits
    axes.set_xscale("log")
    axes.set_xlim(*rates)
    axes.set_ylim(*qualities)
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 3, 5, 7)))
    axes.xaxis.set_major_formatter("{x:g}")
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.grid(alpha=0.3, which="both")


def _line_styles(lines: Sequence[Series]) -> dict[str, styles.Style]:
    """Returns the style of each series by its name."""
    hues = sorted({series.hue for series in lines})
    kinds = [*dict.fromkeys(series.style for series in lines)]
    return {
        series.name: styles.grid_style(
            hues.index(series.hue), kinds.index(series.style)
        )
        for series in lines
    }


def _draw_complexity(axes: Axes, points: Mapping[str, tuple[float, float]]) -> None:
    """Draws one marker per codec, on a time axis that spans at least a factor of 4."""
    for index, (name, (seconds, saved)) in enumerate(points.items()):
        style: styles.Style = styles.model_style(index)
        style |= {"linestyle": "", "markersize": 8}
        axes.plot(seconds, saved, label=name, **style)
    times = [seconds for seconds, _ in points.values()]
    axes.set_xscale("log")
    axes.set_xlim(min(times) / 2, max(times) * 2)
    axes.margins(y=0.15)
