"""Packs a model of the study as the one that `-m demo` names.

python results/make_demo.py RUN@MEMBER
"""

import dataclasses
import sys
from pathlib import Path

import experiments

import jaxcorr
from jaxcorr import files, run_directory, saved_model

CARD = "README.md"


def main(path: str) -> None:
    """Writes the packaged model folder; its card stays."""
    folder = Path(jaxcorr.__file__).parent / run_directory.DEMO
    model = run_directory.load(path, checkpoint="newest")
    config = experiments.without_folders(model.provenance.config or {})
    known = dataclasses.replace(model.provenance, config=config)
    card = (folder / CARD).read_bytes()
    saved_model.write_model(folder, dataclasses.replace(model, provenance=known))
    files.write_file(folder / CARD, card)


if __name__ == "__main__":
    main(*sys.argv[1:])
