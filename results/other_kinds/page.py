"""Draws crops of images of other kinds: original, a model's reconstruction, and JPEG.

    python results/other_kinds/page.py -m demo

takes the 24 images of `make.py` with the strongest color cast, and of each the crop
around the block where the model's cast is strongest. The JPEG has at most as many bytes
as the model's file, or is the smallest one. Above each crop stand the bits per pixel
and the PSNR of the image, the mean differences of red, green and blue over the crop,
and the cast of its worst block, as in `color_cast.py`.
"""

import dataclasses
from pathlib import Path
from typing import Annotated

import color_cast
import compare
import make
import numpy as np
import tyro
from jpeg import CODEC, Sweeps, best_within
from matplotlib.figure import Figure

from jaxcorr.evaluation.learned import LearnedCodec
from jaxcorr.evaluation.measure import CodedImage
from jaxcorr.model_set import ModelSet
from jaxcorr.visualization import reconstructions

SIDE = 128
"""Side of a crop, in pixels; no image of `make.py` is smaller."""
ACROSS = 3
"""Crops in a row of the page, each in three versions."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Settings:
    """Settings of the page."""

    model: Annotated[str, tyro.conf.arg(aliases=["-m"])] = "demo"
    """Run, member of a sweep, model folder, or built-in model."""
    count: int = 24
    """Number of crops."""
    images: Path = make.IMAGES
    """Folder of images, by kind."""
    output: Path | None = None
    """The picture; `runs/other_kinds/MODEL.png` by default."""


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Version:
    """An image as a codec shows it, with the bytes that it takes."""

    title: str
    picture: color_cast.Picture
    bytes: int
    psnr_db: float


def main(settings: Settings) -> None:
    """Draws the page."""
    model = ModelSet(settings.model).only()
    codec = LearnedCodec(model, path=settings.model)
    coded = sorted(
        compare.code_images(codec, settings.images),
        key=lambda pair: color_cast.largest_cast(pair[0], pair[1].reconstruction),
        reverse=True,
    )[: settings.count]
    rows = -(-len(coded) // ACROSS)
    figure = Figure(figsize=(6.2 * ACROSS, 2.6 * rows), layout="constrained")
    axes = figure.subplots(rows, 3 * ACROSS, squeeze=False).reshape(-1, 3)
    for axis in axes.flat:
        axis.set_axis_off()
    sweeps = Sweeps(make.FOLDER / "jpeg.csv")
    for row, (image, one) in zip(axes, coded, strict=False):
        draw(row, image, one, sweeps)
    name = Path(settings.model).name
    output = settings.output or make.FOLDER / f"{name}.png"
    reconstructions.save_figure(figure, output)
    print(output)


def draw(
    axes: np.ndarray, image: color_cast.Picture, coded: CodedImage, sweeps: Sweeps
) -> None:
    """Draws one crop in three versions."""
    limit = coded.metrics.bytes
    jpeg = best_within(sweeps.of(image), limit)
    versions = [
        Version(
            title="model",
            picture=coded.reconstruction,
            bytes=limit,
            psnr_db=coded.metrics.psnr_db,
        ),
        Version(
            title=f"JPEG, quality {jpeg.quality}",
            picture=CODEC.decode(CODEC.encode(image, float(jpeg.quality))),
            bytes=jpeg.bytes,
            psnr_db=jpeg.psnr_db,
        ),
    ]
    crop = color_cast.worst_crop(image, coded.reconstruction, side=SIDE)
    axes[0].imshow(image[crop], interpolation="nearest")
    axes[0].set_title(coded.metrics.file.removesuffix(".png"), fontsize=8)
    for axis, version in zip(axes[1:], versions, strict=True):
        pair = image[crop], version.picture[crop]
        axis.imshow(pair[1], interpolation="nearest")
        red, green, blue = color_cast.channel_differences(*pair)
        bpp = 8 * version.bytes / (image.shape[0] * image.shape[1])
        axis.set_title(
            f"{version.title}: {bpp:.3f} bpp, {version.psnr_db:.2f} dB\n"
            f"RGB {red:+.1f} {green:+.1f} {blue:+.1f}, "
            f"cast {color_cast.largest_cast(*pair):.1f}",
            fontsize=7,
        )


if __name__ == "__main__":
    main(tyro.cli(Settings))
