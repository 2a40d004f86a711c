"""Lists the images below a folder with their sizes, which are kept between starts."""

import concurrent.futures
import contextlib
import dataclasses
import hashlib
import io
import os
import zipfile

import numpy as np
from jaxtyping import Int64

from jaxcorr import files, image_files, images, paths, runtime
from jaxcorr.data.progress import Progress
from jaxcorr.errors import UserError
from jaxcorr.paths import AnyPath

KEPT_FROM = 1000
"""Number of images below which a folder is listed anew at each start."""

CHUNK = 1000
"""Number of images that are handled between two looks at the clock."""

UNKNOWN = -1
"""Width and height of an image whose header was not read yet."""


@dataclasses.dataclass(frozen=True)
class FolderList:
    """The images below a folder.

    Attributes:
      names: Path of each image relative to the folder, in the order of `find_images`.
      table: For each image the bytes of its file, the time of its last change in
        nanoseconds (in a bucket a hash of its checksum), and its width and height in
        pixels, which are 0 if its header cannot be read.
    """

    names: list[str]
    table: Int64[np.ndarray, "n 4"]

    @property
    def sizes(self) -> Int64[np.ndarray, "n 2"]:
        """Width and height of each image."""
        return self.table[:, 2:]


def list_folder(directory: AnyPath) -> FolderList:
    """Lists the images below a folder, and reads the headers of new or changed ones.

    A list of `KEPT_FROM` images or more is kept in the user's cache folder. It makes
    the next start faster and does not change the result: an image is taken from it if
    its path, the bytes of its file and the time of its last change are the same.

    Args:
      directory: The folder.

    Raises:
      UserError: If the directory is missing or holds no image file.
    """
    progress = Progress(f"folder:{directory}")
    listed = _scan(directory, progress)
    kept_at = _place_of(directory)
    if kept_at is not None:
        _take_sizes(listed, _read_kept(kept_at))
    unknown = np.flatnonzero(listed.sizes[:, 0] == UNKNOWN)
    with concurrent.futures.ThreadPoolExecutor() as threads:
        for start in range(0, len(unknown), CHUNK):
            chunk = unknown[start : start + CHUNK]
            found = [directory / listed.names[n] for n in chunk]
            listed.sizes[chunk] = list(threads.map(images.read_size, found))
            done = start + len(chunk)
            progress.say(f"read the headers of {done:,} of {len(unknown):,} images")
    if kept_at is not None and len(unknown) and len(listed.names) >= KEPT_FROM:
        with contextlib.suppress(OSError, UserError):  # The next start is slower.
            _write_kept(kept_at, listed)
    return listed


def _scan(directory: AnyPath, progress: Progress) -> FolderList:
    """Lists the images, without their sizes."""
    names: list[str] = []
    status: list[tuple[int, int]] = []
    prefix = len(os.path.join(directory, ""))
    for entry in image_files.scan_images(directory):
        names.append(entry.path[prefix:])
        status.append(image_files.version(entry))
        if len(names) % CHUNK == 0:
            progress.say(f"found {len(names):,} images")
    table = np.full((len(names), 4), UNKNOWN, np.int64)
    table[:, :2] = status
    return FolderList(names, table)


def _take_sizes(listed: FolderList, kept: FolderList) -> None:
    """Copies the sizes of unchanged images from a list to another."""
    if listed.names == kept.names:
        numbers = np.arange(len(kept.names))
    else:
        number_of = {name: number for number, name in enumerate(kept.names)}
        numbers = np.array([number_of.get(name, -1) for name in listed.names])
    found = np.flatnonzero(numbers >= 0)
    rows = kept.table[numbers[found]]
    unchanged = np.all(rows[:, :2] == listed.table[found, :2], axis=1)
    listed.table[found[unchanged]] = rows[unchanged]


def _place_of(directory: AnyPath) -> AnyPath | None:
    """Returns where the list of a folder is kept; None if it is not."""
    name = hashlib.sha256(os.fsencode(paths.identity(directory))).hexdigest()[:16]
    folder = runtime.folder_lists()
    return None if folder is None else folder / f"{name}.npz"


def _read_kept(path: AnyPath) -> FolderList:
    """Reads a list. It is empty if there is none, or it is damaged."""
    try:
        with open(path, "rb") as file, np.load(file) as arrays:
            names = os.fsdecode(arrays["names"].tobytes()).split("\0")
            table = arrays["table"]
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        names, table = [], np.empty((0, 4), np.int64)
    if table.shape != (len(names), 4):
        names, table = [], np.empty((0, 4), np.int64)
    return FolderList(names, table)


def _write_kept(path: AnyPath, listed: FolderList) -> None:
    """Writes a list, completely or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    names = np.frombuffer(os.fsencode("\0".join(listed.names)), np.uint8)
    buffer = io.BytesIO()
    np.savez(buffer, names=names, table=listed.table)
    files.write_file(path, buffer.getvalue())
