"""Compares models with JPEG 4:2:0 at equal PSNR, on images of other kinds.

    python results/other_kinds/compare.py -m demo

codes the images of `make.py` to files and decodes them, with every member of a sweep.
It prints a line for each image and kind, and writes `runs/other_kinds/MODEL.json`,
which `jaxcorr report` reads, and `MODEL.csv` with the columns of `Comparison`. Files
of JPEG are measured once (`runs/other_kinds/jpeg.csv`).
"""

import dataclasses
import itertools
import json
import statistics
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated

import color_cast
import make
import numpy as np
import tyro
from jaxtyping import UInt8
from jpeg import Sweeps, frontier, need

from jaxcorr import correlation, files, images
from jaxcorr.bitstream.coding_loop import DecodedLatents
from jaxcorr.cli import measurements
from jaxcorr.errors import UserError
from jaxcorr.evaluation import csv_tables, image_set, measure, result_files
from jaxcorr.evaluation.learned import WINDOW, LearnedCodec
from jaxcorr.evaluation.measure import CodedImage
from jaxcorr.metrics import bjontegaard, latent_correlation

LIMIT = 1.1
"""Ratio of bytes above which an image counts as a failure."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Settings:
    """Settings of the comparison."""

    model: Annotated[tuple[str, ...], tyro.conf.arg(aliases=["-m"])] = ("demo",)
    """Runs, members of sweeps, model folders, or built-in models."""
    checkpoint: str = "best"
    """Checkpoint of runs."""
    fast: bool = False
    """Codes in float32: quicker, but not the files that `jaxcorr compress` writes."""
    images: Path = make.IMAGES
    """Folder of images, by kind."""
    output: Path = make.FOLDER
    """Folder for results."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Comparison:
    """A model and JPEG on one image.

    Attributes:
      model: Path of the model.
      kind: Kind of the image.
      file: Name of the image, with its kind.
      bpp: Bits per pixel of the model's file.
      psnr_db: PSNR of the reconstruction.
      jpeg_bpp: Bits per pixel that JPEG needs for this PSNR.
      bound: As in `jpeg.Need`: ">" says that JPEG cannot reach the PSNR.
      correlation: Correlation loss of the decoded latents.
      offset_share: Share of the correlation that is a mean offset of channels.
      cast: Color cast of the worst block, in 8-bit values.
    """

    model: str
    kind: str
    file: str
    bpp: float
    psnr_db: float
    jpeg_bpp: float
    bound: str
    correlation: float | None
    offset_share: float | None
    cast: float

    @property
    def ratio(self) -> float:
        """Bytes of the model's file, divided by those that JPEG needs."""
        return self.bpp / self.jpeg_bpp


def main(settings: Settings) -> None:
    """Compares all models."""
    sweeps = Sweeps(settings.output / "jpeg.csv")
    for path in settings.model:
        made, compared = [], []
        for codec in measurements.open_models(
            path, settings.checkpoint, fast=settings.fast
        ):
            assert isinstance(codec, LearnedCodec)
            metrics, rows = [], []
            for image, coded in code_images(codec, settings.images):
                metrics.append(coded.metrics)
                rows.append(compare(str(codec.path), image, coded, sweeps))
            made.append(result_files.make_result(metrics, codec.metadata()))
            compared += rows
            print_comparisons(rows)
        print_bd_rates(compared, settings.images, sweeps)
        write(settings.output / Path(path).name, made, compared)


def code_images(
    codec: LearnedCodec, folder: Path
) -> Iterator[tuple[UInt8[np.ndarray, "h w 3"], CodedImage[DecodedLatents]]]:
    """Yields the images of a folder, coded and decoded."""
    for name, path in image_set.find_images([folder]).items():
        image = images.read_image(path)[0]
        yield image, measure.measure_image(codec, image, name)


def compare(
    model: str,
    image: UInt8[np.ndarray, "h w 3"],
    coded: CodedImage[DecodedLatents],
    sweeps: Sweeps,
) -> Comparison:
    """Compares a coded image with the JPEGs of the image."""
    metrics = coded.metrics
    jpeg = need(sweeps.of(image), metrics.psnr_db)
    return Comparison(
        model=model,
        kind=Path(metrics.file).parent.name,
        file=metrics.file,
        bpp=metrics.bpp,
        psnr_db=metrics.psnr_db,
        jpeg_bpp=8 * jpeg.bytes / (metrics.width * metrics.height),
        bound=jpeg.bound,
        correlation=metrics.correlation,
        offset_share=offset_share(coded.latents),
        cast=color_cast.largest_cast(image, coded.reconstruction),
    )


