"""Measures how large tiles are in several formats, and how fast these are.

    python benchmarks/tile_formats.py [--tile 512]

Prints kilobytes, and milliseconds of processor time to encode and to decode, of a tile
of a packaged photograph, as means over tiles. `prepared` is what `jaxcorr prepare`
stores by default, and `--jpeg 95` what it stores with that option.
"""

import functools
import io
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import tyro
from PIL import Image

from jaxcorr.data import built_in, stored_images, tiles

PHOTOGRAPHS = (
    "hubble_deep_field.jpg",
    "ihc.png",
    "motorcycle_left.png",
    "retina.jpg",
    "rocket.jpg",
)
"""Photographs in color."""

REPEATS = 3


def main(tile: int = 512) -> None:
    """Prints the table.

    Args:
      tile: Largest side of a tile, in pixels.
    """
    photographs = built_in.BuiltInPhotographs(PHOTOGRAPHS, crop_size=256)
    cut = [x for n in range(len(photographs)) for x in tiles.cut(photographs[n], tile)]
    pixels = sum(x.shape[0] * x.shape[1] for x in cut) / len(cut)
    print(f"{len(cut)} tiles of {pixels:.0f} pixels on average")
    print(f"{'':12}{'KB':>8}{'encode ms':>11}{'decode ms':>11}")
    for name, encode in encoders().items():
        encoded = [encode(x) for x in cut]
        size = sum(map(len, encoded)) / len(cut) / 1e3
        encode_ms = seconds(encode, cut) / len(cut) * 1e3
        decode_ms = seconds(decode, encoded) / len(cut) * 1e3
        print(f"{name:12}{size:8.1f}{encode_ms:11.2f}{decode_ms:11.2f}", flush=True)


def encoders() -> dict[str, Callable[[np.ndarray], bytes]]:
    """Returns functions that encode an image, by the names of their formats."""

    def pillow(**options: Any) -> Callable[[np.ndarray], bytes]:
        def encode(image: np.ndarray) -> bytes:
            buffer = io.BytesIO()
            Image.fromarray(image).save(buffer, **options)
            return buffer.getvalue()

        return encode

    return {
        "prepared": stored_images.encode,
        "PNG": pillow(format="PNG"),
        "PNG, fast": pillow(format="PNG", compress_level=1),
        "WebP, small": pillow(format="WEBP", lossless=True, method=4, quality=50),
        "JPEG 92": pillow(format="JPEG", quality=92),
        "--jpeg 95": functools.partial(stored_images.encode, jpeg=95),
    }


def decode(encoded: bytes) -> np.ndarray:
    """Decodes an image as training does, but always by Pillow."""
    with Image.open(io.BytesIO(encoded)) as picture:
        return np.asarray(picture.convert("RGB"))


def seconds(function: Callable[[Any], Any], values: list[Any]) -> float:
    """Returns the least processor time of a function for all values."""
    times = []
    for _ in range(REPEATS):
        start = time.process_time()
        for value in values:
            function(value)
        times.append(time.process_time() - start)
    return min(times)


if __name__ == "__main__":
    tyro.cli(main)
