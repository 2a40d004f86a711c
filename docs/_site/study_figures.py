"""Figures of the study of the loss by branches, and of the paper's printed maps."""

import sys

from computed_figures import ROOT, Block

sys.path.append(str(ROOT / "results" / "branches"))

import bounds
import changes
import facts
import from_scratch
import paper_maps

CHANGES = "Printed by `python results/branches/changes.py`."


def answer() -> Block:
    """Returns the answer of the study in short."""
    return Block(
        table=changes.answer(),
        source=(
            "Change of bpp + λ MSE by the loss on BSDS500 val, and 95 % interval over "
            f"the pairs. {CHANGES}"
        ),
    )


def branches() -> Block:
    """Returns what each arm of the study changed."""
    return Block(
        table=changes.comparison(),
        source=(
            "Change of bpp + λ MSE of whole images, and 95 % interval over the pairs. "
            "L, the share of offsets in it and v are means over the images of BSDS500 "
            f"val. {CHANGES}"
        ),
    )


def parts() -> Block:
    """Returns the changes of bits and MSE by the main arms."""
    return Block(
        table=changes.parts(),
        source=(
            "Kodak: means without the loss, changes with 95 % intervals over the "
            "pairs, and the standard error of the change of bpp + λ MSE over the "
            f"images. {CHANGES}"
        ),
    )


def checkpoints() -> Block:
    """Returns the changes by the main arms from each checkpoint."""
    return Block(
        table=changes.by_checkpoint(),
        source=f"Change of bpp + λ MSE from each checkpoint. {CHANGES}",
    )


def contrasts() -> Block:
    """Returns the changes by arms against other arms with the loss."""
    return Block(
        table=changes.contrasts(),
        source=(
            "Change of bpp + λ MSE of whole images, and 95 % interval over the pairs. "
            f"{CHANGES}"
        ),
    )


def bound() -> Block:
    """Returns what neighbors could still save in trained codecs."""
    return Block(
        table=bounds.comparison(),
        source=(
            "Share of the bits of the latents on Kodak, with the standard error over "
            "images. In parentheses is what is saved beyond the row before; by the "
            "network without neighbors beyond the first row, and by the network with "
            "all neighbors beyond that without. Printed by `python "
            "results/branches/bounds.py`."
        ),
    )


def codec_facts() -> Block:
    """Returns what the loss sees in trained codecs."""
    return Block(
        table=facts.comparison(),
        source="Printed by `python results/branches/facts.py`.",
    )


def scratch() -> Block:
    """Returns the change of the cost along runs from scratch."""
    return Block(
        table=from_scratch.comparison(),
        source=(
            "Change of bpp + λ MSE by the loss after so many steps, and steps to the "
            "higher one of both last costs, on 24 images of BSDS500 val. Printed by "
            "`python results/branches/from_scratch.py`."
        ),
    )


def printed_maps() -> Block:
    """Returns what the maps are worth that the paper's authors printed."""
    return Block(
        table=paper_maps.comparison(),
        source="Printed by `python results/branches/paper_maps.py`.",
    )
