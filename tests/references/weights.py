"""Random weights of CompressAI, what it makes of them, and the models that they become.

`make_compressai.py` wrote them, and says with what.
"""

import functools
from pathlib import Path

import numpy as np
from PIL import Image

from jaxcorr.interop import compressai

FOLDER = Path(__file__).parent
AUTOREGRESSIVE = "mbt2018", "cheng2020-anchor", "cheng2020-attn"
ARCHITECTURES = "mbt2018-mean", *AUTOREGRESSIVE


@functools.cache
def reference(architecture):
    """All arrays of a file."""
    with np.load(FOLDER / f"compressai-{architecture}.npz") as arrays:
        return dict(arrays)


def state_of(architecture):
    """A state dict as it is after reading."""
    return {
        name.removeprefix("state/"): array.astype(np.float32)
        for name, array in reference(architecture).items()
        if name.startswith("state/")
    }


@functools.cache
def imported(architecture):
    """The model of a state dict."""
    return compressai.convert(state_of(architecture), architecture)


def photograph():
    """Returns the image that CompressAI coded: [64, 128, 3], uint8."""
    with Image.open(FOLDER / "astronaut.png") as image:
        return np.asarray(image)
