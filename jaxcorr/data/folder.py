"""A data source of the images in a folder."""

import logging
from collections.abc import Sequence

import numpy as np
from jaxtyping import UInt8

from jaxcorr import images
from jaxcorr.data import folder_list
from jaxcorr.data.folder_list import FolderList
from jaxcorr.data.skip_unusable import MAX_WARNINGS
from jaxcorr.errors import UserError
from jaxcorr.paths import AnyPath

logger = logging.getLogger(__name__)


class ImageFiles:
    """A data source that decodes an image file at each access.

    Args:
      directory: Folder of the files.
      names: Paths relative to the folder. They are first opened when they are accessed.
    """

    def __init__(self, directory: AnyPath, names: Sequence[str]):
        self._directory = directory
        self._names = names

    def __len__(self) -> int:
        """Returns the number of files."""
        return len(self._names)

    def __getitem__(self, index: int) -> UInt8[np.ndarray, "h w 3"]:
        """Reads an image file as 8-bit RGB.

        Raises:
          UserError: If the file cannot be read.
        """
        image, _ = images.read_image(self._directory / self._names[index])
        return image


def open_folder(directory: AnyPath, *, crop_size: int) -> ImageFiles:
    """Opens the images below a folder that are no smaller than a crop.

    Reads only the headers, and only those that `folder_list` does not know. One warning
    counts the skipped images and names the first.

    Args:
      directory: Folder of images, searched recursively.
      crop_size: Side of a crop, in pixels.

    Raises:
      UserError: If the folder is missing or empty, or holds no suitable image.
    """
    directory = directory.expanduser()
    listed = folder_list.list_folder(directory)
    is_suitable = listed.sizes.min(axis=1) >= crop_size
    skipped = np.flatnonzero(~is_suitable).tolist()
    if skipped:
        named = ", ".join(_reason_to_skip(listed, n) for n in skipped[:MAX_WARNINGS])
        rest = (
            f" and {len(skipped) - MAX_WARNINGS} more" if skipped[MAX_WARNINGS:] else ""
        )
        summary = (
            f"{directory}: skipped {len(skipped)} of {len(listed.names)} images: "
            f"{named}{rest}"
        )
        if not is_suitable.any():
            raise UserError(summary)
        logger.warning(summary)
    suitable = np.flatnonzero(is_suitable).tolist()
    return ImageFiles(directory, [listed.names[number] for number in suitable])


def _reason_to_skip(listed: FolderList, number: int) -> str:
    """Returns the name of an image that cannot be used, and why."""
    width, height = listed.sizes[number].tolist()
    reason = f"{width}x{height} pixels, smaller than a crop"
    if not width:
        reason = "not an image that can be read"
    return f"{listed.names[number]} ({reason})"
