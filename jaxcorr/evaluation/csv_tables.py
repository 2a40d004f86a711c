"""Evaluations as CSV files, which are small enough to keep in a repository.

A folder of them holds

    NAME.csv      measurements: one row per model and image, or one row of means per
                  codec where there is no column `file`
    images.csv    the images that rows of means are over
    runs.csv      settings of the training runs by dotted name, one row per run
    held_out.csv  metrics on held-out images, one row per model and evaluation

A column has its unit in its name. An empty cell means that there is no such value. In
columns `environment.NAME` a row has the date, device and versions of its measurement,
unless an earlier version measured it.
"""

import contextlib
import csv
import dataclasses
import io
import itertools
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from jaxcorr import files, run_directory
from jaxcorr.errors import UserError
from jaxcorr.evaluation import measure
from jaxcorr.evaluation.measure import ImageMetrics
from jaxcorr.paths import AnyPath

RUNS, IMAGES, HELD_OUT = "runs.csv", "images.csv", "held_out.csv"
ENVIRONMENT = "environment"

MEASUREMENTS: dict[str, tuple[str, str]] = {
    "bytes": ("bytes", ".10g"),
    "bpp": ("bpp", ".8f"),
    "bpp_estimated": ("bpp_estimated", ".8f"),
    "bpp_y": ("bpp_y", ".8f"),
    "bpp_z": ("bpp_z", ".8f"),
    "bpp_header": ("bpp_header", ".8f"),
    "psnr_db": ("psnr_db", ".5f"),
    "ms_ssim": ("ms_ssim", ".7f"),
    "correlation": ("correlation", ".7g"),
    "encode_s": ("encode_seconds", ".6f"),
    "decode_s": ("decode_seconds", ".6f"),
}
"""Columns of measurements: the field of `ImageMetrics`, and how it is written."""
IMAGE = {"file": "file", "width_px": "width", "height_px": "height"}
MEMBER = {
    "lambda_bpp_per_distortion": "distortion_weight",
    "alpha_bpp_per_correlation": "correlation_weight",
    "seed": "seed",
}
"""Columns that describe the member of a sweep: fields of `SweepMember`."""
TRAINED = ("fingerprint", "step", "held_out_loss", "source", "architecture")
CLASSICAL = ("codec", "title", "quality", "unit", "library")
NUMBERS = {*MEASUREMENTS, "width_px", "height_px", *MEMBER}
NUMBERS |= {"step", "held_out_loss", "quality"}
"""Columns of numbers. All other cells are text, even where they look like a number."""

Row = Mapping[str, Any]
Table = dict[str, Any]
"""A result as `jaxcorr evaluate --json` writes it: model, images and means."""


def is_table(path: AnyPath) -> bool:
    """Returns whether a CSV file has the columns of measurements.

    Raises:
      UserError: If the file cannot be read.
    """
    if path.name in (RUNS, IMAGES, HELD_OUT):
        return False
    with _user_errors(path):
        header = set(next(csv.reader(files.open_text(path)), ()))
    return {"bpp", "psnr_db"} <= header and bool({"model", "codec"} & header)


def read_tables(path: AnyPath) -> list[Table]:
    """Reads the evaluations of a CSV file, in their order.

    The images of an evaluation of which only means are kept have no measurements.

    Raises:
      UserError: If a file cannot be read, or lacks a column or a number.
    """
    with _user_errors(path):
        return _read_tables(path)


def write_tables(path: AnyPath, tables: Sequence[Table]) -> None:
    """Writes evaluations with a row per image, and adds their runs to `runs.csv`."""
    rows, runs = [], {}
    for table in tables:
        model = table["model"]
        rows += [
            _head_cells(table) | _image_cells(row) | _measurement_cells(row)
            for row in table["images"]
        ]
        if "run" in model:
            run = _run_of(model["path"])
            settings = flatten(run_directory.upgrade_settings(model["run"]))
            runs[run] = {"run": run} | {name: _to_cell(x) for name, x in settings}
    write_rows(path, rows)
    if runs:
        add_rows(path.with_name(RUNS), list(runs.values()), key="run")


def write_means(path: AnyPath, tables: Sequence[Table]) -> None:
    """Writes one row of means per evaluation, and their images to `images.csv`."""
    images = [_image_cells(row) for row in tables[0]["images"]]
    means = [_head_cells(table) | _measurement_cells(table["mean"]) for table in tables]
    write_rows(path.with_name(IMAGES), images)
    write_rows(path, means)


def add_rows(path: AnyPath, rows: Sequence[Row], *, key: str) -> None:
    """Adds rows to a CSV file, in place of its rows with the same value of `key`."""
    replaced = {str(row[key]) for row in rows}
    kept = read_rows(path)
    write_rows(path, [*(row for row in kept if row[key] not in replaced), *rows])


def read_rows(path: AnyPath) -> list[dict[str, str]]:
    """Reads the rows of a CSV file; none if there is no such file."""
    if not path.is_file():
        return []
    return list(csv.DictReader(files.open_text(path), strict=True))


def write_rows(path: AnyPath, rows: Sequence[Row]) -> None:
    """Writes a CSV file with every column that has a value in any row."""
    columns = {
        name: None for row in rows for name, x in row.items() if x not in ("", None)
    }
    text = io.StringIO()
    writer = csv.DictWriter(
        text, list(columns), extrasaction="ignore", lineterminator="\n"
    )
    writer.writeheader()
    writer.writerows(rows)
    files.write_file(path, text.getvalue().encode())


