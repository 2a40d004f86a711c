"""Folders of images that are cut into tiles, and the tiles."""

from pathlib import Path
from typing import Any

import numpy as np

from jaxcorr.data import listed_images, tile_writer
from jaxcorr.data.shard_runners import Runner, in_processes
from jaxcorr.data.tile_writer import WrittenTiles
from jaxcorr.data.tiles import TileConfig
from support.image_folders import write, write_damaged

CONFIG = TileConfig(tile=64, min_side=64)


def noise(seed: int, height: int = 100, width: int = 130) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return rng.integers(256, size=(height, width, 3), dtype=np.uint8)


def write_photographs(folder: Path) -> Path:
    """Writes ten files: eight to use, one of them twice, and two that are not."""
    for number in range(5):
        write(folder / f"{number}.png", noise(number))
    write(folder / "below" / "small.jpg", noise(5, 64, 64))
    write(folder / "below" / "tiny.png", noise(6, 63, 200))
    write(folder / "gray.bmp", noise(7)[..., 0])
    write_damaged(folder / "cut.png", noise(8))
    (folder / "z.png").write_bytes((folder / "3.png").read_bytes())
    return folder


def prepare(
    folder: Path,
    output: Path,
    runner: Runner | None = None,
    config: TileConfig = CONFIG,
    **options: Any,
) -> WrittenTiles:
    images = listed_images.list_images([str(folder)])
    options = {"images_per_shard": 3, **options}
    runner = runner or in_processes(1)
    return tile_writer.write_tiles(images, output, config, runner=runner, **options)
