"""Numbers that others published, with their sources, as they are packaged."""

import importlib.resources
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from jaxcorr.evaluation.results import EvaluationResult
from jaxcorr.report.rd_curves import RDCurve, rd_point

FILE = "published.json"
KODAK = {f"kodim{number:02}" for number in range(1, 25)}
COLUMNS = {
    "bpp": "bpp",
    "psnr_db": "psnr_rgb_db",
    "ms_ssim": "ms_ssim_rgb",
    "encode_seconds": "encode_seconds",
    "decode_seconds": "decode_seconds",
}
"""Our names of what a published curve holds, and its own."""


def published_curves() -> list[RDCurve]:
    """Curves on the 24 Kodak photographs."""
    return [_family(curve) for curve in load_published()["curves"].values()]


def load_published() -> Mapping[str, Any]:
    """All that is packaged."""
    held = importlib.resources.files("jaxcorr.report") / FILE
    return json.loads(held.read_text(encoding="utf-8"))


def are_kodak(found: Sequence[EvaluationResult]) -> bool:
    """Whether evaluations are of the images that the curves are of."""
    return {Path(row["file"]).stem for row in found[0].images} == KODAK


def _family(curve: Mapping[str, Any]) -> RDCurve:
    rows = [
        {
            ours: curve[theirs][row]
            for ours, theirs in COLUMNS.items()
            if theirs in curve
        }
        for row in range(len(curve["bpp"]))
    ]
    return RDCurve(
        name=curve["name"],
        kind="published",
        series={None: tuple(sorted(map(rd_point, rows), key=lambda each: each.bpp))},
        source=curve["source"],
    )
