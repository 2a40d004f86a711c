"""Results that others published, with their sources; `published.json` holds them."""

import importlib.resources
import json
from collections.abc import Mapping, Sequence
from typing import Any

from jaxcorr.evaluation.results import EvaluationResult
from jaxcorr.paths import as_path
from jaxcorr.report.rd_curves import RDCurve, rd_point

FILE = "published.json"
KODAK = {f"kodim{number:02}" for number in range(1, 25)}
KEYS = {
    "bpp": "bpp",
    "psnr_db": "psnr_rgb_db",
    "ms_ssim": "ms_ssim_rgb",
    "encode_seconds": "encode_seconds",
    "decode_seconds": "decode_seconds",
}
"""Key in the file of each metric of a point."""


def published_curves() -> list[RDCurve]:
    """Returns the published curves, all measured on the 24 images of Kodak."""
    return [_curve(values) for values in load_published()["curves"].values()]


def load_published() -> Mapping[str, Any]:
    """Reads the published results from the package."""
    file = importlib.resources.files("jaxcorr.report") / FILE
    return json.loads(file.read_text(encoding="utf-8"))


def are_kodak(evaluations: Sequence[EvaluationResult]) -> bool:
    """Returns whether the evaluated images are those of the published curves."""
    return {as_path(row["file"]).stem for row in evaluations[0].images} == KODAK


def _curve(values: Mapping[str, Any]) -> RDCurve:
    points = [
        rd_point({name: values[key][i] for name, key in KEYS.items() if key in values})
        for i in range(len(values["bpp"]))
    ]
    return RDCurve(
        name=values["name"],
        kind="published",
        series={None: tuple(sorted(points, key=lambda point: point.bpp))},
        source=values["source"],
    )
