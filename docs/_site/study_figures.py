"""Figures of the study of the loss by branches, and of the paper's printed maps."""

import sys

from computed_figures import ROOT, Block

sys.path.append(str(ROOT / "results" / "branches"))

import bounds
import changes
import facts
import from_scratch
import paper_maps

from jaxcorr.report.tables import Table


def answer() -> Block:
    """Returns the answer of the study in short."""
    return _changes(
        changes.answer(),
        "Change of bpp + λ MSE by the loss on BSDS500 val, and 95 % interval over the "
        "pairs.",
    )


def branches() -> Block:
    """Returns what each arm of the study changed."""
    return _changes(
        changes.comparison(),
        "Change of bpp + λ MSE of whole images, and 95 % interval over the pairs. L, "
        "the share of offsets in it and v are means over the images of BSDS500 val.",
    )


def parts() -> Block:
    """Returns the changes of bits and MSE by the main arms."""
    return _changes(
        changes.parts(),
        "Kodak: means without the loss, changes with 95 % intervals over the pairs, "
        "and the standard error of the change of bpp + λ MSE over the images.",
    )


def checkpoints() -> Block:
    """Returns the changes by the main arms from each checkpoint."""
    return _changes(
        changes.by_checkpoint(), "Change of bpp + λ MSE from each checkpoint."
    )


def contrasts() -> Block:
    """Returns the changes by arms against other arms with the loss."""
    return _changes(
        changes.contrasts(),
        "Change of bpp + λ MSE of whole images, and 95 % interval over the pairs.",
    )


def _changes(table: Table, description: str) -> Block:
    """Returns a block with a table of `changes.py`."""
    source = f"{description} Printed by `python results/branches/changes.py`."
    return Block(table=table, source=source)


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
