"""Rows as a table on the terminal, and as JSON."""

import dataclasses
import json
from collections.abc import Sequence

from jaxcorr.evaluation import measure
from jaxcorr.evaluation.measure import ImageMetrics
from jaxcorr.evaluation.metadata import CodecMetadata

COLUMNS = {
    "file": "{}",
    "bytes": "{:.0f}",
    "bpp": "{:.4f}",
    "bpp_estimated": "{:.4f}",
    "bpp_y": "{:.4f}",
    "bpp_z": "{:.4f}",
    "bpp_header": "{:.4f}",
    "psnr_db": "{:.2f}",
    "ms_ssim": "{:.4f}",
    "correlation": "{:.4f}",
    "encode_seconds": "{:.2f}",
    "decode_seconds": "{:.2f}",
}
"""What is printed of a row, and how; a report prints some of it in the same way."""


def as_text(rows: Sequence[ImageMetrics]) -> str:
    """A table with a line a row and a last line of means."""
    lines = [dataclasses.asdict(row) for row in rows]
    lines.append({"file": f"mean of {len(rows)}"} | measure.mean_metrics(rows))
    cells = [
        [name.replace("_", " ") for name in COLUMNS],
        *([cell(line[name], form) for name, form in COLUMNS.items()] for line in lines),
    ]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    table = [
        "  ".join(
            cell.ljust(width) if index == 0 else cell.rjust(width)
            for index, (cell, width) in enumerate(zip(line, widths, strict=True))
        )
        for line in cells
    ]
    rule = "-" * len(table[0])
    return "\n".join([table[0], rule, *table[1:-1], rule, table[-1]])


def as_json(rows: Sequence[ImageMetrics], metadata: CodecMetadata) -> str:
    """The rows, their means, and what coded them."""
    return json.dumps(
        {
            "model": metadata.to_json(),
            "images": [dataclasses.asdict(row) for row in rows],
            "mean": measure.mean_metrics(rows),
        },
        indent=2,
    )


def cell(value: int | float | str | None, form: str) -> str:
    """Returns a value in the form of its column, or a dash where there is none."""
    return "-" if value is None else form.format(value)
