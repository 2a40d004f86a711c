"""Measures the codecs of `-m demo` on Kodak, and compares them with classical codecs.

    python results/demo/measure.py KODAK

codes the photographs to files and decodes them, writes `kodak` beside this script, and
prints the comparison with JPEG and WebP of `results/kodak/classical.csv`. Without KODAK
it compares what is measured already.
"""

import sys
from pathlib import Path

import tyro

import jaxcorr
from jaxcorr import run_directory
from jaxcorr.evaluation import result_files
from jaxcorr.evaluation.metadata import ClassicalMetadata
from jaxcorr.evaluation.results import EvaluationResult
from jaxcorr.metrics import bjontegaard
from jaxcorr.metrics.bjontegaard import RDSamples
from jaxcorr.report import rd_curves
from jaxcorr.report.tables import Table

FOLDER = Path(__file__).resolve().parent
RESULTS = FOLDER / "kodak"
CLASSICAL = FOLDER.parent / "kodak" / "classical.csv"
JPEG, WEBP, DEMO = "jpeg", "webp", "demo"


def main(kodak: tyro.conf.Positional[Path | None] = None) -> None:
    """Measures the codecs if photographs are given, and prints the comparison."""
    if kodak is not None:
        RESULTS.mkdir(exist_ok=True)
        paths = run_directory.model_paths(Path(run_directory.DEMO))
        for number, path in enumerate(paths):
            jaxcorr.evaluate(str(kodak), path).save(RESULTS / f"{number}.json")
    if not RESULTS.is_dir():
        sys.exit(f"{RESULTS} is missing: give the folder of Kodak")
    print(comparison().as_markdown())


def comparison() -> Table:
    """Returns the BD-rates of the demo and of WebP against JPEG, in percent."""
    curves = read_curves()
    rows = []
    for name, title in {WEBP: "WebP", DEMO: "demo@0 to demo@3"}.items():
        rates = [
            bjontegaard.bd_rate(curves[JPEG][metric], curves[name][metric])
            for metric in ("psnr_db", "ms_ssim_db")
        ]
        shared = f"{100 * rates[0].overlap:.0f} %"
        rows.append((title, *(f"{rate.value:+.1f} %" for rate in rates), shared))
    return Table(
        columns=("against JPEG 4:2:0", "PSNR", "MS-SSIM", "shared range"),
        rows=tuple(rows),
    )


def read_curves() -> dict[str, dict[str, RDSamples]]:
    """Returns the rate-distortion points of the codecs, by codec and metric."""
    series: dict[str, list[EvaluationResult]] = {
        DEMO: result_files.read_results([RESULTS])
    }
    for result in result_files.read_results([CLASSICAL]):
        if isinstance(result.model, ClassicalMetadata):
            series.setdefault(result.model.codec, []).append(result)
    return {name: samples(name, results) for name, results in series.items()}


def samples(name: str, results: list[EvaluationResult]) -> dict[str, RDSamples]:
    """Returns the points of a codec for both metrics."""
    points = [rd_curves.rd_point(each.mean) for each in results]
    points.sort(key=lambda point: point.bpp)
    bpp = tuple(point.bpp for point in points)
    return {
        metric: RDSamples(
            name=name, bpp=bpp, quality=tuple(getattr(x, metric) for x in points)
        )
        for metric in ("psnr_db", "ms_ssim_db")
    }


if __name__ == "__main__":
    tyro.cli(main)
