"""A data source that replaces unusable images by the next usable image."""

import logging

import numpy as np
from jaxtyping import UInt8

from jaxcorr.data.image_source import ImageSource
from jaxcorr.errors import StorageError, TransientError, UserError

logger = logging.getLogger(__name__)

MAX_WARNINGS = 20
"""Maximum number of skipped images that are named in warnings."""

MAX_CONSECUTIVE = 1000
"""Number of consecutive unusable images after which the source is refused."""


class SkipUnusable:
    """A data source that replaces damaged or small images by the next usable image.

    The replacement depends only on the images, so every process and thread sees the
    same one. An image that follows an unusable image is seen twice as often. This is
    the price of random access to a source whose images show their size only when they
    are decoded (TFDS).

    Args:
      source: Images; `source[index]` raises a UserError for a damaged image.
      crop_size: Minimum side of a usable image, in pixels.
      name: Name of the source in messages.

    Raises:
      UserError: If no image is usable.
      StorageError, TransientError: If a disk or a bucket fails.
    """

    def __init__(self, source: ImageSource, *, crop_size: int, name: str) -> None:
        self._source = source
        self._crop_size = crop_size
        self._name = name
        self._unusable: dict[int, str] = {}
        self[0]  # Raises if no image is usable.

    def __len__(self) -> int:
        """Returns the number of images, including unusable ones."""
        return len(self._source)

    def __getitem__(self, index: int) -> UInt8[np.ndarray, "h w 3"]:
        """Returns the first usable image from `index` on, wrapping around at the end.

        Raises:
          UserError: If `MAX_CONSECUTIVE` images, or all, are unusable.
        """
        count = len(self._source)
        attempts = min(count, MAX_CONSECUTIVE)
        for candidate in range(index, index + attempts):
            image = self._read(candidate % count)
            if image is not None:
                return image
        raise UserError(
            f"{self._name}: none of {attempts} images in a row can be read and holds a "
            f"crop of {self._crop_size}x{self._crop_size} pixels"
        )

    def _read(self, index: int) -> UInt8[np.ndarray, "h w 3"] | None:
        """Reads an image. Returns None and warns once if it is unusable."""
        if index in self._unusable:
            return None
        try:
            image = self._source[index]
        except (StorageError, TransientError):
            raise  # Other processes may read the image.
        except UserError as error:
            self._warn_once(index, str(error))
            return None
        height, width = image.shape[:2]
        if min(height, width) < self._crop_size:
            self._warn_once(
                index,
                f"image {index} is {width}x{height} pixels, smaller than a crop of "
                f"{self._crop_size}x{self._crop_size}",
            )
            return None
        return image

    def _warn_once(self, index: int, reason: str) -> None:
        # Several threads may get here; only the first one stores its string.
        if self._unusable.setdefault(index, reason) is not reason:
            return
        if len(self._unusable) <= MAX_WARNINGS:
            logger.warning("%s: skipped: %s", self._name, reason)
        elif len(self._unusable) == MAX_WARNINGS + 1:
            logger.warning("%s: skipped: more than %d", self._name, MAX_WARNINGS)
