"""Cuts large photographs into tiles for training, of about the size of BSDS500's.

    python results/demo/tiles.py PHOTOGRAPHS -o TILES

Each photograph is scaled to a longer side of 1800 pixels, and gives its four quarters.
"""

from pathlib import Path
from typing import Annotated

import tyro
from PIL import Image

LONGER_SIDE, QUALITY = 1800, 93


def main(
    photographs: tyro.conf.Positional[Path],
    output: Annotated[Path, tyro.conf.arg(aliases=["-o"])],
) -> None:
    """Cuts all JPEG files of a folder."""
    output.mkdir(parents=True, exist_ok=True)
    for path in sorted(photographs.glob("*.jpg")):
        with Image.open(path) as opened:
            image = opened.convert("RGB")
        image.thumbnail((LONGER_SIDE, LONGER_SIDE), Image.Resampling.LANCZOS)
        width, height = (side // 2 for side in image.size)
        for row in range(2):
            for column in range(2):
                left, top = column * width, row * height
                tile = image.crop((left, top, left + width, top + height))
                target = output / f"{path.stem}_{row}{column}.jpg"
                tile.save(target, quality=QUALITY, subsampling=0)


if __name__ == "__main__":
    tyro.cli(main)
