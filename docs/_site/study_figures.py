"""Figures of the study of the loss by branches, and of the paper's printed maps."""

import sys

from computed_figures import ROOT, Block

sys.path.append(str(ROOT / "results" / "branches"))

import bounds
import changes
import facts
import paper_maps


def branches() -> Block:
    """Returns what each arm of the study changed."""
    return Block(
        table=changes.comparison(),
        source=(
            "Change of bpp + λ MSE of whole images, and 95 % interval over the pairs. "
            "L, the share of offsets in it and v are means over the images of BSDS500 "
            "val. Printed by `python results/branches/changes.py`."
        ),
    )


def contrasts() -> Block:
    """Returns the changes by arms against other arms with the loss."""
    return Block(
        table=changes.contrasts(),
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
            "images; in parentheses what is saved beyond the row before, and in the "
            "last row beyond the network without neighbors. Printed by `python "
            "results/branches/bounds.py`."
        ),
    )


def codec_facts() -> Block:
    """Returns what the loss sees in trained codecs."""
    return Block(
        table=facts.comparison(),
        source="Printed by `python results/branches/facts.py`.",
    )


def printed_maps() -> Block:
    """Returns what the maps are worth that the paper's authors printed."""
    return Block(
        table=paper_maps.comparison(),
        source="Printed by `python results/branches/paper_maps.py`.",
    )
