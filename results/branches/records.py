"""Figures as dataclasses, which are kept as the rows of CSV files."""

import dataclasses
import typing
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol, TypeVar

from jaxcorr.evaluation import csv_tables
from jaxcorr.report.tables import Table

Record = TypeVar("Record")


class OfModel(Protocol):
    """A figure of a model."""

    @property
    def model(self) -> str:
        """Name of the model."""
        ...


Figure = TypeVar("Figure", bound=OfModel)


def read(path: Path, kind: type[Record]) -> list[Record]:
    """Reads records of a kind; none if there is no such file.

    The fields of a record are of type `str`, `int` or `float`, or an optional one.
    """
    types = {
        name: (typing.get_args(hint) or (hint,))[0]
        for name, hint in typing.get_type_hints(kind).items()
    }
    return [
        kind(**{name: types[name](cell) for name, cell in row.items() if cell})
        for row in csv_tables.read_rows(path)
    ]


def write(path: Path, records: Sequence[Any]) -> None:
    """Writes records, of which there is at least one."""
    csv_tables.write_rows(path, [dataclasses.asdict(record) for record in records])


def update(path: Path, figures: Sequence[Figure]) -> None:
    """Adds figures to those of other models; new ones of a model replace old ones."""
    measured = {figure.model for figure in figures}
    kept = read(path, type(figures[0]))
    write(path, [*(x for x in kept if x.model not in measured), *figures])


def by_model(
    figures: Sequence[Figure],
    first: str,
    *,
    name: Callable[[Figure], str],
    cell: Callable[[Figure], str],
    title: Callable[[Figure], str] = lambda figure: figure.model,
) -> Table:
    """Returns a table with a row for each name and a column for each model.

    Args:
      figures: The figures, in the order of rows and columns.
      first: Title of the first column.
      name: Name of a figure, in the first column.
      cell: Text of a figure.
      title: Title of the column of a figure.
    """
    titles = {figure.model: title(figure) for figure in figures}
    cells = {(name(figure), figure.model): cell(figure) for figure in figures}
    return Table(
        columns=(first, *titles.values()),
        rows=tuple(
            (row, *(cells.get((row, model), "-") for model in titles))
            for row in dict.fromkeys(name(figure) for figure in figures)
        ),
    )
