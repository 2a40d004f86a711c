"""A data source of the images in a folder."""

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
    """A data source that decodes an image file at each access.

    Args:
      paths: Image files. They are first opened when they are accessed.
    """

    def __init__(self, paths: Sequence[Path]):
        self._paths = tuple(paths)

    def __len__(self) -> int:
        """Returns the number of files."""
        return len(self._paths)

    def __getitem__(self, index: int) -> UInt8[np.ndarray, "h w 3"]:
        """Reads an image file as 8-bit RGB.

        Raises:
          UserError: If the file cannot be read.
        """
        image, _ = images.read_image(self._paths[index])
        return image


def open_folder(directory: Path, *, crop_size: int) -> ImageFiles:
    """Opens the images below a folder that are no smaller than a crop.

    Reads only the headers. One warning counts the skipped images and names the first.

    Args:
      directory: Folder of images, searched recursively.
      crop_size: Side of a crop, in pixels.

    Raises:
      UserError: If the folder is missing or empty, or holds no suitable image.
    """
    directory = directory.expanduser()
    paths = images.find_images(directory)
    check = functools.partial(_reason_to_skip, crop_size=crop_size)
    with concurrent.futures.ThreadPoolExecutor() as threads:
        reasons = dict(zip(paths, threads.map(check, paths), strict=True))
    suitable = [path for path in paths if reasons[path] is None]
    skipped = [
        f"{path.relative_to(directory)} ({reason})"
        for path, reason in reasons.items()
        if reason is not None
    ]
    if skipped:
        named = ", ".join(skipped[:MAX_WARNINGS])
        rest = (
            f" and {len(skipped) - MAX_WARNINGS} more" if skipped[MAX_WARNINGS:] else ""
        )
        summary = (
            f"{directory}: skipped {len(skipped)} of {len(paths)} images: {named}{rest}"
        )
        if not suitable:
            raise UserError(summary)
        logger.warning(summary)
    return ImageFiles(suitable)


def _reason_to_skip(path: Path, *, crop_size: int) -> str | None:
    """Returns why an image cannot be used, by its header, or None."""
    try:
        with Image.open(path) as image:
            width, height = image.size
    except images.UNREADABLE:
        return "not an image that can be read"
    if min(width, height) < crop_size:
        return f"{width}x{height} pixels, smaller than a crop"
    return None
