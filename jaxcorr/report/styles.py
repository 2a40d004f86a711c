"""Styles of lines and points in figures: every curve of a figure has its own.

The number of colors and of markers have no common factor, so that curves with the same
color have different markers until there are more curves than combinations.
"""

from typing import Any

COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
"""Palette of Okabe and Ito, which color-blind readers can distinguish."""
MARKERS = ("o", "s", "D", "^", "v", "P", "*", "X")
DASHES = ("-", "--", ":", "-.", (0, (1, 3)), (0, (8, 2)), (0, (5, 1, 1, 1, 1, 1)))
CLASSICAL_COLOR, PUBLISHED_COLOR = "#505050", "#9A9A9A"

Style = dict[str, Any]
"""Color, marker, dashes and their sizes, as Matplotlib takes them."""


def model_style(index: int) -> Style:
    """Returns the style of a model's curve: solid lines, in color, with markers."""
    return {
        "color": COLORS[index % len(COLORS)],
        "marker": MARKERS[index % len(MARKERS)],
        "linestyle": DASHES[index // (len(COLORS) * len(MARKERS)) % len(DASHES)],
        "markersize": 6,
        "zorder": 3,
    }


def classical_style(index: int) -> Style:
    """Returns the style of a classical codec: dashed, in gray, with hollow markers."""
    return {
        "color": CLASSICAL_COLOR,
        "marker": MARKERS[index % len(MARKERS)],
        "linestyle": DASHES[index % len(DASHES)],
        "markerfacecolor": "white",
        "linewidth": 1.1,
        "zorder": 2,
    }


def published_style(index: int) -> Style:
    """Returns the style of a published curve: dashed, in light gray."""
    markers = ("", *MARKERS)
    return {
        "color": PUBLISHED_COLOR,
        "marker": markers[index // len(DASHES) % len(markers)],
        "linestyle": DASHES[index % len(DASHES)],
        "linewidth": 1.1,
        "zorder": 1,
    }


def grid_style(hue: int, dash: int) -> Style:
    """Returns the style of a line that shares its color and its dashes with others.

    Args:
      hue: Number of the color.
      dash: Number of the dashes. Numbers beyond the colors and the dashes that exist
        add a marker.
    """
    markers = ("", *MARKERS)
    hues, dashes = hue // len(COLORS), dash // len(DASHES)
    # Pairs of numbers in the order of their sums: each has a marker of its own.
    pair = (hues + dashes) * (hues + dashes + 1) // 2 + dashes
    return {
        "color": COLORS[hue % len(COLORS)],
        "linestyle": DASHES[dash % len(DASHES)],
        "marker": markers[pair % len(markers)],
    }
