"""Converts the correlation maps that the paper's authors printed to bits.

    python results/branches/paper_maps.py

The maps of 7x7 cells are those of Kodak's lighthouse (kodim21) with a Cheng hyperprior,
without the loss and with it: https://openreview.net/forum?id=1ihGy9vAIg. Numbers were
read off the authors' figure, which also prints the bits of the latents. A latent of
normalized variance v loses about 0.36 L / v² bits to correlation (see the docs);
v is not known, and 1 is what a calibrated entropy model has. A pedestal is what all
cells share: a mean offset of the latents, not correlation of neighbors. It is estimated
by the mean of the four corners.
"""

import numpy as np

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
"""Width that is assumed: the one of the reference models at low rates."""
BITS_PER_LOSS = 0.36
PIXELS_PER_POSITION = 256
WINDOW = 7


def main() -> None:
    """Prints a table in Markdown."""
    print(comparison().as_markdown())


def comparison() -> Table:
    """Returns the loss of each map, and what it is worth in bits."""
    rows = []
    for name, text in MAPS.items():
        cells = np.array(text.split(), dtype=float).reshape(WINDOW, WINDOW)
        bits = LATENT_BPP[name] * PIXELS_PER_POSITION / CHANNELS
        loss, pedestal = float(np.sum(cells**2)), float(cells[::6, ::6].mean())
        shared = (WINDOW**2 - 1) * pedestal**2 / loss
        worth = BITS_PER_LOSS * loss
        rows.append(
            (
                name,
                f"{loss:.4f}",
                f"{worth:.4f}",
                f"{100 * worth / bits:.1f} %",
                f"{100 * shared:.0f} %",
            )
        )
    return Table(
        columns=(
            "printed map",
            "L",
            "bits per latent (v = 1)",
            f"of the bits of y ({CHANNELS} channels)",
            "L of the pedestal alone",
        ),
        rows=tuple(rows),
    )


if __name__ == "__main__":
    main()
