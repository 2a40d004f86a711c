"""Converts the correlation maps that the paper's authors printed to bits.

    python results/branches/paper_maps.py

The maps of 7x7 cells are those of Kodak's lighthouse (kodim21) with a Cheng hyperprior,
without the loss and with it: https://openreview.net/forum?id=1ihGy9vAIg. Numbers were
read off the authors' figure, which also prints the bits of the latents. A latent of
normalized variance v loses about 0.36 L / v² bits to correlation (see the docs);
v is not known, and 1 is what a calibrated entropy model has. Mean offsets of the
channels add the same pedestal to all cells, which is not correlation of neighbors. For
the printed maps it is estimated by the mean of the four corners, which also hold
correlation over three latents. Below are the hyperpriors of `study.py` on the same
photograph, whose offsets are known. The last column is the share of L that vanishes
without the pedestal or the offsets.
"""

import statistics
from collections.abc import Iterator

import numpy as np
import study
import whole_images

from jaxcorr.report.tables import Table

MAPS = {
    "without the loss": """
        .022 .023 .015 .022 .018 .017 .019
        .010 .007 .023 .021 .027 .029 .026
        .023 .033 .030 .042 .039 .030 .025
        .041 .051 .076    0 .076 .050 .043
        .024 .028 .032 .041 .026 .033 .025
        .025 .027 .023 .020 .022 .012 .012
        .015 .015 .014 .018 .018 .023 .018""",
    "with the loss": """
        .009 .009 .013 .013 .015 .013 .016
        .012 .010 .012 .018 .014 .017 .017
        .013 .014 .013 .016 .016 .015 .014
        .024 .023 .031    0 .032 .025 .027
        .010 .011 .012 .013 .011 .015 .014
        .010 .011 .008 .014 .009 .008 .012
        .008 .006 .008 .007 .009 .004 .006""",
}
LATENT_BPP = {"without the loss": 0.059, "with the loss": 0.057}
"""Bits of the latents per pixel, as printed."""
CHANNELS = 128
"""Width that is assumed for the paper: that of the reference models at low rates."""
KODIM21 = 20
"""Number of the photograph in Kodak."""
BITS_PER_LOSS = 0.36
PIXELS_PER_POSITION = 256
WINDOW = 7


def main() -> None:
    """Prints a table in Markdown."""
    print(comparison().as_markdown())


def comparison() -> Table:
    """Returns the loss of each map and of our codecs, and what it is worth in bits."""
    rows = [*printed_rows(), *our_rows()]
    return Table(
        columns=(
            "kodim21",
            "L",
            "v",
            "0.36 L / v², bits per latent",
            "of the bits of y",
            "of L from offsets",
        ),
        rows=tuple(rows),
    )


def printed_rows() -> Iterator[tuple[str, ...]]:
    """Yields what the authors printed."""
    for name, text in MAPS.items():
        cells = np.array(text.split(), dtype=float).reshape(WINDOW, WINDOW)
        bits = LATENT_BPP[name] * PIXELS_PER_POSITION / CHANNELS
        loss, pedestal = float(np.sum(cells**2)), float(cells[::6, ::6].mean())
        middle = WINDOW // 2
        others = np.delete(cells.ravel(), middle * WINDOW + middle)
        gone = 1 - float(np.sum((others - pedestal) ** 2)) / loss
        yield f"paper, {name}", *cells_of(loss, 1.0, bits), f"{gone:.0%}"


def our_rows() -> Iterator[tuple[str, ...]]:
    """Yields what our hyperpriors have, as means over the checkpoints."""
    for rate in study.WEIGHTS:
        tables = sorted(study.FOLDER.glob(f"none-*-{rate:g}-published/kodak.csv"))
        for weight, name in ((0.0, "without"), (1.0, "with")):
            found = [
                row
                for table in tables
                for row in whole_images.read(table)
                if row.image == KODIM21 and row.weight == weight
            ]
            loss = statistics.mean(row.correlation for row in found)
            variance = statistics.mean(row.normalized_square for row in found)
            bpp = statistics.mean(row.bpp_y for row in found)
            bits = bpp * PIXELS_PER_POSITION / study.TRANSFORMS.channels
            offset = 1 - statistics.mean(row.centered for row in found) / loss
            title = f"here, {name} the loss, {bpp:.2f} bpp"
            yield title, *cells_of(loss, variance, bits), f"{offset:.0%}"


def cells_of(loss: float, variance: float, bits: float) -> tuple[str, ...]:
    """Returns L, v, what L is worth, and its share of the bits of a latent."""
    worth = BITS_PER_LOSS * loss / variance**2
    return f"{loss:.4f}", f"{variance:.2f}", f"{worth:.4f}", f"{worth / bits:.1%}"


if __name__ == "__main__":
    main()
