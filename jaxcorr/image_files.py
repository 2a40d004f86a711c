"""Finds image files in folders."""

import os
from collections.abc import Iterator
from pathlib import Path

from jaxcorr.errors import UserError

SUFFIXES = frozenset(
    ".avif .bmp .gif .jp2 .jpeg .jpg .png .ppm .tif .tiff .webp".split()
)
"""File name extensions of images that are found, in lower case."""


def scan_images(directory: Path) -> Iterator[os.DirEntry[str]]:
    """Yields the image files below a directory one by one, in order of their paths.

    Raises:
      UserError: If the directory is missing or holds no image file.
    """
    if not os.path.isdir(directory):
        raise UserError(f"{directory} is not a directory")
    entries = _scan(os.fspath(directory))
    first = next(entries, None)
    if first is None:
        suffixes = ", ".join(sorted(SUFFIXES))
        raise UserError(f"{directory} holds no image (looked for {suffixes})")
    yield first
    yield from entries


def _scan(directory: str) -> Iterator[os.DirEntry[str]]:
    """Yields the image files below a directory, sorted as `Path` sorts: by parts."""
    try:
        with os.scandir(directory) as entries:
            ordered = sorted(entries, key=lambda entry: os.path.normcase(entry.name))
    except PermissionError:
        return
    for entry in ordered:
        if entry.is_dir(follow_symlinks=False):
            yield from _scan(entry.path)
        elif _is_image_file(entry):
            yield entry


def _is_image_file(entry: os.DirEntry[str]) -> bool:
    has_suffix = os.path.splitext(entry.name)[1].lower() in SUFFIXES
    try:
        return has_suffix and entry.is_file()
    except OSError:  # A link to itself.
        return False
