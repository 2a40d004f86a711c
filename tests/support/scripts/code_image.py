"""Compresses and decompresses `image.npy` of a folder with the demo.

Prints the implementation of the range coder, and the SHA-256 of the file and of the
decoded pixels.
"""

import hashlib
import sys
from pathlib import Path

import numpy as np

import jaxcorr
from jaxcorr.bitstream import range_coder

model = jaxcorr.load("demo")
data = jaxcorr.compress(np.load(Path(sys.argv[1]) / "image.npy"), model)
pixels = jaxcorr.decompress(data, model)
print(range_coder.implementation())
for content in (data, pixels.tobytes()):
    print(hashlib.sha256(content).hexdigest())
