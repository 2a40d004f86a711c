"""Metrics on held-out images, which training logs and reports compare."""

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from jaxcorr import files
from jaxcorr.evaluation import csv_tables
from jaxcorr.paths import AnyPath
from jaxcorr.run_directory import HELD_OUT_LOG

COLUMNS = {
    "bpp": "bpp",
    "bpp_y": "bpp_y",
    "bpp_z": "bpp_z",
    "psnr_db": "psnr_db",
    "mse": "mse",
    "correlation": "correlation",
    "normalized_square": "normalized_square",
    "rate_distortion_bpp": "rate_distortion",
}
"""Columns of a history in CSV, after the model and the step: metrics of a log."""


def read_costs(table: AnyPath, *, model: str | None, member: int) -> dict[int, float]:
    """Returns bpp + λ MSE on held-out images by training step.

    Args:
      table: Table of the evaluation; the history is a file beside it.
      model: Name of the model in a table in CSV.
      member: Number of the sweep member.

    Returns:
      Costs in bits per pixel, in the order of the file; empty without a history.
    """
    if table.suffix == ".csv":
        return {
            int(row["step"]): float(row["rate_distortion_bpp"])
            for row in csv_tables.read_rows(table.with_name(csv_tables.HELD_OUT))
            if row["model"] == model
        }
    return {
        row["step"]: row["rate_distortion"]
        for row in read_log(table.with_name(HELD_OUT_LOG))
        if row.get("member", 0) == member
    }


def write_history(path: AnyPath, model: str, log: Iterable[Mapping[str, Any]]) -> None:
    """Writes the log of a model to a CSV file, in place of its earlier rows there."""
    rows = [
        {"model": model, "step": metrics["step"]}
        | {name: f"{metrics[field]:.7g}" for name, field in COLUMNS.items()}
        for metrics in log
    ]
    csv_tables.add_rows(path, rows, key="model")


def read_log(path: AnyPath) -> Iterator[Mapping[str, Any]]:
    """Yields the objects of a log in JSON lines; nothing if there is no such file."""
    text = files.read_file(path).decode() if path.is_file() else ""
    for line in text.splitlines():
        try:
            values = json.loads(line)
        except ValueError:
            continue  # A run that was killed may have left half a line.
        yield values
