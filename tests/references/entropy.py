"""Outputs of entropy models of TensorFlow Compression (TFC).

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


def assert_same_bits(what, found, expected):
    """Holds sums of bits to 1e-5 of each other, and prints how far they are apart."""
    error = np.max(np.abs(np.asarray(found) / expected - 1))
    print(f"bits of {what}: equal to {error:.0e} of their sum")
    assert error <= 1e-5
