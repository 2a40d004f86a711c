"""Fills tables of measured figures into Markdown, so that none is typed twice.

    python docs/_site/figures.py            rewrites the blocks of all pages in place
    python docs/_site/figures.py --check    names each block that is stale, and exits 1

A block is everything between the lines `<!-- figures: NAME -->` and
`<!-- end of figures -->` of a Markdown file in `docs` or in `PAGES`. NAME is

- a table of `benchmarks/figures.csv`, which holds one figure a row: the name of the
  table, what its rows are, the row and the column of the figure, its value (a number, a
  fraction, or a range as in `14 to 19`), its unit, the command that prints it, the day
  on which it was committed, and the machine (nothing, if any machine gives the same);
- or one of `COMPUTED`, whose figures come from other committed results: the study of
  the loss (`results/kodak`) and programs compiled for TPUs (`benchmarks/tpu_aot`).

To change a figure, change the table that it comes from and run this script.
"""

import argparse
import csv
import functools
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import computed_figures
import fuzz_figures
import recipe_figures
import study_figures
import tpu_figures
from computed_figures import Block

from jaxcorr.report.tables import Table

ROOT = Path(__file__).resolve().parents[2]
CSV = ROOT / "benchmarks" / "figures.csv"
COLUMNS = tuple("table kind row column value unit command date machine".split())
PAGES = (
    "README.md",
    "benchmarks/*.md",
    "jaxcorr/demo/*.md",
    "results/*.md",
    "results/kodak/*.md",
    "results/recipe/*.md",
)
"""Pages outside `docs` that may have blocks, as patterns of paths."""

COMPUTED: Mapping[str, Callable[[], Block]] = {
    "bound": study_figures.bound,
    "branches": study_figures.branches,
    "branch_checkpoints": study_figures.checkpoints,
    "branch_contrasts": study_figures.contrasts,
    "branch_parts": study_figures.parts,
    "budgets": fuzz_figures.limits,
    "codec_facts": study_figures.codec_facts,
    "demo": computed_figures.demo,
    "demo_rates": computed_figures.demo_rates,
    "fuzzing": fuzz_figures.fuzzing,
    "instruction_sets": fuzz_figures.exchange,
    "large_images": fuzz_figures.large,
    "learning_curve": recipe_figures.curve,
    "loss": computed_figures.loss,
    "printed_maps": study_figures.printed_maps,
    "recipe": recipe_figures.recipe,
    "scratch": study_figures.scratch,
    "study_answer": study_figures.answer,
    **tpu_figures.FIGURES,
}
"""Blocks whose figures are computed from other committed results, by name."""

_BLOCK = re.compile(
    r"^(?P<start><!-- figures: (?P<name>\S+) -->\n)(?P<content>.*?)"
    r"^(?P<end><!-- end of figures -->)$",
    re.DOTALL | re.MULTILINE,
)
_MARK = re.compile(r"^<!-- (?:figures: \S+|end of figures) -->$", re.MULTILINE)
_VALUE = re.compile(r"\d+(\.\d+)?((/| to )\d+(\.\d+)?)?")

Row = Mapping[str, str]


class FiguresError(Exception):
    """A table or a block that cannot be read, or a block that is unknown or stale."""


def main() -> None:
    """Rewrites the blocks of all pages, or checks them."""
    parser = argparse.ArgumentParser(description="Fills figures into pages.")
    parser.add_argument("--check", action="store_true", help="write no page")
    check = parser.parse_args().check
    try:
        stale = update(pages(), write=not check)
    except FiguresError as error:
        sys.exit(f"error: {error}")
    if check and stale:
        sys.exit("\n".join([*stale, "run python docs/_site/figures.py"]))


def pages() -> list[Path]:
    """Returns the Markdown files that may have blocks."""
    patterns = ("docs/**/*.md", *PAGES)
    return sorted(path for pattern in patterns for path in ROOT.glob(pattern))


