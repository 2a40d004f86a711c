"""Files in buckets to which a run appends: logs and events."""

import time

from jaxcorr import paths
from jaxcorr.paths import AnyPath

UPLOAD_SECONDS = 30.0
"""Least seconds between two uploads of a file that grows."""
LARGEST_SHARE = 0.05
"""Largest share of the time of a run that the uploads of a file take."""


class RemoteLog:
    """A file in a bucket that grows.

    Nothing can be appended to an object. The content is kept in memory, and written as
    a whole from time to time, when `upload` is called, and at the end. A run that is
    killed loses what it wrote since the last time.

    Args:
      path: The file. It is written at once, so a bucket that cannot be written is
        reported at the start.
      content: Content to begin with.

    Raises:
      UserError: If the bucket cannot be written; so do all methods but `write`.
    """

    def __init__(self, path: AnyPath, content: bytes = b""):
        self._path, self._content = path, bytearray(content)
        self._uploaded, self._due = -1, 0.0
        self.upload()

    @property
    def size(self) -> int:
        """Returns the bytes of the content."""
        return len(self._content)

    def write(self, data: str | bytes) -> int:
        """Appends text or bytes, and returns their number."""
        self._content += data.encode() if isinstance(data, str) else data
        return len(data)

    def flush(self) -> None:
        """Writes the content to the bucket if it is time to."""
        if time.monotonic() >= self._due:
            self.upload()

    def upload(self) -> None:
        """Writes the content to the bucket if it has changed."""
        if self._uploaded == self.size:
            return
        start = time.monotonic()
        with paths.remote_errors(self._path, "cannot be written"):
            self._path.write_bytes(bytes(self._content))
        self._uploaded, now = self.size, time.monotonic()
        self._due = now + max(UPLOAD_SECONDS, (now - start) / LARGEST_SHARE)

    def close(self) -> None:
        """Writes what is left to the bucket."""
        self.upload()
