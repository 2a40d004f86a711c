"""Photographs in a folder, read when they are asked for."""

import concurrent.futures
import functools
import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from jaxcorr import images
from jaxcorr.data.skip_unusable import MAX_WARNINGS
from jaxcorr.errors import UserError

logger = logging.getLogger(__name__)


class ImageFiles:
    """Image files, decoded at each access."""

    def __init__(self, paths: Sequence[Path]):
        """Takes the files as they are; a damaged one shows when it is read."""
        self._paths = tuple(paths)

    def __len__(self) -> int:
        """How many files."""
        return len(self._paths)

    def __getitem__(self, index: int) -> UInt8[np.ndarray, "h w 3"]:
        """Reads a file.

        Raises:
          UserError: If it cannot be read.
        """
        image, _ = images.read_image(self._paths[index])
        return image


def open_folder(directory: Path, *, crop_size: int) -> ImageFiles:
    """Finds the images below a folder that a crop fits into.

    Reads only the headers; one warning counts and names the files that are left out.

    Raises:
      UserError: If the folder is missing, empty, or holds no image that can be used.
    """
    directory = directory.expanduser()
    found = images.find_images(directory)
    obstacle = functools.partial(_obstacle, crop_size=crop_size)
    with concurrent.futures.ThreadPoolExecutor() as threads:
        obstacles = dict(zip(found, threads.map(obstacle, found), strict=True))
    usable = [path for path in found if obstacles[path] is None]
    skipped = [
        f"{path.relative_to(directory)} ({reason})"
        for path, reason in obstacles.items()
        if reason is not None
    ]
    if skipped:
        named = ", ".join(skipped[:MAX_WARNINGS])
        rest = (
            f" and {len(skipped) - MAX_WARNINGS} more" if skipped[MAX_WARNINGS:] else ""
        )
        summary = (
            f"{directory}: skipped {len(skipped)} of {len(found)} images: {named}{rest}"
        )
        if not usable:
            raise UserError(summary)
        logger.warning(summary)
    return ImageFiles(usable)


def _obstacle(path: Path, *, crop_size: int) -> str | None:
    """Why no crop can be taken from a file, as far as its header tells."""
    try:
        with Image.open(path) as opened:
            width, height = opened.size
    except images.UNREADABLE:
        return "not an image that can be read"
    if min(width, height) < crop_size:
        return f"{width}x{height} pixels, smaller than a crop"
    return None
