"""The table of a bound."""

import io
from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

from jaxcorr.evaluation import formatting
from jaxcorr.neighbors.statistics import Saving

if TYPE_CHECKING:
    from jaxcorr.neighbors.bound import Bound

PREDICTORS = {
    "calibration": ("own offset, gain and exponent", None),
    "pooled_filter": ("+ one filter for all channels", "calibration"),
    "channel_filters": ("+ a filter for every channel", "pooled_filter"),
    "neighbor_energy": ("+ scale from neighbors", "channel_filters"),
    "channel_energy": ("+ scale from earlier channels", "neighbor_energy"),
    "network_alone": ("network without neighbors", "calibration"),
    "network": ("network with all neighbors", "network_alone"),
}
"""Title of each predictor, and the predictor that it is compared with, by its name."""
CLOSED_FORMS = {
    "pooled_information": "one map for all channels, ½ log2",
    "channel_information": "a map for every channel, ½ log2",
    "quadratic": "quadratic, 0.36 L / v²",
    "centered_quadratic": "quadratic without mean offsets",
}
"""Title of each closed form, by its name."""


def as_text(bound: "Bound") -> str:
    """Returns a table with one line per predictor and per closed form.

    The table is 68 characters wide. Below it are the size of what was measured and the
    correlation loss.
    """
    channels = bound.channel_bits.size
    facts = (
        f"{bound.image_bits.size} images, {bound.latents:,} latents in {channels} "
        f"channels\n{bound.bits_per_latent:.4g} bits per latent, correlation loss "
        f"{bound.loss:.4f}"
    )
    parts = [
        _table("predictor, tested on other images", bound.savings),
        _table("closed form, of all images", bound.closed_forms),
        facts,
    ]
    return "\n\n".join(parts)


def _table(heading: str, savings: Sequence[Saving]) -> str:
    table = Table(
        box=formatting.RULED,
        show_edge=False,
        pad_edge=False,
        padding=formatting.PADDING,
    )
    table.add_column(heading, width=34, no_wrap=True)
    has_more = any(saving.reference for saving in savings)
    headings = ["saves %", "± SE", *(["more %", "± SE"] if has_more else [])]
    for name in headings:
        table.add_column(name, justify="right", no_wrap=True, width=7)
    for saving in savings:
        values = [saving.percent, saving.error, saving.more_percent, saving.more_error]
        cells = [formatting.format_value(value, "{:.2f}") for value in values]
        table.add_row(saving.title, *cells[: len(headings)])
    text = io.StringIO()
    console = Console(
        file=text,
        width=80,
        color_system=None,
        markup=False,
        emoji=False,
        force_jupyter=False,
    )
    console.print(table)
    return "\n".join(line.rstrip() for line in text.getvalue().splitlines())
