"""Draws what the paper's loss saved, what it saves here, and what there is to save.

    python results/branches/bars.py

writes `results/report/loss_bars.png`. The paper's bars are differences of the BD-rates
in its table of complexity (https://openreview.net/forum?id=1ihGy9vAIg), ours are
changes of bpp + λ MSE on Kodak (`changes.py`), and the bound is a share of the bits of
the latents (`bounds.py`).
"""

import math
import statistics
from pathlib import Path

import bounds
import changes

from jaxcorr.report import styles

PICTURE = Path(__file__).resolve().parents[1] / "report" / "loss_bars.png"
PAPER = {
    "paper: hyperprior": 9.5,
    "paper: checkerboard": 16.50 - 10.37,
    "paper: ChARM": 17.99 - 14.69,
}
"""Percentage points of BD-rate that the loss saves with Cheng's transforms."""
SHOWN = ("published 1", "whitening 1")
HYPERPRIOR = "NoContext"

Bar = tuple[str, float, float, str]
"""Label, saving and its error in percent, and color."""


def main() -> None:
    """Draws the picture."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    bars = [*paper_bars(), *our_bars(), *bound_bars()]
    labels, values, errors, colors = zip(*bars, strict=True)
    figure, axes = pyplot.subplots(figsize=(8, 0.34 * len(bars) + 1), dpi=100)
    axes.barh(labels, values, xerr=errors, color=colors, capsize=2)
    axes.invert_yaxis()
    axes.axvline(0, color="black", linewidth=0.8)
    axes.set_xlabel("saved (%)")
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(PICTURE, bbox_inches="tight")
    print(PICTURE)


def paper_bars() -> list[Bar]:
    """Returns what the paper says."""
    return [(name, value, math.nan, styles.COLORS[0]) for name, value in PAPER.items()]


def our_bars() -> list[Bar]:
    """Returns what the arms of the hyperprior saved on Kodak."""
    bars = []
    for (context, rate, name), pairs in changes.arm_pairs().items():
        if context != "none" or name not in SHOWN:
            continue
        kodak = [changes.change(a, b) for b, a in pairs if a.images == "kodak"]
        label = f"here: {name}, λ = {rate:g}"
        half = changes.half_interval(kodak)
        bars.append((label, -statistics.mean(kodak), half, styles.COLORS[1]))
    return bars


def bound_bars() -> list[Bar]:
    """Returns what neighbors could save of the bits of the latents of a hyperprior."""
    return [
        (f"bound: {row.predictor}", row.percent, row.error, styles.COLORS[2])
        for row in bounds.read()
        if row.context == HYPERPRIOR
    ]


if __name__ == "__main__":
    main()
