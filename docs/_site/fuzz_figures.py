"""Figures of fuzzing, and of files across instruction sets."""

import sys

from computed_figures import ROOT, Block

sys.path.append(str(ROOT / "fuzz"))

import instruction_sets
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


def exchange() -> Block:
    """Returns how files of each model travel between instruction sets."""
    return Block(
        table=instruction_sets.comparison(),
        source=(
            "The middle of a photograph, or of two, encoded on each side and decoded "
            "on the other. Printed by `python benchmarks/instruction_sets.py`."
        ),
    )
