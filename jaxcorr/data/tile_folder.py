"""A folder of tiles: its files, and the record of what is in them.

A folder that is complete holds `data_set.json`, the shards with the tiles, and
`left_out.tsv` with the images that were not used. While it is written, it also holds a
summary of each finished shard and `settings.json`, which says what is written.
"""

import dataclasses
import json
from collections.abc import Mapping
from typing import Any

from jaxcorr import files
from jaxcorr.errors import UserError
from jaxcorr.paths import AnyPath

FORMAT = 1
"""Version of the format of the folder."""

DATA_SET, SETTINGS, LEFT_OUT = "data_set.json", "settings.json", "left_out.tsv"


@dataclasses.dataclass(frozen=True)
class TileFolder:
    """A folder of tiles.

    Attributes:
      path: The folder.
      shards: Number of files with tiles.
    """

    path: AnyPath
    shards: int

    def shard(self, number: int) -> AnyPath:
        """Returns the file of a shard: an ArrayRecord file of encoded images."""
        name = f"tiles-{number:05}-of-{self.shards:05}.array_record"
        return self.path / name

    def summary(self, number: int) -> AnyPath:
        """Returns the file that says that a shard is finished, and what is in it."""
        return self.shard(number).with_suffix(".json")


def read_data_set(folder: AnyPath) -> dict[str, Any]:
    """Reads what a complete folder of tiles holds.

    Raises:
      UserError: If the folder is missing, incomplete or of a later version.
    """
    if not folder.is_dir():
        raise UserError(f"{folder} is not a directory")
    if not (folder / DATA_SET).is_file():
        state = "holds no tiles of jaxcorr prepare"
        if (folder / SETTINGS).is_file():
            state = "is not complete: the same jaxcorr prepare goes on with it"
        raise UserError(f"{folder} {state}")
    found = read_json(folder / DATA_SET)
    if found.get("format") != FORMAT:
        raise UserError(
            f"{folder / DATA_SET} has format {found.get('format')}, but this version "
            f"of jaxcorr reads format {FORMAT}"
        )
    return found


def read_json(path: AnyPath) -> dict[str, Any]:
    """Reads a file of the folder.

    Raises:
      UserError: If it cannot be read or is damaged.
    """
    try:
        return json.loads(files.read_file(path))
    except ValueError as error:
        raise UserError(f"{path} is damaged: {error}") from error


def write_json(path: AnyPath, value: Mapping[str, Any]) -> None:
    """Writes a file of the folder, completely or not at all.

    Raises:
      UserError: If it cannot be written.
    """
    files.write_file(path, (json.dumps(value, ensure_ascii=False) + "\n").encode())
