"""Measures what neighbors could still save in trained codecs.

    python results/branches/bounds.py KODAK demo@0 NAME=MODEL…

keeps the savings of `jaxcorr bound` as `bounds.csv` beside this script, with the closed
forms, and prints them. A model is called by the last part of its path unless a name is
given. Without arguments it prints what is kept.
"""

import dataclasses
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import records
from jaxtyping import UInt8

import jaxcorr
from jaxcorr import images
from jaxcorr.evaluation import image_set
from jaxcorr.model import Model
from jaxcorr.report.tables import Table

TABLE = Path(__file__).resolve().parent / "bounds.csv"
NUMBERS = ("percent", "error", "more_percent", "more_error")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Row:
    """The saving of one predictor in one codec.

    Attributes:
      model: Name of the model.
      context: Name of the codec's context model.
      predictor: Description of the predictor.
      percent: Saving, in percent of the bits of the latents.
      error: Standard error of the saving over images.
      more_percent: Saving beyond the predictor that this one is compared with.
      more_error: Its standard error.
    """

    model: str
    context: str
    predictor: str
    percent: float
    error: float
    more_percent: float | None = None
    more_error: float | None = None


def main(arguments: list[str]) -> None:
    """Measures models where any are given, and prints all that were measured."""
    if arguments:
        folder, *models = arguments
        photographs = read_photographs(Path(folder))
        measured = [row for model in models for row in measure(photographs, model)]
        records.update(TABLE, measured)
    print(comparison().as_markdown())


def read_photographs(folder: Path) -> list[UInt8[np.ndarray, "h w 3"]]:
    """Reads the images of a folder."""
    found = image_set.find_images([folder]).values()
    return [images.read_image(file)[0] for file in found]


def load_named(argument: str) -> tuple[str, Model]:
    """Returns the name and the model of `NAME=MODEL`, or of `MODEL` alone."""
    name, _, path = argument.rpartition("=")
    return name or Path(path).name, jaxcorr.load(path)


def measure(
    photographs: Sequence[UInt8[np.ndarray, "h w 3"]], argument: str
) -> list[Row]:
    """Returns the savings of all predictors and closed forms in one codec."""
    name, model = load_named(argument)
    outputs = model.analyze(photographs)
    bound = jaxcorr.bound(
        *(
            [np.asarray(getattr(output, name)) for output in outputs]
            for name in ("latent", "mean", "scale")
        )
    )
    return [
        Row(
            model=name,
            context=type(model.config.context).__name__,
            predictor=saving.title,
            **{
                name: round(value, 3)
                for name in NUMBERS
                if (value := getattr(saving, name)) is not None
            },
        )
        for saving in (*bound.savings, *bound.closed_forms)
    ]


def read() -> list[Row]:
    """Reads the kept savings."""
    return records.read(TABLE, Row)


def comparison() -> Table:
    """Returns the savings with a row for each predictor and a column for each codec."""
    return records.by_model(
        read(),
        "predictor",
        name=lambda row: row.predictor,
        cell=cell,
        title=lambda row: f"{row.model} ({row.context})",
    )


def cell(row: Row) -> str:
    """Returns a saving and, if it is compared with another one, what it adds to it."""
    more = ""
    if row.more_percent is not None:
        more = f" ({row.more_percent:+.2f} ± {row.more_error:.2f})"
    return f"{row.percent:.2f} ± {row.error:.2f}{more} %"


if __name__ == "__main__":
    main(sys.argv[1:])
