"""Pictures as rows, which are read from top to bottom and not kept."""

import dataclasses
from collections.abc import Callable, Iterable, Iterator

import numpy as np
from jaxtyping import UInt8

from jaxcorr.images.picture import (
    WHITE,
    Color,
    Metadata,
    Picture,
    describe_changes,
)

BYTES_PER_PIXEL = 6
"""Bytes of a picture in memory and of what it is read from, for each pixel."""


class PictureRows:
    """A picture whose rows are read once, from top to bottom.

    What it says beside the pixels is complete when all rows have been read.

    Args:
      size: Height and width, in pixels.
      bands: The picture in bands of rows, from the top; the trivial case is one band.
      metadata: Metadata of the file, but for the profile, which the bands have; by
        default all of the bands.
      changes: What was changed, in words, before what the bands say.
      bytes_held: As the attribute; by default those of a picture in memory.
      close: Closes the file.

    Attributes:
      size: Height and width, in pixels.
      changes: What reading changed, in words.
      bytes_held: Bytes of the file and of its decoded pixels that are in memory, beside
        the rows that were asked for.
      is_gray: Whether red, green and blue are equal in all pixels.
    """

    def __init__(
        self,
        size: tuple[int, int],
        bands: Iterable[Picture],
        *,
        metadata: Metadata | None = None,
        changes: tuple[str, ...] = (),
        bytes_held: int | None = None,
        close: Callable[[], None] | None = None,
    ):
        self.size = size
        self._close = close
        whole = BYTES_PER_PIXEL * size[0] * size[1]
        self.bytes_held = whole if bytes_held is None else bytes_held
        self.changes = changes
        self.is_gray = True
        self._metadata = metadata
        self._bands = iter(bands)
        self._end = 0
        self._kept: list[tuple[int, UInt8[np.ndarray, "h w 3"]]] = []
        self._alphas: list[UInt8[np.ndarray, "h w"] | tuple[int, int]] = []

    @classmethod
    def of(cls, picture: Picture) -> "PictureRows":
        """Returns the rows of a picture in memory."""
        return cls(picture.rgb.shape[:2], [picture])

    @property
    def metadata(self) -> Metadata:
        """Metadata of the file."""
        return self._metadata or Metadata()

    @property
    def alpha(self) -> UInt8[np.ndarray, "h w"] | None:
        """Opacity, from 0 to 255; None if the picture is opaque."""
        if all(isinstance(alpha, tuple) for alpha in self._alphas):
            return None
        return np.concatenate(
            [
                np.full(alpha, 255, np.uint8) if isinstance(alpha, tuple) else alpha
                for alpha in self._alphas
            ]
        )

    def over(self, background: Color = WHITE) -> "PictureRows":
        """Returns opaque rows, with transparent ones laid over a color."""
        return self._map(lambda band: band.over(background))

    def window(self, start: int, stop: int) -> UInt8[np.ndarray, "rows w 3"]:
        """Returns rows, and forgets those above them.

        Args:
          start: First row, not above that of earlier calls.
          stop: Row after the last.
        """
        while self._end < stop:
            band = self._next()
            self._kept.append((self._end - len(band.rgb), band.rgb))
        self._kept = [
            (first, rows) for first, rows in self._kept if first + len(rows) > start
        ]
        parts = [
            rows[max(start - first, 0) : stop - first] for first, rows in self._kept
        ]
        return parts[0] if len(parts) == 1 else np.concatenate(parts)

    def whole(self) -> Picture:
        """Returns the picture, whose rows must not have been read."""
        bands = []
        while self._end < self.size[0]:
            bands.append(self._next())
        self.close()
        if len(bands) == 1:
            return bands[0]
        return Picture(
            rgb=np.concatenate([band.rgb for band in bands]),
            alpha=self.alpha,
            is_gray=self.is_gray,
            metadata=self.metadata,
            changes=self.changes,
        )

    def note(self, name: str) -> str | None:
        """Returns one line that says what was changed; None if nothing was.

        Args:
          name: Name of the image.
        """
        return describe_changes(name, self.changes)

    def close(self) -> None:
        """Ends reading, and closes the file."""
        if self._close is not None:
            self._close()
        self._kept = []
        self._bands = iter(())

    def _next(self) -> Picture:
        """Reads the next band."""
        band = next(self._bands)
        self._end += len(band.rgb)
        self.is_gray = self.is_gray and band.is_gray
        new = tuple(change for change in band.changes if change not in self.changes)
        self.changes = (*self.changes, *new)
        own = self._metadata or band.metadata
        self._metadata = dataclasses.replace(own, icc=band.metadata.icc)
        self._alphas.append(band.rgb.shape[:2] if band.alpha is None else band.alpha)
        return dataclasses.replace(band, metadata=self._metadata, changes=self.changes)

    def _map(self, function: Callable[[Picture], Picture]) -> "PictureRows":
        bands: Iterator[Picture] = map(function, self._bands)
        return PictureRows(
            self.size,
            bands,
            metadata=self._metadata,
            changes=self.changes,
            bytes_held=self.bytes_held,
            close=self._close,
        )
