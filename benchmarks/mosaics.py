"""Large images, and models with random parameters to code them."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from jaxcorr import images, saved_model
from jaxcorr.codec import CodecConfig, initialize
from jaxcorr.data import built_in
from jaxcorr.transforms.cheng import Cheng
from jaxcorr.transforms.minnen import Minnen
from jaxcorr.transforms.swin import Swin

RANDOM = {
    "minnen-128-192": Minnen(width=128, channels=192),
    "cheng-128": Cheng(width=128),
    "swin-m": Swin(),
}
"""Transforms of models with random parameters, for their time and memory alone."""


def write_mosaic(path: Path, megapixels: float) -> None:
    """Writes a photograph of 3:2, of some megapixels and sides divisible by 64."""
    height = round((megapixels * 1e6 / 1.5) ** 0.5 / 64) * 64
    width = round(1.5 * height / 64) * 64
    photograph, _ = images.read_image(built_in.held_out_paths()[1])
    tile = photograph.repeat(2, axis=0).repeat(2, axis=1)

    def mirrored(indices: np.ndarray, length: int) -> np.ndarray:
        within = indices % (2 * length)
        return np.where(within < length, within, 2 * length - 1 - within)

    def bands() -> Iterator[images.Picture]:
        columns = mirrored(np.arange(width), tile.shape[1])
        for first in range(0, height, 64):
            rows = mirrored(np.arange(first, first + 64), tile.shape[0])
            yield images.Picture(rgb=tile[rows][:, columns])

    with path.open("wb") as file:
        images.write_rows(file, path, height, bands())


def find_model(name: str, folder: Path) -> str:
    """Returns the path of a model, or of one with random parameters."""
    import jax  # Not by scripts that start processes with models of the package.

    path = folder / name
    if name in RANDOM and not path.exists():
        settings = CodecConfig(transforms=RANDOM[name])
        drawn = initialize(settings, jax.random.key(0))
        arrays = {key: np.asarray(value) for key, value in drawn.items()}
        saved_model.write_model(path, saved_model.make_model(settings, arrays))
    return str(path) if name in RANDOM else name
