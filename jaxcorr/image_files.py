"""Finds image files in folders."""

import hashlib
import os
from collections.abc import Callable, Collection, Iterator

from jaxcorr import paths
from jaxcorr.errors import UserError
from jaxcorr.paths import AnyPath, RemoteFile

SUFFIXES = frozenset(
    ".avif .bmp .gif .heic .heif .jp2 .jpeg .jpg .jxl .png .ppm .tif .tiff "
    ".webp".split()
)
"""File name extensions of images that are found, in lower case."""


Entry = os.DirEntry[str] | RemoteFile
"""A file of a disk or of a bucket."""


def scan_images(directory: AnyPath) -> Iterator[Entry]:
    """Yields the image files below a directory one by one, in order of their paths.

    Raises:
      UserError: If the directory is missing or holds no image file.
    """
    if not paths.is_folder(directory):
        raise UserError(f"{directory} is not a directory")
    entries = scan_files(directory, SUFFIXES)
    first = next(entries, None)
    if first is None:
        suffixes = ", ".join(sorted(SUFFIXES))
        raise UserError(f"{directory} holds no image (looked for {suffixes})")
    yield first
    yield from entries


def scan_files(directory: AnyPath, suffixes: Collection[str]) -> Iterator[Entry]:
    """Yields the files below a directory with a suffix, in order of their paths.

    Linked files and folders are followed, except for a link to a folder that contains
    it.

    Args:
      directory: Directory to search.
      suffixes: Suffixes in lower case.
    """
    if paths.is_remote(directory):
        for file in paths.scan_remote(directory):
            if os.path.splitext(file.name)[1].lower() in suffixes:
                yield file
        return
    yield from _scan(os.fspath(directory), suffixes, ())


def version(entry: Entry) -> tuple[int, int]:
    """Returns the bytes of a file, and a number that differs after a change of it.

    The number is the time of the last change in nanoseconds, or in a bucket a hash of
    the checksum.
    """
    if isinstance(entry, RemoteFile):
        digest = hashlib.sha256(entry.changed.encode()).digest()
        return entry.size, int.from_bytes(digest[:7], "big")
    now = entry.stat()
    return now.st_size, now.st_mtime_ns


def _scan(
    directory: str, suffixes: Collection[str], above: tuple[os.stat_result, ...]
) -> Iterator[os.DirEntry[str]]:
    """Yields files, sorted as `Path` sorts: by parts.

    Args:
      directory: Directory to search.
      suffixes: Suffixes in lower case.
      above: The directories that contain it.
    """
    try:
        itself = os.stat(directory)
        if any(os.path.samestat(itself, other) for other in above):
            return
        with os.scandir(directory) as entries:
            ordered = sorted(entries, key=lambda entry: os.path.normcase(entry.name))
    except OSError:  # No permission, or it vanished.
        return
    for entry in ordered:
        if _is(entry, os.DirEntry.is_dir):
            yield from _scan(entry.path, suffixes, (*above, itself))
        elif os.path.splitext(entry.name)[1].lower() in suffixes and _is(
            entry, os.DirEntry.is_file
        ):
            yield entry


def _is(entry: os.DirEntry[str], kind: Callable[[os.DirEntry[str]], bool]) -> bool:
    try:
        return kind(entry)
    except OSError:  # A link to itself.
        return False
