"""Figures of the ablation of the training recipe."""

import sys

from computed_figures import ROOT, Block

sys.path.append(str(ROOT / "results" / "recipe"))

import table


def recipe() -> Block:
    """Returns what each arm of the ablation of the recipe changed."""
    return Block(
        table=table.comparison(),
        source=(
            "Change of bpp + λ MSE of real files, with the standard error over images. "
            "Printed by `python results/recipe/table.py`."
        ),
    )


def curve() -> Block:
    """Returns the learning curves of jaxcorr and CompressAI."""
    return Block(
        table=table.learning_curve(),
        source=(
            "Mean of bpp + λ MSE of BSDS500's validation set, whole images, rounded "
            "latents. Printed by `python results/recipe/table.py`."
        ),
    )