def offset_share(latents: DecodedLatents) -> float | None:
    """Returns the share of the correlation that goes with the channels' mean offsets.

    None if the latents are smaller than the window.
    """
    normalized = latents.symbols / latents.scale
    if min(normalized.shape[:2]) < WINDOW:
        return None
    centered = latent_correlation.without_offsets(normalized[None])
    loss, rest = (
        float(
            correlation.masked_norm(
                correlation.correlation_map(x, window=WINDOW), "point"
            )
        )
        for x in (normalized[None], centered)
    )
    return latent_correlation.offset_share(loss, rest)


def print_comparisons(rows: Sequence[Comparison]) -> None:
    """Prints a line for each image, and then for each kind and for all."""
    print(f"\n{rows[0].model}: bytes against JPEG 4:2:0 at equal PSNR")
    print(f"{'':28} ratio     bpp      dB  correlation  offset  cast")
    for row in sorted(rows, key=lambda row: (row.kind, -row.ratio)):
        # Where JPEG needs more than a size (">"), the true ratio is smaller.
        bound = {"<": ">", ">": "<", "": " "}[row.bound]
        share = "-" if row.offset_share is None else f"{row.offset_share:.0%}"
        loss = "-" if row.correlation is None else f"{row.correlation:.4f}"
        print(
            f"{row.file.removesuffix('.png'):28}{bound}{row.ratio:5.2f} {row.bpp:7.3f} "
            f"{row.psnr_db:7.2f} {loss:>12} {share:>7} {row.cast:5.1f}"
        )
    print(f"\n{'kind':12} images  median  worst")
    ordered = sorted(rows, key=lambda row: row.kind)
    groups = {k: [*g] for k, g in itertools.groupby(ordered, key=lambda row: row.kind)}
    for kind, group in (groups | {"all": [*rows]}).items():
        worst = max(group, key=lambda row: row.ratio)
        median = statistics.median(row.ratio for row in group)
        print(
            f"{kind:12} {len(group):6} {median:7.2f} {worst.ratio:6.2f}  {worst.file}"
        )
    failed = [row for row in rows if row.ratio > LIMIT]
    print(f"{len(failed)} of {len(rows)} take more than {LIMIT} of JPEG's bytes")


def print_bd_rates(rows: Sequence[Comparison], folder: Path, sweeps: Sweeps) -> None:
    """Prints the BD-rate of a sweep against JPEG, for each image, if it has a curve."""
    if len({row.model for row in rows}) < bjontegaard.MIN_POINTS:
        return
    print("\nBD-rate against JPEG 4:2:0")
    for file, group in itertools.groupby(
        sorted(rows, key=lambda row: row.file), key=lambda row: row.file
    ):
        points = [*group]
        image = images.read_image(folder / file)[0]
        per_pixel = 8 / (image.shape[0] * image.shape[1])
        jpegs = frontier(sweeps.of(image))
        curves = (
            bjontegaard.RDSamples(
                name="JPEG",
                bpp=tuple(point.bytes * per_pixel for point in jpegs),
                quality=tuple(point.psnr_db for point in jpegs),
            ),
            bjontegaard.RDSamples(
                name=file,
                bpp=tuple(point.bpp for point in points),
                quality=tuple(point.psnr_db for point in points),
            ),
        )
        try:
            print(f"{file:32} {bjontegaard.bd_rate(*curves).value:+7.1f} %")
        except UserError as error:
            print(f"{file:32} none: {error}")


def write(
    stem: Path, made: Sequence[result_files.Result], rows: Sequence[Comparison]
) -> None:
    """Writes the measurements of the models and the comparisons."""
    text = json.dumps(result_files.file_content(made), indent=2, ensure_ascii=False)
    files.write_file(stem.with_name(f"{stem.name}.json"), f"{text}\n".encode())
    table = [dataclasses.asdict(row) | {"ratio": row.ratio} for row in rows]
    csv_tables.write_rows(
        stem.with_name(f"{stem.name}.csv"),
        [
            {k: f"{x:.6g}" if isinstance(x, float) else x for k, x in row.items()}
            for row in table
        ],
    )
    print(f"\n{stem}.json, {stem}.csv")


if __name__ == "__main__":
    main(tyro.cli(Settings))
