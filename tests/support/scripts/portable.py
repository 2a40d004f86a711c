"""Codes and decodes with whatever Python and JAX run it.

python portable.py encode MODEL IMAGE FILE LATENTS
python portable.py decode MODEL IMAGE FILE LATENTS
"""

import sys
from pathlib import Path

import numpy as np

from jaxcorr import images, run_directory
from jaxcorr.bitstream import coding
from jaxcorr.bitstream.container import Arithmetic, Container


def main(action, folder, photograph, file, latents):
    model = run_directory.load(folder)
    image, _ = images.read_image(Path(photograph))
    if action == "encode":
        container, found = coding.encode(model, image)
        Path(file).write_bytes(container.to_bytes())
    else:
        container = Container.from_bytes(Path(file).read_bytes(), file)
        _, found = coding.decode(model, container)
    _, fast = coding.encode(model, image, arithmetic=Arithmetic.FAST)
    np.savez(
        latents,
        side_symbols=found.side_symbols,
        symbols=found.symbols,
        latent_hat=found.latent_hat,
        scale=found.scale,
        fast_scale=fast.scale,
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
