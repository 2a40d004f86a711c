"""Formats measurements as a table of text, as wide as a terminal."""

import dataclasses
import io
import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

from rich.box import Box
from rich.cells import cell_len, chop_cells
from rich.console import Console
from rich.table import Table

from jaxcorr.evaluation import measure
from jaxcorr.evaluation.measure import ImageMetrics


@dataclasses.dataclass(frozen=True, kw_only=True)
class Column:
    """A column of tables of measurements.

    Attributes:
      name: Field of `ImageMetrics`.
      template: Template of a value for `str.format`.
      heading: Heading on the terminal, with the unit.
      short_heading: Heading where the terminal is narrow; None for `heading`.
      rank: Columns of the highest rank are left out first where the terminal is narrow;
        those of rank 0 remain.
      report_heading: Heading in a report; None if reports do not have the column.
    """

    name: str
    template: str
    heading: str
    short_heading: str | None = None
    rank: int = 0
    report_heading: str | None = None


COLUMNS = (
    Column(name="file", template="{}", heading="file"),
    Column(name="bytes", template="{:.0f}", heading="bytes", rank=5),
    Column(name="bpp", template="{:.4f}", heading="bpp", report_heading="bpp"),
    Column(
        name="bpp_estimated",
        template="{:.4f}",
        heading="estimated bpp",
        short_heading="est. bpp",
        rank=9,
    ),
    Column(
        name="bpp_y", template="{:.4f}", heading="y bpp", rank=7, report_heading="y"
    ),
    Column(
        name="bpp_z", template="{:.4f}", heading="z bpp", rank=8, report_heading="z"
    ),
    Column(
        name="bpp_header",
        template="{:.4f}",
        heading="header bpp",
        short_heading="head bpp",
        rank=10,
        report_heading="header",
    ),
    Column(
        name="psnr_db",
        template="{:.2f}",
        heading="PSNR dB",
        report_heading="PSNR dB",
    ),
    Column(
        name="ms_ssim",
        template="{:.4f}",
        heading="MS-SSIM",
        rank=2,
        report_heading="MS-SSIM",
    ),
    Column(
        name="correlation",
        template="{:.4f}",
        heading="correlation",
        short_heading="corr.",
        rank=6,
        report_heading="correlation",
    ),
    Column(
        name="encode_seconds",
        template="{:.2f}",
        heading="encode s",
        short_heading="enc. s",
        rank=3,
        report_heading="encode s",
    ),
    Column(
        name="decode_seconds",
        template="{:.2f}",
        heading="decode s",
        short_heading="dec. s",
        rank=4,
        report_heading="decode s",
    ),
)
"""Columns of the table on the terminal and of the points in a report."""

GAP = 2
"""Spaces between two columns; one of them stands for a vertical rule."""
PADDING = (0, 0, 0, GAP - 1)
SHORTEST_NAME = 16
"""Width to which names are shortened before a column is left out."""
RULED = Box("    \n    \n----\n    \n    \n----\n    \n    \n", ascii=True)
"""Rules below the headings and above the means, in characters of any encoding."""

Headings = dict[str, str]
"""Headings of the columns of a table, by the name of the column."""
Cells = dict[str, list[str]]
"""Cells of each column, by its name: one per image, and the mean."""


def as_text(rows: Sequence[ImageMetrics], *, width: int | None = None) -> str:
    """Returns a table with one line per image and a last line of means.

    Below it, a sentence says so if some images are too small for MS-SSIM.

    Args:
      rows: Measurements of the images.
      width: Columns of the terminal. If the table is wider, columns without a value are
        left out, headings and names become shorter, and then columns of high rank are
        left out. None for no limit.
    """
    cells = _format_cells(rows)
    headings = {column.name: column.heading for column in COLUMNS}
    if width is not None and _width(headings, cells) > width:
        headings, cells = _fit(headings, cells, width)
    table = Table(
        box=RULED, show_footer=True, show_edge=False, pad_edge=False, padding=PADDING
    )
    for name, heading in headings.items():
        mean, justify = cells[name][-1], "left" if name == "file" else "right"
        table.add_column(heading, mean, justify=justify, no_wrap=True)
    for line in zip(*(cells[name][:-1] for name in headings), strict=True):
        table.add_row(*line)
    text, total = io.StringIO(), _width(headings, cells)
    # File names are plain text, without markup, emoji or colors. A notebook would show
    # the table at once.
    console = Console(
        file=text,
        width=total,
        color_system=None,
        markup=False,
        emoji=False,
        force_jupyter=False,
    )
    console.print(table)
    note = measure.describe_ms_ssim([dataclasses.asdict(row) for row in rows])
    note = textwrap.fill(note, width or max(total, 60)) if note else ""
    return "\n\n".join(filter(None, [text.getvalue().rstrip("\n"), note]))


def format_value(value: int | float | str | None, template: str) -> str:
    """Returns a formatted value, or a dash for None."""
    return "-" if value is None else template.format(value)


def _format_cells(rows: Sequence[ImageMetrics]) -> Cells:
    """Returns the cells of each column: one per image, and the mean."""
    values: list[Mapping[str, Any]] = [dataclasses.asdict(row) for row in rows]
    values.append({"file": f"mean of {len(rows)}"} | measure.mean_metrics(rows))
    return {
        column.name: [format_value(row[column.name], column.template) for row in values]
        for column in COLUMNS
    }


def _fit(headings: Headings, cells: Cells, width: int) -> tuple[Headings, Cells]:
    """Returns headings and cells of a table that fits, if one does; see `as_text`."""
    headings = {
        name: text for name, text in headings.items() if {*cells[name]} != {"-"}
    }
    if _width(headings, cells) <= width:
        return headings, cells
    short = {column.name: column.short_heading or column.heading for column in COLUMNS}
    headings = {name: short[name] for name in headings}
    shortest = {"file": [_shorten(name, SHORTEST_NAME) for name in cells["file"]]}
    for column in sorted(COLUMNS, key=lambda column: -column.rank):
        if column.rank == 0 or _width(headings, cells | shortest) <= width:
            break
        headings.pop(column.name, None)
    others = {name: text for name, text in headings.items() if name != "file"}
    longest = max(width - GAP - _width(others, cells), SHORTEST_NAME)
    return headings, cells | {"file": [_shorten(x, longest) for x in cells["file"]]}


def _width(headings: Headings, cells: Cells) -> int:
    """Returns the width of a table with the columns of these headings."""
    widths = [
        max(map(cell_len, [text, *cells[name]])) for name, text in headings.items()
    ]
    return sum(widths) + GAP * (len(widths) - 1)


def _shorten(name: str, width: int) -> str:
    """Returns the end of a name, which differs more than its beginning."""
    if cell_len(name) <= width:
        return name
    return "…" + chop_cells(name[::-1], width - 1)[0][::-1]
