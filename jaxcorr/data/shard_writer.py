"""Writes a shard: cuts consecutive images into tiles, and counts what it leaves out.

A shard depends only on its images, their numbers and the settings, so it does not
matter which process or machine writes it, or how often.
"""

import dataclasses
from typing import Any

from jaxcorr import files
from jaxcorr.data import array_record_reader, stored_images, tile_folder, tiles
from jaxcorr.data.listed_images import ListedImage
from jaxcorr.data.tile_folder import TileFolder
from jaxcorr.data.tiles import TileConfig
from jaxcorr.errors import StorageError, TransientError, UserError
from jaxcorr.paths import AnyPath

WRITER_OPTIONS = "group_size:1,uncompressed,max_parallelism:1"
"""One record is read at a time, and encoded images cannot be compressed further."""

TOO_SMALL, UNREADABLE, DUPLICATE = "too small", "unreadable", "duplicate"


@dataclasses.dataclass(frozen=True)
class ShardJob:
    """The images and settings that a shard is made of.

    Attributes:
      folder: Folder to write to.
      number: Number of the shard.
      first: Number of its first image among all images.
      images: Its images.
      duplicates: Names of the files that images are equal to, by their positions in
        `images`. These images are left out.
      config: How images are made smaller, cut and stored.
    """

    folder: TileFolder
    number: int
    first: int
    images: tuple[ListedImage, ...]
    duplicates: dict[int, str]
    config: TileConfig


@dataclasses.dataclass(frozen=True)
class ShardSummary:
    """Counts of the images and tiles of a shard.

    Attributes:
      images: Number of images that it was made of, with those that are left out.
      records: Number of its tiles.
      bytes: Size of its file.
      left_out: Name, kind of reason and reason of each image that is left out.
    """

    images: int
    records: int
    bytes: int
    left_out: list[list[str]]

    def to_json(self) -> dict[str, Any]:
        """Returns the summary as JSON."""
        return dataclasses.asdict(self)


class LeftOutError(Exception):
    """An image is left out.

    Attributes:
      kind: Kind of the reason, such as `TOO_SMALL`.
      reason: The reason.
    """

    def __init__(self, kind: str, reason: str):
        super().__init__(reason)
        self.kind, self.reason = kind, reason


def write_shard(job: ShardJob) -> ShardSummary:
    """Writes a shard and then its summary, each completely or not at all.

    Raises:
      UserError: If the shard cannot be written, or the disk of an image fails.
    """
    path = job.folder.shard(job.number)
    module = array_record_reader.import_array_record(str(path))
    left_out, records = [], 0
    with files.atomic_file(path) as temporary:
        writer = module.ArrayRecordWriter(str(temporary), WRITER_OPTIONS)
        try:
            for position, image in enumerate(job.images):
                try:
                    encoded = encode_tiles(job, position)
                except LeftOutError as error:
                    left_out.append([image.name, error.kind, error.reason])
                    continue
                for record in encoded:
                    writer.write(record)
                records += len(encoded)
            writer.close()
            found = array_record_reader.count_records(temporary)
        except RuntimeError as error:
            raise UserError(f"cannot write {path}: {error}") from error
        if found != records:
            raise UserError(f"cannot write {path}: {found} records of {records}")
        size = temporary.stat().st_size
    summary = ShardSummary(len(job.images), records, size, left_out)
    tile_folder.write_json(job.folder.summary(job.number), summary.to_json())
    return summary


def encode_tiles(job: ShardJob, position: int) -> list[bytes]:
    """Returns the encoded tiles of an image.

    An image that is neither made smaller nor cut stays the file that it is, if every
    reader decodes that to the same pixels.

    Args:
      job: The shard.
      position: Position of the image in the shard.

    Raises:
      LeftOutError: If the image is unreadable, too small or a duplicate.
      UserError: If a disk or a bucket fails, so that another attempt may read it.
    """
    config, image = job.config, job.images[position]
    if position in job.duplicates:
        raise LeftOutError(DUPLICATE, f"the same file as {job.duplicates[position]}")
    try:
        pixels, unchanged = image.read()
    except (StorageError, TransientError):
        raise
    except UserError as error:
        if isinstance(error.__cause__, OSError) and error.__cause__.errno:
            raise
        raise LeftOutError(UNREADABLE, str(error)) from error
    divisor = config.divisor(job.first + position)
    pixels = tiles.shrink(pixels, divisor)
    height, width = pixels.shape[:2]
    if min(height, width) < config.min_side:
        after = "" if divisor == 1 else f" after division by {divisor:.3g}"
        reason = f"{width}x{height} pixels{after}, below {config.min_side}"
        raise LeftOutError(TOO_SMALL, reason)
    is_whole = not config.tile or max(height, width) <= config.tile
    if is_whole and divisor == 1 and unchanged is not None:
        return [unchanged]
    return [
        stored_images.encode(tile, jpeg=config.jpeg)
        for tile in tiles.cut(pixels, config.tile)
    ]


def read_summary(path: AnyPath) -> ShardSummary | None:
    """Returns the summary of a shard; None if the shard is not finished.

    Raises:
      UserError: If the file is damaged.
    """
    if not path.is_file():
        return None
    return ShardSummary(**tile_folder.read_json(path))
