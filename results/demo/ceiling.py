"""Prints the PSNR that a number of channels can hold, by principal components.

    python results/demo/ceiling.py KODAK

Blocks of 16x16 pixels have 768 values, and a codec with a stride of 16 has one latent
in each channel for a block. The best linear transform of blocks to M values keeps their
M first principal components, here without quantization. Overlapping and nonlinear
transforms can do better, but not by much.
"""

from pathlib import Path

import numpy as np
import tyro
from jaxtyping import Float

from jaxcorr import images
from jaxcorr.transforms.base import LATENT_STRIDE

CHANNELS = (64, 96, 128, 192, 320)


def main(photographs: tyro.conf.Positional[Path]) -> None:
    """Prints a line for each number of channels."""
    paths = sorted(photographs.glob("*.png"))
    blocks = [blocks_of(images.read_image(path)[0]) for path in paths]
    covariance = np.mean([block.T @ block / len(block) for block in blocks], axis=0)
    _, components = np.linalg.eigh(covariance)
    for channels in CHANNELS:
        left = components[:, :-channels]
        errors = [np.sum((block @ left) ** 2) / block.size for block in blocks]
        psnr = [10 * np.log10(255**2 / error) for error in errors]
        print(f"{channels} channels: {np.mean(psnr):.1f} dB")


def blocks_of(image: np.ndarray) -> Float[np.ndarray, "n 768"]:
    """Returns the blocks of an image without their mean over the image."""
    side = LATENT_STRIDE
    rows, columns = (size // side for size in image.shape[:2])
    cut = image[: rows * side, : columns * side].astype(np.float64)
    grid = cut.reshape(rows, side, columns, side, 3).transpose(0, 2, 1, 3, 4)
    blocks = grid.reshape(rows * columns, -1)
    return blocks - blocks.mean(axis=0)


if __name__ == "__main__":
    tyro.cli(main)
