"""JPEG 4:2:0 at every quality: what it needs for a PSNR, and what it gets for bytes."""

import dataclasses
import hashlib
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from jaxcorr.evaluation import classical, csv_tables, measure

CODEC = classical.CODECS["jpeg"]
QUALITIES = tuple(range(1, 101))


@dataclasses.dataclass(frozen=True, kw_only=True)
class Point:
    """An image coded at one quality."""

    quality: int
    bytes: int
    psnr_db: float


@dataclasses.dataclass(frozen=True, kw_only=True)
class Need:
    """Bytes that JPEG needs for a PSNR.

    Attributes:
      bytes: Size of a file, between two qualities by interpolation.
      bound: Empty, or how the true size compares where no quality has the PSNR: "<" for
        one below the worst quality, ">" for one above the best.
    """

    bytes: float
    bound: str = ""


def sweep(image: UInt8[np.ndarray, "h w 3"]) -> list[Point]:
    """Codes an image at all qualities."""
    points = []
    for quality in QUALITIES:
        data = CODEC.encode(image, float(quality))
        psnr_db = measure.psnr_db(image, CODEC.decode(data))
        points.append(Point(quality=quality, bytes=len(data), psnr_db=psnr_db))
    return points


class Sweeps:
    """Sweeps by image, kept in a CSV file: they take longer than the codec to judge.

    Args:
      path: The file; its rows hold for the same pixels and the same library.
    """

    def __init__(self, path: Path):
        self._path = path
        self._rows = csv_tables.read_rows(path)

    def of(self, image: UInt8[np.ndarray, "h w 3"]) -> list[Point]:
        """Returns the sweep of an image, from the file if it is there."""
        key = hashlib.sha256(repr(image.shape).encode() + image.tobytes()).hexdigest()
        head = {"sha256": key, "library": CODEC.library()}
        rows = [row for row in self._rows if head.items() <= row.items()]
        if not rows:
            made = [head | dataclasses.asdict(point) for point in sweep(image)]
            rows = [{name: str(cell) for name, cell in row.items()} for row in made]
            self._rows += rows
            csv_tables.write_rows(self._path, self._rows)
        return [
            Point(
                quality=int(row["quality"]),
                bytes=int(row["bytes"]),
                psnr_db=float(row["psnr_db"]),
            )
            for row in rows
        ]


def frontier(points: list[Point]) -> list[Point]:
    """Returns the points that no smaller file equals in PSNR, by ascending size."""
    kept: list[Point] = []
    for point in sorted(points, key=lambda point: (point.bytes, -point.psnr_db)):
        if not kept or point.psnr_db > kept[-1].psnr_db:
            kept.append(point)
    return kept


def need(points: list[Point], psnr_db: float) -> Need:
    """Returns what JPEG needs for a PSNR: its log-rate is linear between qualities."""
    best = frontier(points)
    if psnr_db < best[0].psnr_db:
        return Need(bytes=best[0].bytes, bound="<")
    if psnr_db > best[-1].psnr_db:
        return Need(bytes=best[-1].bytes, bound=">")
    log_bytes = np.interp(
        psnr_db,
        [point.psnr_db for point in best],
        np.log([point.bytes for point in best]),
    )
    return Need(bytes=float(np.exp(log_bytes)))


def best_within(points: list[Point], limit: int) -> Point:
    """Returns the best point of at most `limit` bytes, or else the smallest one."""
    best = frontier(points)
    return max(
        (point for point in best if point.bytes <= limit),
        key=lambda point: point.psnr_db,
        default=best[0],
    )
