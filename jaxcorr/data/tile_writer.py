"""Cuts the images of sources into tiles, in a folder of shards to train on.

The result has the same bytes for any number of workers and interruptions: each shard
depends on its images only, appears when it is complete, and is then kept.
"""

import collections
import dataclasses
import os
import shutil
import time
from collections.abc import Iterator, Sequence
from typing import Any

from jaxcorr import files
from jaxcorr.data import (
    array_record_reader,
    listed_images,
    shard_writer,
    tile_folder,
)
from jaxcorr.data.listed_images import ListedImage
from jaxcorr.data.progress import Progress
from jaxcorr.data.shard_runners import Runner
from jaxcorr.data.shard_writer import ShardJob
from jaxcorr.data.tile_folder import TileFolder
from jaxcorr.data.tiles import TileConfig
from jaxcorr.errors import UserError
from jaxcorr.paths import AnyPath

IMAGES_PER_SHARD = 256


@dataclasses.dataclass(frozen=True)
class WrittenTiles:
    """Counts of the images and tiles that were written.

    Attributes:
      folder: The folder.
      images: Number of images of the sources.
      tiles: Number of tiles.
      bytes: Size of all shards.
      shards: Number of shards.
      left_out: Number of images that were left out, by the kind of the reason.
    """

    folder: AnyPath
    images: int
    tiles: int
    bytes: int
    shards: int
    left_out: dict[str, int]

    def __str__(self) -> str:
        """Returns the lines for a user."""
        used = self.images - sum(self.left_out.values())
        lines = [
            f"{self.folder}: {self.tiles:,} tiles of {used:,} images in "
            f"{self.shards:,} files, {self.bytes / 1e6:,.1f} MB"
        ]
        if self.left_out:
            counts = ", ".join(
                f"{count:,} {kind}" for kind, count in sorted(self.left_out.items())
            )
            named = self.folder / tile_folder.LEFT_OUT
            lines.append(f"left out: {counts}; {named} says which and why")
        lines.append(f"to train on it: --data.source arrayrecord:{self.folder}")
        return "\n".join(lines)


