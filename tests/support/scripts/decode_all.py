"""Decodes `FOLDER/*/photo.jxc` with the model beside each, to `decoded.npz` there.

python decode_all.py FOLDER
"""

import sys
from pathlib import Path

import numpy as np

from jaxcorr import run_directory
from jaxcorr.bitstream import coding
from jaxcorr.bitstream.container import Container


def main(folder):
    for file in sorted(Path(folder).glob("*/photo.jxc")):
        model = run_directory.load(file.parent / "model")
        container = Container.from_bytes(file.read_bytes(), str(file))
        image, latents = coding.decode(model, container)
        np.savez(
            file.parent / "decoded.npz",
            image=image,
            side_symbols=latents.side_symbols,
            symbols=latents.symbols,
            latent_hat=latents.latent_hat,
        )


if __name__ == "__main__":
    main(*sys.argv[1:])
