"""Figures of fuzzing, of files across instruction sets, and of large images."""

import sys

from computed_figures import ROOT, Block

sys.path.append(str(ROOT / "fuzz"))

import budgets
import instruction_sets
import large_images
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


def large() -> Block:
    """Returns what coding images of several sizes takes."""
    return Block(
        table=large_images.comparison(),
        source=(
            "Printed by `python benchmarks/large_images.py --table "
            "benchmarks/large_images.csv` (2026-11-27, two CPU cores)."
        ),
    )


def limits() -> Block:
    """Returns what a limit of memory changes in a coded image."""
    return Block(
        table=budgets.comparison(),
        source=(
            "Against the same image without windows. Printed by `python "
            "benchmarks/budgets.py --table benchmarks/budgets.csv`."
        ),
    )


def exchange() -> Block:
    """Returns how files of each model travel between instruction sets."""
    return Block(
        table=instruction_sets.comparison(),
        source=(
            "The middle of two photographs, encoded on each side and decoded on the "
            "other. Printed by `python benchmarks/instruction_sets.py`."
        ),
    )
