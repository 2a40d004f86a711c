"""Draws the pictures of README.md and results/README.md from the tables of the study.

    python results/figures.py

Writes `results/report/rate_psnr.png` and `results/report/training.png` as
`jaxcorr report` draws them, with a palette of few colors: a third of the size.
"""

import tempfile
from pathlib import Path

from PIL import Image

from jaxcorr import files
from jaxcorr.evaluation import result_files
from jaxcorr.report import render

RESULTS = Path(__file__).resolve().parent
PICTURES = ("rate_psnr.png", "training.png")
COLORS = 32


def main() -> None:
    """Draws the report of the long runs, and keeps some of its pictures."""
    tables = sorted((RESULTS / "kodak").glob("long*.csv"))
    evaluations = result_files.read_results([*tables, RESULTS / "kodak/classical.csv"])
    # Of several seeds the report draws the first that it is given.
    evaluations.sort(key=lambda evaluation: evaluation.seed or 0)
    with tempfile.TemporaryDirectory() as folder:
        render.write_report(
            evaluations,
            Path(folder),
            anchor=None,
            interpolation="pchip",
            command="python results/figures.py",
        )
        for name in PICTURES:
            _keep(Path(folder) / name, RESULTS / "report" / name)


def _keep(picture: Path, target: Path) -> None:
    """Writes a picture with a palette, without dithering."""
    with Image.open(picture) as image:
        indexed = image.convert("RGB").quantize(
            COLORS, kmeans=3, dither=Image.Dither.NONE
        )
    with files.atomic_file(target) as temporary:
        indexed.save(temporary, "PNG", optimize=True)
    print(target)


if __name__ == "__main__":
    main()
