"""CoDeX from its two homes: the release of 2022, and the repository balle-lab/codex."""

import importlib
import importlib.util
import os
import sys

import pytest

HOMES = "installed", "checkout"
CHECKOUT = "JAXCORR_CODEX"
"""Variable with the folder of a checkout of balle-lab/codex, which no registry has."""


def import_with_codex(home, monkeypatch, name):
    """Imports a module that imports CoDeX, from one of its homes; skips without it."""
    if home == "checkout":
        folder = os.environ.get(CHECKOUT)
        if folder is None:
            pytest.skip(f"{CHECKOUT} names no checkout of balle-lab/codex: not tested")
        if sys.version_info < (3, 12):
            pytest.skip("balle-lab/codex needs Python 3.12: not tested")
        monkeypatch.syspath_prepend(folder)
    for loaded in list(sys.modules):
        if loaded.partition(".")[0] in ("codex", name):
            monkeypatch.delitem(sys.modules, loaded)
    if importlib.util.find_spec("codex") is None:
        pytest.skip("CoDeX is not installed: pip install --no-deps jax-codex==0.0.1")
    return importlib.import_module(name)
