"""Runs ONNX exports as their READMEs describe, without JAX.

Reads the photographs `FOLDER/*/photograph.npy`, runs the export `export` beside each,
and writes its outputs to `found.npz` there.

python run_onnx.py FOLDER
"""

import contextlib
import re
import sys
from pathlib import Path

import numpy as np


def main(folder):
    for given in sorted(Path(folder).glob("*/photograph.npy")):
        with contextlib.chdir(given.parent / "export"):
            (code,) = re.findall(
                r"```python\n(.*?)```", Path("README.md").read_text(), re.DOTALL
            )
            readme = {}
            exec(code, readme)
            reconstruction, bits = readme["evaluate"](np.load(given))
        path = given.with_name("found.npz")
        np.savez(path, reconstruction=reconstruction, bits=bits)
    assert not {"jaxcorr", "jax"} & set(sys.modules)


if __name__ == "__main__":
    main(sys.argv[1])
