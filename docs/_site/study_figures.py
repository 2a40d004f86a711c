"""Figures of the study of the loss by branches, and of the paper's printed maps."""

import sys

from computed_figures import ROOT, Block

sys.path.append(str(ROOT / "results" / "branches"))

import bounds
import changes
import paper_maps


def branches() -> Block:
    """Returns what each arm of the study changed."""
    return Block(
        table=changes.comparison(),
        source=(
            "Change of bpp + λ MSE of whole images, and 95 % interval over the pairs. "
            "Printed by `python results/branches/changes.py`."
        ),
    )


def bound() -> Block:
    """Returns what neighbors could still save in trained codecs."""
    return Block(
        table=bounds.comparison(),
        source=(
            "Share of the bits of the latents on Kodak, with the standard error over "
            "images. Printed by `python results/branches/bounds.py`."
        ),
    )


def printed_maps() -> Block:
    """Returns what the maps are worth that the paper's authors printed."""
    return Block(
        table=paper_maps.comparison(),
        source="Printed by `python results/branches/paper_maps.py`.",
    )
