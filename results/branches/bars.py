"""Draws what the paper's loss saved, what it saves here, and what there is to save.

    python results/branches/bars.py

writes `results/report/loss_bars.png`, all in percent of the bits. The paper's bars
compare codecs with and without the loss, by the BD-rates in its table of complexity
(https://openreview.net/forum?id=1ihGy9vAIg). Ours are changes of the bits on Kodak at
equal MSE with 95 % intervals over the pairs (`arms.change_of_bits`). The bound is a
share of the bits of the latents on Kodak with standard errors over the images, beyond
what the same predictor saves without neighbors (`bounds.py`).
"""

import math
import statistics
from collections.abc import Iterator
from pathlib import Path

import arms
import bounds
import changes

from jaxcorr.report import styles

PICTURE = Path(__file__).resolve().parents[1] / "report" / "loss_bars.png"
CONTEXTS = {
    "hyperprior": ("none", "NoContext", (0.0, -9.5)),
    "checkerboard": ("checkerboard", "Checkerboard", (-10.37, -16.50)),
    "ChARM": ("charm", "Channelwise", (-14.69, -17.99)),
}
"""Names of trunks in the study and of context models in the bounds, and the paper's
BD-rates without and with the loss, with Cheng's transforms."""
PREDICTORS = ("+ one filter for all channels", "network with all neighbors")
"""Predictors of the bound: what the loss sees, and the best one."""

Bar = tuple[str, float, float]
"""Label, saving and its error, in percent."""


def main() -> None:
    """Draws the picture."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    panels = {
        "the paper (BD-rate with the loss against without)": list(paper_bars()),
        "here (bits at equal MSE, 95 % interval)": list(our_bars()),
        "the bound (bits of y, standard error)": list(bound_bars()),
    }
    sizes = [len(bars) for bars in panels.values()]
    figure, axes = pyplot.subplots(
        len(panels),
        figsize=(8, 0.26 * sum(sizes) + 2),
        dpi=100,
        sharex=True,
        height_ratios=sizes,
        layout="constrained",
    )
    items = zip(axes, panels.items(), styles.COLORS, strict=False)
    for axis, (title, bars), color in items:
        labels, values, errors = zip(*bars, strict=True)
        axis.barh(labels, values, xerr=errors, color=color, capsize=2)
        axis.invert_yaxis()
        axis.axvline(0, color="black", linewidth=0.8)
        axis.set_title(title, loc="left", fontsize="medium")
        axis.spines[["top", "right"]].set_visible(False)
    axes[-1].set_xlabel("saved bits (%); to the left of 0, what it costs")
    figure.savefig(PICTURE)
    print(PICTURE)


def paper_bars() -> Iterator[Bar]:
    """Yields what the paper says."""
    for name, (_, _, (without, with_loss)) in CONTEXTS.items():
        yield name, 100 * (1 - (100 + with_loss) / (100 + without)), math.nan


def our_bars() -> Iterator[Bar]:
    """Yields what the arms saved on Kodak."""
    pairs = arms.arm_pairs()
    for label, (context, _, _) in CONTEXTS.items():
        for (name, rate, arm), group in pairs.items():
            if name != context or arm not in changes.ARMS:
                continue
            kodak = [arms.change_of_bits(pair) for pair in arms.on("kodak", group)]
            half = changes.half_interval(kodak)
            title = f"{label}, {name_of(arm)}, λ = {rate:g}"
            yield title, -statistics.mean(kodak), half


def name_of(arm: str) -> str:
    """Returns the name of an arm in the picture."""
    name = arm.split()[0]
    return f"{name}, auto" if name == "published" else name


def bound_bars() -> Iterator[Bar]:
    """Yields what neighbors could save of the bits of the latents."""
    rows = bounds.read()
    for label, (_, context, _) in CONTEXTS.items():
        for row in rows:
            percent, error = row.more_percent, row.more_error
            is_shown = row.context == context and row.predictor in PREDICTORS
            if is_shown and percent is not None and error is not None:
                name = row.predictor.removeprefix("+ ")
                model = row.model if label in row.model else f"{label}, {row.model}"
                yield f"{model}: {name}", percent, error


if __name__ == "__main__":
    main()
