"""Encodes or decodes with the Python and JAX that run this script.

python portable.py encode MODEL IMAGE FILE LATENTS
python portable.py decode MODEL IMAGE FILE LATENTS [FILE LATENTS]…
"""

import sys
from pathlib import Path

import numpy as np

from jaxcorr import images, run_directory
from jaxcorr.bitstream import coding
from jaxcorr.bitstream.container import Arithmetic, Container


def main(action, folder, photograph, *files):
    model = run_directory.load(folder)
    image, _ = images.read_image(Path(photograph))
    _, fast = coding.encode(model, image, arithmetic=Arithmetic.FAST)
    for file, latents in zip(files[::2], files[1::2], strict=True):
        if action == "encode":
            container, decoded = coding.encode(model, image)
            Path(file).write_bytes(container.to_bytes())
        else:
            container = Container.from_bytes(Path(file).read_bytes(), file)
            _, decoded = coding.decode(model, container)
        np.savez(
            latents,
            side_symbols=decoded.side_symbols,
            symbols=decoded.symbols,
            latent_hat=decoded.latent_hat,
            scale=decoded.scale,
            fast_scale=fast.scale,
        )


if __name__ == "__main__":
    main(*sys.argv[1:])
