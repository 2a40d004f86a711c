"""What entropy models of TensorFlow Compression (TFC) gave.

`make_tensorflow_compression.py` wrote it; `versions` in the file says with what.
"""

from pathlib import Path

import numpy as np

SCRIPT = Path(__file__).with_name("make_tensorflow_compression.py")
PRIORS = {
    "default": (3, 3),
    "codex": (3, 3, 3),
    "compressai": (3, 3, 3, 3),
    "uneven": (2, 5),
    "logistic": (),
}
"""Hidden widths of the factorized priors."""

with np.load(Path(__file__).with_name("tensorflow_compression.npz")) as arrays:
    FOUND = dict(arrays)


def group(name):
    """Arrays whose names start so."""
    start = f"{name}/"
    return {k.removeprefix(start): a for k, a in FOUND.items() if k.startswith(start)}