def flatten(values: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    """Yields the leaves of nested settings with their dotted names."""
    if not isinstance(values, Mapping):
        yield name, values
        return
    for key, value in values.items():
        yield from flatten(value, f"{name}.{key}" if name else key)


def _read_tables(path: AnyPath) -> list[Table]:
    tables = []
    rows = [_typed(row) for row in read_rows(path)]
    if not rows:
        raise ValueError("no rows")
    runs = _read_runs(path.with_name(RUNS))
    only_means = "file" not in rows[0]
    image_rows = read_rows(path.with_name(IMAGES)) if only_means else []
    mean_images = [_image(_typed(row)) for row in image_rows]
    for head, group in itertools.groupby(rows, key=lambda row: _head(row, runs)):
        if only_means:
            images = mean_images
            means = [_measurements(row) for row in group]
        else:
            metrics = [
                ImageMetrics(**_image(row), **_measurements(row)) for row in group
            ]
            images = [dataclasses.asdict(row) for row in metrics]
            means = [measure.mean_metrics(metrics)]
        tables += [head | {"images": images, "mean": mean} for mean in means]
    return tables


@contextlib.contextmanager
def _user_errors(path: AnyPath) -> Iterator[None]:
    """Turns the errors of damaged files into a `UserError` that names the file."""
    try:
        yield
    except UserError:
        raise
    except (KeyError, TypeError, ValueError, AttributeError, csv.Error) as error:
        raise UserError(f"{path} is not a table of evaluations in CSV") from error


def _typed(row: Mapping[str, str]) -> dict[str, Any]:
    """Turns empty cells into None, and cells in columns of numbers into numbers."""
    return {
        name: _number(cell) if name in NUMBERS else cell or None
        for name, cell in row.items()
    }


def _number(cell: str) -> int | float | None:
    if cell == "":
        return None
    return int(cell) if cell.lstrip("-").isdigit() else float(cell)


def _head(row: Row, runs: Mapping[str, Row]) -> dict[str, Any]:
    """Returns the codec of a row, and the environment that it was measured in."""
    cells = {name: cell for name, cell in row.items() if name.startswith(ENVIRONMENT)}
    return {"model": _model(row, runs)} | _nest(cells)


def _head_cells(table: Row) -> dict[str, Any]:
    """Returns what every row of a result has: its codec and its environment."""
    environment = flatten(table.get(ENVIRONMENT) or {}, ENVIRONMENT)
    cells = {name: _to_cell(value) for name, value in environment}
    return _model_cells(table["model"]) | cells


def _model(row: Row, runs: Mapping[str, Row]) -> dict[str, Any]:
    """Returns the codec of a row as tables in JSON describe it."""
    if "codec" in row:
        return {name: row.get(name) for name in CLASSICAL}
    names = [name for name in TRAINED if row.get(name) is not None]
    model = {"path": row["model"]} | {name: row[name] for name in names}
    member = {field: row.get(name) for name, field in MEMBER.items()}
    if None not in member.values():
        model["member"] = member
    run = _run_of(row["model"] or "")
    return model | ({"run": runs[run]} if run in runs else {})


def _model_cells(model: Row) -> dict[str, Any]:
    if "codec" in model:
        return {name: _format_number(model.get(name)) for name in CLASSICAL}
    member = model.get("member") or {}
    return (
        {"model": model.get("path")}
        | {name: _format_number(member.get(field)) for name, field in MEMBER.items()}
        | {name: _format_number(model.get(name)) for name in TRAINED}
    )


def _run_of(model: str) -> str:
    """Returns the run of RUN@MEMBER."""
    run, _, member = model.rpartition("@")
    return run if member.isdigit() and run else model


def _read_runs(path: AnyPath) -> dict[str, dict[str, Any]]:
    """Returns the settings of each run, nested again."""
    return {row.pop("run"): _nest(row) for row in read_rows(path)}


def _nest(cells: Mapping[str, str | None]) -> dict[str, Any]:
    """Returns the values of cells by nested name; the inverse of `flatten`."""
    values: dict[str, Any] = {}
    for name, cell in cells.items():
        if not cell:
            continue
        *sections, field = name.split(".")
        section = values
        for key in sections:
            section = section.setdefault(key, {})
        section[field] = _from_cell(cell)
    return values


def _to_cell(setting: Any) -> str:
    """Writes a setting as JSON; text stays as it is unless it looks like JSON."""
    if isinstance(setting, str) and setting and _from_cell(setting) == setting:
        return setting
    return json.dumps(setting, ensure_ascii=False)


def _from_cell(cell: str) -> Any:
    try:
        return json.loads(cell)
    except ValueError:
        return cell


def _image(row: Row) -> dict[str, Any]:
    return {field: row[name] for name, field in IMAGE.items()}


def _measurements(row: Row) -> dict[str, Any]:
    return {field: row.get(name) for name, (field, _) in MEASUREMENTS.items()}


def _image_cells(row: Row) -> dict[str, Any]:
    return {name: row[field] for name, field in IMAGE.items()}


def _measurement_cells(row: Row) -> dict[str, str]:
    return {
        name: "" if row.get(field) is None else f"{row[field]:{form}}"
        for name, (field, form) in MEASUREMENTS.items()
    }


def _format_number(value: Any) -> Any:
    """Writes floats with nine digits at most; other values stay as they are."""
    return f"{value:.9g}" if isinstance(value, float) else value
