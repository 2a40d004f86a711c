"""Packs trained models as the ones that `-m demo` names.

    python results/demo/package.py MODEL…

The models are those that `train.py` wrote, in ascending order of rate. Paths in their
settings are reduced to their last names. The model card and the licence stay, and so
does a packaged model whose fingerprint is that of the given one.
"""

import dataclasses
import shutil
import sys
from pathlib import Path
from typing import Any

import jaxcorr
from jaxcorr import model_store, saved_model


def main(paths: list[str]) -> None:
    """Writes the packaged model folders, numbered from 0."""
    for number, path in enumerate(paths):
        model = jaxcorr.load(path)
        config = without_folders(model.provenance.config or {})
        known = dataclasses.replace(model.provenance, config=config)
        folder = model_store.PACKAGED_DEMO / str(number)
        if fingerprint_in(folder) != model.fingerprint:
            shutil.rmtree(folder, ignore_errors=True)
            new = dataclasses.replace(model, provenance=known)
            saved_model.write_model(folder, new)
        print(f"{folder.name}: {model.fingerprint.hex()}")


def fingerprint_in(folder: Path) -> bytes | None:
    """Returns the fingerprint of a model folder, or None if there is no such folder."""
    return jaxcorr.load(folder).fingerprint if folder.is_dir() else None


def without_folders(settings: Any) -> Any:
    """Returns settings with every path reduced to its last name."""
    if isinstance(settings, dict):
        return {name: without_folders(value) for name, value in settings.items()}
    if isinstance(settings, list | tuple):
        return [without_folders(value) for value in settings]
    if not isinstance(settings, str):
        return settings
    kind, colon, path = settings.rpartition(":")
    return f"{kind}{colon}{Path(path).name}"


if __name__ == "__main__":
    main(sys.argv[1:])
