"""Figure of a bound: savings by channel, and the correlation map that is left."""

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from jaxcorr.neighbors import table
from jaxcorr.neighbors.bound import Bound
from jaxcorr.neighbors.closed_forms import loss_of
from jaxcorr.visualization import reconstructions

STEPS = ("calibration", "pooled_filter", "channel_filters", "channel_energy")
"""Predictors whose savings are drawn, each beyond the one before."""
COLORS = ("#505050", "#E69F00", "#0072B2", "#009E73")
"""Colors of the palette of Okabe and Ito, which color-blind readers can distinguish."""
MAX_CHANNELS = 48
"""Channels that have a bar of their own; the others share the last bar."""


def draw_bound(bound: Bound, *, title: str) -> Figure:
    """Draws savings by channel, and the correlation map with and without its pedestal.

    Args:
      bound: The bound.
      title: Name of the codec.
    """
    figure = Figure(figsize=(17, 4.8), layout="constrained")
    figure.suptitle(
        f"{title}: what neighbors could still save, {bound.image_bits.size} images"
    )
    left, middle, right = figure.subplots(1, 3, width_ratios=(2.2, 1, 1))
    _draw_channels(left, bound)
    limit = max(0.02, largest_beside_center(bound.map))
    for axis, map, name in (
        (middle, bound.map, "correlation map"),
        (right, bound.centered_map, "without its pedestal of mean offsets"),
    ):
        reconstructions.draw_map(axis, map, limit=limit)
        axis.set_title(f"{name}, loss {loss_of(map):.4f}", fontsize="medium")
    return figure


def largest_beside_center(map: Float[np.ndarray, "k k"]) -> float:
    """Returns the largest magnitude of a map beside its center."""
    values = np.abs(map)
    values[map.shape[0] // 2, map.shape[1] // 2] = 0
    return float(values.max())


def _draw_channels(axis: Axes, bound: Bound) -> None:
    """Draws what each channel saves by each predictor."""
    order = np.argsort(-bound.channel_bits)
    names = [str(channel) for channel in order[:MAX_CHANNELS]]
    rest = order.size - len(names)
    before = np.zeros(order.size)
    width = 0.8 / len(STEPS)
    for number, (name, color) in enumerate(zip(STEPS, COLORS, strict=True)):
        saved = bound.channel_savings[name][order]
        more, before = saved - before, saved
        bars = more[:MAX_CHANNELS]
        if rest:
            bars = np.append(bars, more[MAX_CHANNELS:].sum())
        place = np.arange(bars.size) + (number - (len(STEPS) - 1) / 2) * width
        label = f"{table.PREDICTORS[name][0]}: {more.sum():+.2f} %"
        if name == "channel_energy":
            label = f"+ scale from neighbors and earlier channels: {more.sum():+.2f} %"
        axis.bar(place, bars, width, color=color, label=label)
    names += [f"{rest} others"] if rest else []
    axis.set_xticks(np.arange(len(names)), names, rotation=90, fontsize="x-small")
    axis.set_xlabel("channel of y, the one with most bits first")
    axis.set_ylabel("saved bits of held-out images (% of all bits of y)")
    axis.axhline(0, color="black", linewidth=0.8)
    axis.margins(x=0.01)
    axis.grid(axis="y", alpha=0.3)
    axis.legend(fontsize="small")
