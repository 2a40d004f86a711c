"""Formats measurements as a text table and as JSON."""

import dataclasses
import json
from collections.abc import Sequence

from jaxcorr.evaluation import measure
from jaxcorr.evaluation.measure import ImageMetrics
from jaxcorr.evaluation.metadata import CodecMetadata


@dataclasses.dataclass(frozen=True)
class Column:
    """A column of tables of measurements.

    Attributes:
      name: Field of `ImageMetrics`, whose words are the heading on the terminal.
      template: Template of a value for `str.format`.
      report_heading: Heading in a report; None if reports do not have the column.
    """

    name: str
    template: str
    report_heading: str | None = None

    @property
    def heading(self) -> str:
        """Heading on the terminal."""
        return self.name.replace("_", " ")


COLUMNS = (
    Column("file", "{}"),
    Column("bytes", "{:.0f}"),
    Column("bpp", "{:.4f}", "bpp"),
    Column("bpp_estimated", "{:.4f}"),
    Column("bpp_y", "{:.4f}", "y"),
    Column("bpp_z", "{:.4f}", "z"),
    Column("bpp_header", "{:.4f}", "header"),
    Column("psnr_db", "{:.2f}", "PSNR dB"),
    Column("ms_ssim", "{:.4f}", "MS-SSIM"),
    Column("correlation", "{:.4f}", "correlation"),
    Column("encode_seconds", "{:.2f}", "encode s"),
    Column("decode_seconds", "{:.2f}", "decode s"),
)
"""Columns of the table on the terminal and of the points in a report."""


def as_text(rows: Sequence[ImageMetrics]) -> str:
    """Returns a table with one line per image and a last line of means."""
    values = [dataclasses.asdict(row) for row in rows]
    values.append({"file": f"mean of {len(rows)}"} | measure.mean_metrics(rows))
    lines = [[column.heading for column in COLUMNS]]
    for row in values:
        lines.append([format_value(row[c.name], c.template) for c in COLUMNS])
    widths = [max(map(len, cells)) for cells in zip(*lines, strict=True)]
    table = [
        "  ".join(
            cell.ljust(width) if index == 0 else cell.rjust(width)
            for index, (cell, width) in enumerate(zip(line, widths, strict=True))
        )
        for line in lines
    ]
    rule = "-" * len(table[0])
    return "\n".join([table[0], rule, *table[1:-1], rule, table[-1]])


def as_json(rows: Sequence[ImageMetrics], metadata: CodecMetadata) -> str:
    """Returns the measurements, their means and the codec as JSON."""
    return json.dumps(
        {
            "model": metadata.to_json(),
            "images": [dataclasses.asdict(row) for row in rows],
            "mean": measure.mean_metrics(rows),
        },
        indent=2,
    )


def format_value(value: int | float | str | None, template: str) -> str:
    """Returns a formatted value, or a dash for None."""
    return "-" if value is None else template.format(value)
