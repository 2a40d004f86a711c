"""Goes on with the next image where one cannot be used."""

import logging

import numpy as np
from grain.sources import RandomAccessDataSource
from jaxtyping import UInt8

from jaxcorr.errors import UserError

logger = logging.getLogger(__name__)

MAX_WARNINGS = 20
"""Unusable images that are named one by one; of more it is said that there are more."""

MAX_CONSECUTIVE = 1000
"""Unusable images in a row after which a source counts as unusable itself."""


class SkipUnusable:
    """Gives the next usable image in place of one that is damaged or too small.

    The rule hangs on the images alone, so it gives the same image in every process and
    thread. Where the size of an image is known only once it is decoded (TFDS), it is
    the price of random access: the image behind a small one is seen twice as often.
    """

    def __init__(
        self, source: RandomAccessDataSource, *, crop_size: int, name: str
    ) -> None:
        """Wraps a source and finds its first usable image.

        Args:
          source: Images; `source[index]` raises a UserError where one is damaged.
          crop_size: Least side of a usable image, in pixels.
          name: What to call the source in messages.

        Raises:
          UserError: If there is none.
        """
        self._source = source
        self._crop_size = crop_size
        self._name = name
        self._unusable: dict[int, str] = {}
        self[0]

    def __len__(self) -> int:
        """Images of the source, unusable ones included."""
        return len(self._source)

    def __getitem__(self, index: int) -> UInt8[np.ndarray, "h w 3"]:
        """The first usable image at or after `index`, going round at the end."""
        count = len(self._source)
        tried = min(count, MAX_CONSECUTIVE)
        for candidate in range(index, index + tried):
            image = self._read(candidate % count)
            if image is not None:
                return image
        raise UserError(
            f"{self._name}: none of {tried} images in a row can be read and holds a "
            f"crop of {self._crop_size}x{self._crop_size} pixels"
        )

    def _read(self, index: int) -> UInt8[np.ndarray, "h w 3"] | None:
        """The image, or None where it cannot be used, which is said the first time."""
        if index in self._unusable:
            return None
        try:
            image = self._source[index]
        except UserError as error:
            self._name_once(index, str(error))
            return None
        height, width = image.shape[:2]
        if min(height, width) < self._crop_size:
            self._name_once(
                index,
                f"image {index} is {width}x{height} pixels, smaller than a crop of "
                f"{self._crop_size}x{self._crop_size}",
            )
            return None
        return image

    def _name_once(self, index: int, reason: str) -> None:
        # Threads may meet here: of equal strings, only the first is kept.
        if self._unusable.setdefault(index, reason) is not reason:
            return
        if len(self._unusable) <= MAX_WARNINGS:
            logger.warning("%s: skipped: %s", self._name, reason)
        elif len(self._unusable) == MAX_WARNINGS + 1:
            logger.warning("%s: skipped: more than %d", self._name, MAX_WARNINGS)
