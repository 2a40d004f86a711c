"""Measures the codecs of `-m demo` on Kodak, and compares them with classical codecs.

    python results/demo/measure.py KODAK

codes the photographs to files and decodes them, writes `kodak.csv` beside this script,
and prints the comparison with JPEG and WebP of `results/kodak/classical.csv`. Without
KODAK it compares what is measured already.
"""

import dataclasses
import statistics
import sys
from collections.abc import Sequence
from pathlib import Path

import tyro

import jaxcorr
from jaxcorr import run_directory
from jaxcorr.evaluation import csv_tables, result_files
from jaxcorr.evaluation.metadata import ClassicalMetadata
from jaxcorr.metrics import bjontegaard
from jaxcorr.metrics.bjontegaard import RDSamples
from jaxcorr.report import rd_curves
from jaxcorr.report.rd_curves import RDPoint
from jaxcorr.report.tables import Table

FOLDER = Path(__file__).resolve().parent
TABLE = FOLDER / "kodak.csv"
CLASSICAL = FOLDER.parent / "kodak" / "classical.csv"
JPEG, WEBP, DEMO = "jpeg", "webp", "demo"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Row:
    """A photograph that a codec of the demo coded.

    Attributes:
      model: Name of the codec.
      fingerprint: Fingerprint of its model.
      image: Name of the file.
      bytes: Size of the coded file.
      bpp: The same, in bits per pixel.
      psnr_db: PSNR of the decoded picture.
      ms_ssim: MS-SSIM of the decoded picture.
    """

    model: str
    fingerprint: str
    image: str
    bytes: int
    bpp: float
    psnr_db: float
    ms_ssim: float


def main(kodak: tyro.conf.Positional[Path | None] = None) -> None:
    """Measures the codecs if photographs are given, and prints the comparison."""
    if kodak is not None:
        write_table(kodak)
    if not TABLE.is_file():
        sys.exit(f"{TABLE} is missing: give the folder of Kodak")
    print(comparison().as_markdown())


def write_table(photographs: Path) -> None:
    """Codes photographs with every codec of the demo, and writes the table."""
    rows = []
    for path in run_directory.model_paths(DEMO):
        model = jaxcorr.load(path)
        rows += [
            Row(
                model=path,
                fingerprint=model.fingerprint.hex(),
                image=image.file,
                bytes=image.bytes,
                bpp=round(image.bpp, 6),
                psnr_db=round(image.psnr_db, 4),
                ms_ssim=round(image.ms_ssim or 0, 6),
            )
            for image in jaxcorr.evaluate(str(photographs), model).images
        ]
    csv_tables.write_rows(TABLE, [dataclasses.asdict(row) for row in rows])


def read_table() -> dict[str, list[Row]]:
    """Returns the rows of the table by the name of the codec."""
    rows: dict[str, list[Row]] = {}
    for cells in csv_tables.read_rows(TABLE):
        row = Row(
            model=cells["model"],
            fingerprint=cells["fingerprint"],
            image=cells["image"],
            bytes=int(cells["bytes"]),
            bpp=float(cells["bpp"]),
            psnr_db=float(cells["psnr_db"]),
            ms_ssim=float(cells["ms_ssim"]),
        )
        rows.setdefault(row.model, []).append(row)
    return rows


def demo_points() -> dict[str, RDPoint]:
    """Returns the mean rate and quality of each codec of the demo."""
    names = ("bpp", "psnr_db", "ms_ssim")
    return {
        model: rd_curves.rd_point(
            {
                name: statistics.mean(getattr(row, name) for row in rows)
                for name in names
            }
        )
        for model, rows in read_table().items()
    }


def classical_points(codec: str) -> list[RDPoint]:
    """Returns the mean rates and qualities of a classical codec, by ascending rate."""
    points = [
        rd_curves.rd_point(each.mean)
        for each in result_files.read_results([CLASSICAL])
        if isinstance(each.model, ClassicalMetadata) and each.model.codec == codec
    ]
    return sorted(points, key=lambda point: point.bpp)


def comparison() -> Table:
    """Returns the BD-rates of the demo and of WebP against JPEG, in percent."""
    jpeg = classical_points(JPEG)
    curves = {
        "WebP": classical_points(WEBP),
        "demo@0 to demo@3": [*demo_points().values()],
    }
    rows = []
    for name, points in curves.items():
        psnr, ms_ssim = (
            bjontegaard.bd_rate(samples(jpeg, metric), samples(points, metric))
            for metric in ("psnr_db", "ms_ssim_db")
        )
        cells = f"{psnr.value:+.1f} %", f"{ms_ssim.value:+.1f} %"
        rows.append((name, *cells, f"{100 * psnr.overlap:.0f} %"))
    return Table(
        columns=("against JPEG 4:2:0", "PSNR", "MS-SSIM", "shared range"),
        rows=tuple(rows),
    )


def samples(points: Sequence[RDPoint], metric: str) -> RDSamples:
    """Returns the rates and one metric of points."""
    return RDSamples(
        name="curve",
        bpp=tuple(point.bpp for point in points),
        quality=tuple(getattr(point, metric) for point in points),
    )


if __name__ == "__main__":
    tyro.cli(main)
