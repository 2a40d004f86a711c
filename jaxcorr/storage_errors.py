"""Errors of storage: which of them may pass, and what they say in one line."""

import errno
import re
from http import HTTPStatus

from jaxcorr.errors import StorageError, TransientError, UserError

TRANSIENT_NUMBERS = {
    *(errno.EIO, errno.EAGAIN, errno.ESTALE, errno.EPIPE, errno.ETIMEDOUT),
    *(errno.ECONNABORTED, errno.ECONNREFUSED, errno.ECONNRESET),
    *(errno.EHOSTDOWN, errno.EHOSTUNREACH, errno.ENETDOWN, errno.ENETUNREACH),
}
"""Numbers of errors of disks and networks that may pass."""
TRANSIENT_CLASSES = {
    *("TimeoutError", "ConnectionError"),  # Of Python, requests and botocore.
    *("ClientConnectionError", "ClientPayloadError"),  # Of aiohttp.
    *("HTTPClientError", "TransportError"),  # Of botocore and of google.auth.
    *("ProxyError", "ChunkedEncodingError"),  # Of requests.
}
"""Names of classes of errors, of clients of buckets, that may pass."""
TRANSIENT_STATUS = re.compile(r"\b(UNAVAILABLE|DEADLINE_EXCEEDED|ABORTED)\b")
"""Statuses of TensorStore and gRPC that may pass, as their messages have them."""
TRANSIENT_REQUESTS = HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_MANY_REQUESTS
"""HTTP statuses about requests that may pass; those of servers all do."""


def storage_error(message: str, error: BaseException) -> UserError:
    """Returns the error to raise for an error of storage.

    Args:
      message: Message of one line, with the reason.
      error: The error, which may come from any client of a bucket.

    Returns:
      A `TransientError` if the error may pass, a plain `UserError` if there is no such
      file, and a `StorageError` otherwise.
    """
    if may_pass(error):
        return TransientError(message)
    if isinstance(error, FileNotFoundError):
        return UserError(message)
    return StorageError(message)


def may_pass(error: BaseException) -> bool:
    """Returns whether another attempt may succeed after an error of storage."""
    status = getattr(error, "code", None)
    if isinstance(status, int):  # Of gcsfs.
        is_of_server = status >= HTTPStatus.INTERNAL_SERVER_ERROR
        return is_of_server or status in TRANSIENT_REQUESTS
    if isinstance(error, OSError) and error.errno is not None:
        return error.errno in TRANSIENT_NUMBERS
    names = {kind.__name__ for kind in type(error).__mro__}
    is_known = isinstance(error, TransientError) or bool(names & TRANSIENT_CLASSES)
    return is_known or TRANSIENT_STATUS.search(str(error)) is not None


def describe_error(error: BaseException) -> str:
    """Returns the reason of an error in one line."""
    if isinstance(error, FileNotFoundError):
        return "no such object or bucket"
    reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return f"{' '.join(str(reason).split()):.200}"
