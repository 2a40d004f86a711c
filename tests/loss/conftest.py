"""Runs scripts in each Python that has TensorFlow.

These are the Python of the tests, and that of TensorFlow Compression, which is
incompatible with the JAX of the tests; `JAXCORR_TFC_PYTHON` names it.
"""

import importlib.util
import os
import subprocess
import sys

import numpy as np
import pytest
from support.paths import SCRIPTS

PYTHONS: dict[str, str | None] = {
    "TensorFlow Compression": os.environ.get("JAXCORR_TFC_PYTHON"),
    "this": sys.executable if importlib.util.find_spec("tensorflow") else None,
}


@pytest.fixture(scope="module", params=PYTHONS)
def run_tensorflow(request, tmp_path_factory):
    """Returns a function that runs an action of a script, in TensorFlow's Python."""
    python = PYTHONS[request.param]
    if python is None:
        pytest.skip(f"{request.param} Python has no TensorFlow, or is not named")
    folder = tmp_path_factory.mktemp("port")

    def run(script, action, **arrays):
        np.savez(folder / "in.npz", **arrays)
        path = SCRIPTS / script
        command = [python, path, action, folder / "in.npz", folder / "out.npz"]
        # In a folder outside of the clone, so that the installed package is imported.
        # An old XLA ends the process if it does not know one of the flags.
        environment = {k: v for k, v in os.environ.items() if k != "XLA_FLAGS"}
        process = subprocess.run(
            command, cwd=folder, env=environment, capture_output=True, text=True
        )
        assert process.returncode == 0, process.stderr
        with np.load(folder / "out.npz") as results:
            return dict(results)

    return run