def update(paths: Sequence[Path], *, write: bool) -> list[str]:
    """Renders the blocks of pages, and returns one line for each that was stale.

    Args:
      paths: Markdown files.
      write: Whether to rewrite the pages that have stale blocks.

    Raises:
      FiguresError: If a block has no end or an unknown name, or a table is damaged.
    """
    stale = []
    for path in paths:
        text = path.read_text(encoding="utf-8")
        name = path.relative_to(ROOT) if path.is_relative_to(ROOT) else path
        marks, blocks = _MARK.findall(text), list(_BLOCK.finditer(text))
        if len(marks) != 2 * len(blocks):
            raise FiguresError(f"{name}: a block of figures has no start or no end")
        stale += [
            f"{name}: block {block['name']} is stale"
            for block in blocks
            if block["content"] != render(block["name"])
        ]
        if write:
            filled = _BLOCK.sub(
                lambda block: block["start"] + render(block["name"]) + block["end"],
                text,
            )
            if filled != text:
                path.write_text(filled, encoding="utf-8")
    return stale


@functools.cache
def render(name: str) -> str:
    """Returns the Markdown of a block: a table, and a line that says its source.

    Raises:
      FiguresError: If there is no such block, or its table is damaged.
    """
    if name in COMPUTED:
        block = COMPUTED[name]()
    else:
        rows = [row for row in read_figures(CSV) if row["table"] == name]
        if not rows:
            names = sorted({*COMPUTED, *(row["table"] for row in read_figures(CSV))})
            raise FiguresError(f"no figures named {name}; there are {', '.join(names)}")
        block = Block(table=_pivot(rows), source=_source(rows))
    return f"\n{block.table.as_markdown()}\n\n{block.source}\n\n"


def read_figures(path: Path) -> Sequence[Row]:
    """Reads a table of figures.

    Raises:
      FiguresError: If a value is not a number, a figure has no command, a figure is
        there twice, or a table has several commands.
    """
    with path.open(encoding="utf-8", newline="") as file:
        reader = csv.DictReader(file, strict=True)
        rows = list(reader)
        if tuple(reader.fieldnames or ()) != COLUMNS:
            raise FiguresError(f"{path.name} must have the columns {COLUMNS}")
    sources: dict[str, str] = {}
    keys = set()
    for row in rows:
        key = row["table"], row["row"], row["column"]
        if not _VALUE.fullmatch(row["value"]):
            raise FiguresError(f"{key}: {row['value']!r} is not a number")
        if key in keys:
            raise FiguresError(f"{key} is there twice")
        keys.add(key)
        source = _source([row])
        if not row["command"] or sources.setdefault(row["table"], source) != source:
            raise FiguresError(f"{key}: a table has one command, date and machine")
    return rows


def _pivot(rows: Sequence[Row]) -> Table:
    """Returns a table with the units in its header, or in each cell if they differ."""
    names = list(dict.fromkeys(row["row"] for row in rows))
    columns = list(dict.fromkeys(row["column"] for row in rows))
    units = {
        column: {row["unit"] for row in rows if row["column"] == column}
        for column in columns
    }
    shared = set().union(*units.values())
    is_shared = len(shared) == 1 and len(columns) > 1

    def cell(row: Row) -> str:
        unit = row["unit"] if len(units[row["column"]]) > 1 else ""
        return f"{row['value']} {unit}".strip()

    def header(text: str, units: set[str], *, has_unit: bool) -> str:
        unit = next(iter(units))
        return f"{text} ({unit})" if has_unit and unit and len(units) == 1 else text

    cells = {(row["row"], row["column"]): cell(row) for row in rows}
    return Table(
        columns=(
            header(rows[0]["kind"], shared, has_unit=is_shared),
            *(header(name, units[name], has_unit=not is_shared) for name in columns),
        ),
        rows=tuple(
            (name, *(cells.get((name, column), "") for column in columns))
            for name in names
        ),
    )


def _source(rows: Sequence[Row]) -> str:
    row = rows[0]
    machine = f", {row['machine']}" if row["machine"] else ""
    return f"Printed by `{row['command']}` ({row['date']}{machine})."


if __name__ == "__main__":
    main()
