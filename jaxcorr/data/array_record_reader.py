"""A data source of the tiles that `jaxcorr prepare` wrote to ArrayRecord files."""

import bisect
import functools
import importlib
import itertools
from typing import Any

import numpy as np
from jaxtyping import UInt8

from jaxcorr import extras, paths
from jaxcorr.data import stored_images, tile_folder
from jaxcorr.data.tile_folder import TileFolder
from jaxcorr.errors import TransientError, UserError
from jaxcorr.paths import AnyPath

OPEN_SHARDS = 512
"""Number of shards that a process keeps open. Each takes a file descriptor."""


class ArrayRecordReader:
    """A data source that decodes a tile at each access.

    Args:
      folder: Folder that `jaxcorr prepare` has written.

    Raises:
      UserError: If the folder is missing, incomplete or of a later version, or
        array_record is not installed.
    """

    def __init__(self, folder: AnyPath):
        check_storage(folder)
        folder = folder.expanduser()
        import_array_record(f"arrayrecord:{folder}")
        found = tile_folder.read_data_set(folder)
        self._records: list[int] = found["records"]
        self._ends = list(itertools.accumulate(self._records))
        self._folder = TileFolder(folder, shards=len(self._records))
        for number, size in enumerate(found["bytes"]):
            _check_size(self._folder.shard(number), size)

    def __len__(self) -> int:
        """Returns the number of tiles."""
        return self._ends[-1]

    def __getitem__(self, index: int) -> UInt8[np.ndarray, "h w 3"]:
        """Decodes a tile as 8-bit RGB.

        Raises:
          OSError: If the shard cannot be opened any more.
          TransientError: If the record of a bucket cannot be read.
          UserError: If the record of a disk is damaged.
        """
        shard = bisect.bisect_right(self._ends, index)
        number = index - self._ends[shard] + self._records[shard]
        path = self._folder.shard(shard)
        name = f"record {number} of {path}"
        try:
            (encoded,) = _open(path).read([number])
        except RuntimeError as error:
            if paths.is_remote(path):  # The reader does not tell the two apart.
                raise TransientError(f"{name} cannot be read: {error}") from error
            raise UserError(f"{name} is damaged: {error}") from error
        return stored_images.decode(encoded, name=name)


def check_storage(folder: AnyPath) -> None:
    """Checks that ArrayRecord reads and writes files in such a place.

    Raises:
      UserError: If it is in a bucket of S3.
    """
    if paths.scheme_of(folder) == "s3":
        raise UserError(
            f"{folder} must be on a disk or begin with gs://: ArrayRecord reads and "
            "writes no other bucket"
        )


def import_array_record(purpose: str) -> Any:
    """Imports the module that reads and writes ArrayRecord files.

    Args:
      purpose: Subject of the message if it is not installed.

    Raises:
      UserError: If it is not installed. Grain installs it where it has a wheel.
    """
    with extras.needs_extra("train", purpose):
        return importlib.import_module("array_record.python.array_record_module")


def count_records(path: AnyPath) -> int:
    """Returns the number of records in a file.

    Raises:
      OSError: If it is missing or damaged.
    """
    return _open.__wrapped__(path).num_records()


@functools.lru_cache(OPEN_SHARDS)
def _open(path: AnyPath) -> Any:
    """Opens a shard. Threads share the reader, which is closed by its last user."""
    module = import_array_record(str(path))
    reader = module.ArrayRecordReader(str(path), options="readahead_buffer_size:0")
    if not reader.ok():  # A missing or damaged file raises nothing when it is opened.
        raise OSError(f"{path} is missing or damaged")
    return reader


def _check_size(path: AnyPath, size: int) -> None:
    try:
        with paths.remote_errors(path, "cannot be read"):
            found = paths.size_of(path)
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}") from error
    if found != size:
        raise UserError(f"{path} has {found:,} bytes, but must have {size:,}")
