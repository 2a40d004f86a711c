"""Measures what the border of images costs, by format and by which latents are coded.

    python benchmarks/border.py KODAK MODEL …

Codes a crop of each photograph, with odd sides from 97 to 351 pixels, in several ways:
in format 1, whose networks see the canvas; in format 2, which codes the latents over
the image and repeats the last of them beyond it; and in variants of format 2, which
differ in what is coded, in what the synthesis sees beyond the image, or in the padding.
CompressAI codes all latents of the padded image.

Prints CSV: the bytes of all files; the PSNR of all pixels, and of those within 16
pixels of the right or bottom border; and the change of the rate-distortion cost against
format 1, in percent, at the λ of the model. `border.csv` holds what it printed for the
demo and for a Minnen 64/96 with checkerboard.
"""

import csv
import math
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
from jaxtyping import UInt8

from jaxcorr import images, ops, run_directory, runtime, windowed_codec
from jaxcorr.bitstream import coding, pictures
from jaxcorr.metrics.image_quality import psnr_from_mse
from jaxcorr.model import Model
from jaxcorr.transforms.base import SIDE_STRIDE

Image = UInt8[np.ndarray, "_ _ 3"]
BORDER = 16
"""Width of the border in pixels, which is that of a latent."""
SIDES = (97, 353)
"""Range of the sides of crops, in pixels; they are odd."""
FIELDS = ["model", "way", "bytes", "psnr_db", "border_psnr_db", "cost_percent"]


def code(model: Model, image: Image, *, version: int = 2) -> tuple[int, Image]:
    """Returns the bytes of a file, and the decoded image."""
    container, latents = coding.encode(model, image, version=version)
    decoded = coding.reconstruct(model, latents, *image.shape[:2], version=version)
    return len(container.to_bytes()), decoded


def code_format_1(model: Model, image: Image) -> tuple[int, Image]:
    """Codes the latents over the image, on the canvas."""
    return code(model, image, version=1)


def code_with_zeros(model: Model, image: Image) -> tuple[int, Image]:
    """Shows the synthesis zeros beyond the latents over the image."""
    with mock.patch.object(pictures, "BEYOND_IMAGE", "constant"):
        return code(model, image)


def code_mirrored(model: Model, image: Image) -> tuple[int, Image]:
    """Pads the image by its mirror image."""
    with mock.patch.object(windowed_codec, "BEYOND_PIXELS", "symmetric"):
        return code(model, image)


def code_8_pixels_more(model: Model, image: Image) -> tuple[int, Image]:
    """Codes also the latents over 8 pixels of padding at each side."""
    height, width = image.shape[:2]
    size, decoded = code(model, pad(image, height + 8, width + 8))
    return size, decoded[:height, :width]


def code_all(model: Model, image: Image) -> tuple[int, Image]:
    """Codes all latents of the padded image, then crops the decoded image."""
    height, width = image.shape[:2]
    sides = (ops.round_up(side, SIDE_STRIDE) for side in (height, width))
    size, decoded = code(model, pad(image, *sides))
    return size, decoded[:height, :width]


def pad(image: Image, height: int, width: int, *, mode: Any = "edge") -> Image:
    """Pads an image at the bottom and the right."""
    rows, columns = height - image.shape[0], width - image.shape[1]
    return np.pad(image, [(0, rows), (0, columns), (0, 0)], mode=mode)


WAYS = {
    "format 1": code_format_1,
    "format 2": code,
    "zeros beyond the coded latents": code_with_zeros,
    "mirrored padding": code_mirrored,
    "latents of 8 pixels more": code_8_pixels_more,
    "all latents of the padded image": code_all,
}


def crop(image: Image, rng: np.random.Generator) -> Image:
    """Returns a random crop with odd sides."""
    height, width = (2 * int(side) + 1 for side in rng.integers(*SIDES, 2) // 2)
    row, column = (
        int(rng.integers(0, side - length + 1))
        for side, length in zip(image.shape[:2], (height, width), strict=True)
    )
    return image[row : row + height, column : column + width]


def measure(model: Model, crops: Sequence[Image]) -> list[dict[str, float | str]]:
    """Returns a row of the table for each way."""
    member = model.provenance.member
    rate_weight = member.distortion_weight if member else math.nan
    rows: list[dict[str, float | str]] = []
    costs: list[float] = []
    for name, way in WAYS.items():
        total, cost, pixels, borders = 0, 0.0, [], []
        for image in crops:
            size, decoded = way(model, image)
            squares = (decoded.astype(np.float64) - image) ** 2
            total += size
            cost += 8 * size + rate_weight * squares.sum() / 3
            pixels.append(squares.ravel())
            borders += [squares[-BORDER:].ravel(), squares[:-BORDER, -BORDER:].ravel()]
        costs.append(cost)
        psnr, border = (
            float(psnr_from_mse(np.concatenate(parts).mean()))
            for parts in (pixels, borders)
        )
        rows.append(
            {
                "model": model.config.describe(),
                "way": name,
                "bytes": total,
                "psnr_db": f"{psnr:.3f}",
                "border_psnr_db": f"{border:.3f}",
                "cost_percent": f"{100 * (cost / costs[0] - 1):+.2f}",
            }
        )
    return rows


def main(photographs: Path, paths: Sequence[str]) -> None:
    """Prints the rows of all models."""
    rng = np.random.default_rng(0)
    crops = [
        crop(images.read_image(path)[0], rng)
        for path in images.find_images(photographs)
    ]
    writer = csv.DictWriter(sys.stdout, FIELDS, lineterminator="\n")
    writer.writeheader()
    for path in paths:
        writer.writerows(measure(run_directory.load(path), crops))
        sys.stdout.flush()


if __name__ == "__main__":
    with runtime.exit_on_user_error():
        main(Path(sys.argv[1]), sys.argv[2:])