def write_tiles(
    images: Sequence[ListedImage],
    output: AnyPath,
    config: TileConfig,
    *,
    runner: Runner,
    images_per_shard: int = IMAGES_PER_SHARD,
    unique: bool = False,
) -> WrittenTiles:
    """Cuts images into tiles, or goes on where an earlier call was stopped.

    Args:
      images: The images, in the order of their tiles.
      output: Folder to write.
      config: How images are made smaller, cut and stored.
      runner: What writes shards, such as `shard_runners.in_processes`.
      images_per_shard: Number of images whose tiles are in one file.
      unique: Whether files are left out that are equal to an earlier one.

    Raises:
      UserError: If the folder holds something else, cannot be written, or no tile can
        be cut.
    """
    if not images:
        raise UserError("the sources hold no image")
    if images_per_shard < 1:
        raise UserError(
            f"--images-per-shard must be at least 1, not {images_per_shard}"
        )
    settings = {
        "format": tile_folder.FORMAT,
        **dataclasses.asdict(config),
        "downscale": list(config.downscale),
        "images_per_shard": images_per_shard,
        "unique": unique,
        "images": len(images),
        "names": listed_images.digest(images),
    }
    is_complete = _begin(output, settings)
    folder = TileFolder(output, -(-len(images) // images_per_shard))
    if not is_complete:
        duplicates = listed_images.find_duplicates(images) if unique else {}
        jobs = _Jobs(images, folder, config, images_per_shard, duplicates)
        _run(jobs, runner)
        _finish(folder, settings)
    return describe(output)


def describe(folder: AnyPath) -> WrittenTiles:
    """Returns what a complete folder of tiles holds.

    Raises:
      UserError: If it is missing or incomplete.
    """
    found = tile_folder.read_data_set(folder)
    return WrittenTiles(
        folder=folder,
        images=found["settings"]["images"],
        tiles=sum(found["records"]),
        bytes=sum(found["bytes"]),
        shards=len(found["records"]),
        left_out=found["left_out"],
    )


class _Jobs:
    """The shards that are not finished yet, and how many images the others hold."""

    def __init__(
        self,
        images: Sequence[ListedImage],
        folder: TileFolder,
        config: TileConfig,
        images_per_shard: int,
        duplicates: dict[int, int],
    ):
        self._images, self._folder, self._config = images, folder, config
        self._size, self._duplicates = images_per_shard, duplicates
        self.total = len(images)
        self._numbers = []
        for number in range(folder.shards):
            if not folder.summary(number).is_file():
                self._numbers.append(number)
        self.finished = self.total - sum(map(len, map(self._range, self._numbers)))

    def __iter__(self) -> Iterator[ShardJob]:
        for number in self._numbers:
            own = self._range(number)
            yield ShardJob(
                self._folder,
                number,
                own.start,
                tuple(self._images[own.start : own.stop]),
                {
                    image - own.start: self._images[self._duplicates[image]].name
                    for image in own
                    if image in self._duplicates
                },
                self._config,
            )

    def _range(self, number: int) -> range:
        start = number * self._size
        return range(start, min(start + self._size, self.total))


def _begin(output: AnyPath, settings: dict[str, Any]) -> bool:
    """Checks a folder before any work. Returns whether it is complete already.

    Raises:
      UserError: If it holds other files or tiles of other images or settings.
    """
    array_record_reader.check_storage(output)
    path = output / tile_folder.SETTINGS
    data_set = output / tile_folder.DATA_SET
    if data_set.is_file():
        begun = tile_folder.read_data_set(output)["settings"]
    elif path.is_file():
        begun = tile_folder.read_json(path)
    elif os.path.lexists(output) and not output.is_dir():
        raise UserError(f"{output} is not a directory; give another -o")
    elif output.is_dir() and any(output.iterdir()):
        raise UserError(f"{output} is not empty and holds no tiles; give another -o")
    else:
        tile_folder.write_json(path, settings)
        return False
    # Earlier versions had fewer settings.
    begun = dataclasses.asdict(TileConfig()) | begun
    for name, value in settings.items():
        if begun.get(name) != value:
            what = "other images"
            if name not in {"images", "names"}:
                what = f"{name.replace('_', '-')} {begun.get(name)}, not {value}"
            raise UserError(f"{output} holds tiles with {what}; give another -o")
    return data_set.is_file()


def _run(jobs: _Jobs, runner: Runner) -> None:
    """Writes the shards that are not finished, and says how far that is."""
    progress = Progress("prepare")
    start, images, tiles = time.monotonic(), 0, 0
    for summary in runner(jobs):
        images += summary.images
        tiles += summary.records
        rate = images / max(time.monotonic() - start, 1e-9)
        left = jobs.total - jobs.finished - images
        progress.say(
            f"{jobs.finished + images:,} of {jobs.total:,} images, {tiles:,} tiles, "
            f"{rate:,.1f} images/s, {left / rate:,.0f} s left"
        )


def _finish(folder: TileFolder, settings: dict[str, Any]) -> None:
    """Gathers the summaries of all shards, and removes what is not needed any more."""
    records, sizes = [], []
    left_out: collections.Counter[str] = collections.Counter()
    with files.atomic_file(folder.path / tile_folder.LEFT_OUT) as path:
        with open(path, "w", encoding="utf-8", errors="surrogateescape") as file:
            for number in range(folder.shards):
                summary = shard_writer.read_summary(folder.summary(number))
                if summary is None:
                    raise UserError(f"{folder.shard(number)} was not written")
                records.append(summary.records)
                sizes.append(summary.bytes)
                for image in summary.left_out:
                    left_out[image[1]] += 1
                    print("\t".join(image), file=file)
    if not any(records):
        counts = ", ".join(f"{count:,} {kind}" for kind, count in left_out.items())
        raise UserError(f"no image can be used: {counts}")
    data_set = {
        "format": tile_folder.FORMAT,
        "records": records,
        "bytes": sizes,
        "left_out": dict(sorted(left_out.items())),
        "settings": settings,
    }
    tile_folder.write_json(folder.path / tile_folder.DATA_SET, data_set)
    (folder.path / tile_folder.SETTINGS).unlink()
    for number in range(folder.shards):
        folder.summary(number).unlink()
    for interrupted in folder.path.glob(".jaxcorr-*"):
        shutil.rmtree(interrupted, ignore_errors=True)
