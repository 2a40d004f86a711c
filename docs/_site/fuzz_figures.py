"""Figures of fuzzing."""

import sys

from computed_figures import ROOT, Block

sys.path.append(str(ROOT / "fuzz"))

import run


def fuzzing() -> Block:
    """Returns how much each target was fuzzed."""
    return Block(
        table=run.comparison(),
        source=(
            "Executions of all runs, inputs in the corpus, and runs that ended with a "
            "failure, all of which are mended. Printed by `python fuzz/run.py`."
        ),
    )
