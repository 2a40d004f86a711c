"""Measures what the correlation loss sees in a trained codec, without training it.

    python results/branches/facts.py KODAK NAME=MODEL…

keeps as `facts.csv` beside this script, and prints, for each codec on the photographs
of a folder:

- The share of the published loss that is the floor of a batch: the mean loss of batches
  of crops, less its unbiased estimate. Crops of 128 pixels have a window of 5, those of
  256 one of 7.
- The share of the squared correlations of all channels that the six strongest channels
  hold, and the share of negative ones among the correlations with the left and the
  upper neighbor.
- What changes if the photographs are coded as separate tiles of 128 pixels: bits of the
  latents, MSE and the correlation loss.

A model is called by the last part of its path unless a name is given. Without arguments
it prints what is kept.
"""

import dataclasses
import sys
from collections.abc import Sequence
from pathlib import Path

import bounds
import numpy as np
import records
from jaxtyping import Float, UInt8

from jaxcorr import correlation, correlation_variants
from jaxcorr.codec_output import CodecOutput
from jaxcorr.model import Model
from jaxcorr.report.tables import Table

TABLE = Path(__file__).resolve().parent / "facts.csv"
WINDOWS = {128: 5, 256: 7}
"""Window of the map for each size of crops."""
BATCHES = (1, 4, 16, 64)
STRONGEST, TILE, WINDOW = 6, 128, 7

Image = UInt8[np.ndarray, "h w 3"]
Maps = Float[np.ndarray, "n c k k"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Row:
    """A figure of one codec.

    Attributes:
      model: Name of the codec.
      fact: Description of the figure.
      percent: The figure, in percent.
    """

    model: str
    fact: str
    percent: float


def main(arguments: Sequence[str]) -> None:
    """Measures models where any are given, and prints all that were measured."""
    if arguments:
        folder, *models = arguments
        photographs = bounds.read_photographs(Path(folder))
        measured = [row for model in models for row in measure(photographs, model)]
        records.update(TABLE, measured)
    print(comparison().as_markdown())


def measure(photographs: Sequence[Image], argument: str) -> list[Row]:
    """Returns all figures of one codec."""
    name, model = bounds.load_named(argument)
    whole = model.analyze(photographs)
    facts = floor_shares(model, photographs)
    facts |= channel_shares(maps_of(whole, WINDOW))
    facts |= tile_changes(model, photographs, whole)
    return [
        Row(model=name, fact=fact, percent=round(100 * value, 2))
        for fact, value in facts.items()
    ]


def floor_shares(model: Model, photographs: Sequence[Image]) -> dict[str, float]:
    """Returns the share of the floor in the loss of a batch, for sizes of both.

    The expected loss of a batch is the unbiased loss and a floor that falls with the
    number of crops in it.
    """
    shares = {}
    for size, window in WINDOWS.items():
        crops = [tile for image in photographs for tile in tiles_of(image, size)]
        maps = maps_of(model.analyze(crops), window).mean(axis=1)
        single = float(np.mean(norm(maps)))
        unbiased = float(
            correlation_variants.unbiased_norm(
                norm(maps.mean(axis=0)), single, parts=len(maps)
            )
        )
        for batch in BATCHES:
            floor = (single - unbiased) / batch
            name = f"floor in the loss of {batch} x {size} pixels"
            shares[name] = floor / (unbiased + floor)
    return shares


def channel_shares(maps: Maps) -> dict[str, float]:
    """Returns how the correlations of single channels are distributed."""
    mean = maps.mean(axis=0)
    middle = WINDOW // 2
    correlations = mean / mean[:, middle, middle, None, None]
    squares = np.sort(norm(correlations))[::-1]
    beside = correlations[:, [middle, middle - 1], [middle - 1, middle]]
    return {
        f"squared correlations in {STRONGEST} channels": float(
            squares[:STRONGEST].sum() / squares.sum()
        ),
        "negative correlations with the left and upper neighbor": float(
            np.mean(beside < 0)
        ),
    }


def tile_changes(
    model: Model, photographs: Sequence[Image], whole: Sequence[CodecOutput]
) -> dict[str, float]:
    """Returns the changes if photographs are coded as separate tiles."""
    tiles = [tile for image in photographs for tile in tiles_of(image, TILE)]
    outputs = model.analyze(tiles)
    before, after = (
        totals(originals, coded)
        for originals, coded in ((photographs, whole), (tiles, outputs))
    )
    names = ("bits of y", "MSE", "correlation loss")
    return {
        f"{name} as tiles of {TILE} pixels": new / old - 1
        for name, old, new in zip(names, before, after, strict=True)
    }


def totals(
    originals: Sequence[Image], outputs: Sequence[CodecOutput]
) -> tuple[float, float, float]:
    """Returns bits of the latents, summed squared error, and the loss of one map.

    The window is the one that fits into a tile.
    """
    bits = sum(float(np.sum(output.latent_bits)) for output in outputs)
    error = sum(
        float(np.sum((255 * np.asarray(output.reconstruction) - image) ** 2))
        for image, output in zip(originals, outputs, strict=True)
    )
    maps = maps_of(outputs, WINDOWS[TILE]).mean(axis=1)
    positions = [positions_of(output) for output in outputs]
    return bits, error, float(norm(np.average(maps, axis=0, weights=positions)))


def positions_of(output: CodecOutput) -> int:
    """Returns the number of windows in the latents of an image."""
    height, width = output.latent.shape[:2]
    return (height - WINDOWS[TILE] + 1) * (width - WINDOWS[TILE] + 1)


def maps_of(outputs: Sequence[CodecOutput], window: int) -> Maps:
    """Returns the correlation map of each channel of each image."""
    return np.stack(
        [
            np.asarray(
                correlation.correlation_maps(
                    correlation.normalize(output.latent, output.mean, output.scale),
                    window=window,
                )
            )
            for output in outputs
        ]
    ).astype(np.float64)


def norm(maps: np.ndarray) -> np.ndarray:
    """Returns the squared norm of maps without their middle cell."""
    return np.asarray(correlation.masked_norm(maps, "point"), np.float64)


def tiles_of(image: Image, size: int) -> list[Image]:
    """Returns the whole tiles of an image."""
    rows, columns = (side // size for side in image.shape[:2])
    return [
        image[row * size : (row + 1) * size, column * size : (column + 1) * size]
        for row in range(rows)
        for column in range(columns)
    ]


def comparison() -> Table:
    """Returns the figures with a row for each and a column for each codec."""
    return records.by_model(
        records.read(TABLE, Row),
        "figure",
        name=lambda row: row.fact,
        cell=lambda row: f"{row.percent:.1f} %",
    )


if __name__ == "__main__":
    main(sys.argv[1:])
