"""Random codecs, and images, that are quick to make."""

import jax
import numpy as np

from jaxcorr import codec, model_folder
from jaxcorr.transforms.minnen import Minnen

GAINS = {
    "analysis/layers/6": 4,
    "hyper_analysis/layers/4": 16,
    "synthesis/layers/6": 0.3,
}
"""What makes random kernels give latents of a useful size."""

CONSTANTS = {"beta_root": 1.0, "matrices": -1.0, "biases": 0.3}


def make_model(*, width=8, channels=12):
    """A random codec that codes like a trained one: few latents are 0, scales vary."""
    settings = codec.CodecSettings(transforms=Minnen(width=width, channels=channels))
    shapes = jax.eval_shape(lambda: codec.initialize(settings, jax.random.key(0)))
    rng = np.random.default_rng(0)
    # Drawn by NumPy: to compile the initialization takes longer than most tests.
    parameters = {name: _draw(name, x.shape, rng) for name, x in shapes.items()}
    for name, gain in GAINS.items():
        parameters[f"transforms/{name}/kernel"] *= np.float32(gain)
    parameters["transforms/hyper_synthesis/layers/4/bias"][:channels] = (
        2.5  # Of scales.
    )
    parameters["transforms/synthesis/layers/6/bias"][:] = 0.5
    return model_folder.make_model(settings, parameters, about={"step": 7})


def blocks(height, width, seed=0):
    """An image of flat blocks of random colors."""
    colors = np.random.default_rng(seed).integers(0, 256, (32, 32, 3), np.uint8)
    rows, columns = np.arange(height) // 8 % 32, np.arange(width) // 8 % 32
    return colors[rows][:, columns]


def _draw(name, shape, rng):
    if name.endswith("kernel"):
        return rng.normal(0, np.prod(shape[:-1]) ** -0.5, shape).astype(np.float32)
    if name.endswith("gamma_root"):
        return np.eye(*shape, dtype=np.float32) / 3
    value = next((v for key, v in CONSTANTS.items() if key in name), 0.0)
    return np.full(shape, value, np.float32)
