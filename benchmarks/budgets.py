"""Counts what a limit of memory changes in a coded image: symbols, and pixel levels.

    python benchmarks/budgets.py [-m MODEL…] [--megapixels 24] [--memory 1.5GB]

Each model codes the image of `large_images.py` without windows, and in the windows that
fit into the limit. The file without windows is decoded in both ways: its latents must
be equal, or the script fails. Prints the number of windows, the share of the encoder's
symbols that differ, and the share of pixels of the two pictures that differ by one
level, and by more. Rows that the table has are not measured again.
"""

import dataclasses
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import mosaics
import numpy as np
import tyro

from jaxcorr import images, run_directory, runtime
from jaxcorr.bitstream import coding, memory, rate_target
from jaxcorr.bitstream.container import VERSION
from jaxcorr.evaluation import csv_tables
from jaxcorr.model import Model
from jaxcorr.report.tables import Table

TABLE = Path(__file__).with_suffix(".csv")
COLUMNS: tuple[str, ...] = tuple(
    "model megapixels memory windows symbols differing pixels one_level more".split()
)
WHOLE = 2**40
"""Pixels of a window, and bytes of memory, that any image fits into."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Settings:
    """Models and an image to measure."""

    model: Annotated[tuple[str, ...], tyro.conf.arg(aliases=["-m"])] = ("demo",)
    """Models, or names of transforms with random parameters of `mosaics.py`."""
    megapixels: float = 24.0
    """Size of the image."""
    memory: str = "1.5GB"
    """Limit of memory that the image is coded with."""
    table: Path | None = None
    """CSV file to read and write."""


def main(settings: Settings) -> None:
    """Prints a row for each model."""
    runtime.retain_freed_memory()
    images.limit_megapixels(1000)
    rows: list[dict[str, Any]] = []
    if settings.table is not None:
        rows = [*csv_tables.read_rows(settings.table)]
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "image.png"
        mosaics.write_mosaic(path, settings.megapixels)
        image = images.read(path).rgb
        for codec in settings.model:
            keys = codec, f"{settings.megapixels:g}", settings.memory
            if keys in {tuple(row[key] for key in COLUMNS[:3]) for row in rows}:
                continue
            model = run_directory.load(mosaics.find_model(codec, Path(name)))
            counts = compare(model, image, settings.memory)
            rows.append(dict(zip(COLUMNS, (*keys, *counts), strict=True)))
            if settings.table is not None:
                csv_tables.write_rows(settings.table, rows)
    print(as_table(rows).as_markdown())


def compare(model: Model, image: np.ndarray, limit: str) -> tuple[Any, ...]:
    """Returns the last six columns for a model.

    Raises:
      AssertionError: If the latents of a file depend on the memory.
    """
    budget = rate_target.memory_limit(limit)
    windowed = coding.encode(model, image, memory=budget, keep_predictions=False)[1]
    plan = coding._planes(model, image.shape[:2], VERSION, budget).analysis
    largest, memory.LARGEST_WINDOW = memory.LARGEST_WINDOW, WHOLE
    try:
        file, latents = coding.encode(
            model, image, memory=WHOLE, keep_predictions=False
        )
        whole, _ = coding.decode(model, file, memory=WHOLE, keep_predictions=False)
    finally:
        memory.LARGEST_WINDOW = largest
    picture, decoded = coding.decode(model, file, memory=budget, keep_predictions=False)
    np.testing.assert_array_equal(decoded.latent_hat, latents.latent_hat)
    levels = np.abs(picture.astype(np.int16) - whole).max(-1)
    rows, columns = plan.windows
    return (
        len(rows) * len(columns),
        latents.symbols.size,
        np.count_nonzero(windowed.symbols != latents.symbols),
        levels.size,
        np.count_nonzero(levels == 1),
        np.count_nonzero(levels > 1),
    )


def comparison() -> Table:
    """Returns the table of the committed rows."""
    return as_table(csv_tables.read_rows(TABLE))


def as_table(rows: Sequence[Mapping[str, Any]]) -> Table:
    """Returns rows with shares in place of counts."""

    def share(row: Mapping[str, Any], part: str, whole: str) -> str:
        return f"{int(row[part])} ({int(row[part]) / int(row[whole]):.1e})"

    return Table(
        columns=(
            "model",
            "megapixels",
            "`--memory`",
            "windows",
            "other symbols",
            "pixels one level off",
            "pixels further off",
        ),
        rows=tuple(
            (
                *(str(row[name]) for name in COLUMNS[:4]),
                share(row, "differing", "symbols"),
                share(row, "one_level", "pixels"),
                share(row, "more", "pixels"),
            )
            for row in rows
        ),
    )


if __name__ == "__main__":
    with runtime.exit_on_user_error():
        main(tyro.cli(Settings))
