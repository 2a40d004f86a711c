"""Paths that users give: of a disk, or of a bucket as `gs://…` or `s3://…`.

`as_path` reads all of them, and no other module makes a path of what a user gives. A
path of a disk is a `pathlib.Path`. One of a bucket is an `epath.Path` of etils, which
has the same methods over fsspec; credentials, retries and endpoints are those of gcsfs
and s3fs.

A bucket has no folders, no links and no renames, and an object is written as a whole:
it appears when its last byte has arrived, and nothing can be appended to it.
"""

import contextlib
import dataclasses
import glob
import os
import pathlib
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from jaxcorr import bucket_clients
from jaxcorr.bucket_clients import STORAGE, file_system
from jaxcorr.errors import UserError
from jaxcorr.storage_errors import describe_error, storage_error

if TYPE_CHECKING:
    from pathlib import Path as AnyPath  # epath has its methods.
else:
    AnyPath = pathlib.PurePath
"""A path of a disk or of a bucket."""

START_BYTES = 2**16
"""Bytes that are read at once of a file in a bucket whose start is needed."""

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")
_LOST_SLASH = re.compile(r"(gs|s3):/(?!/)")


def as_path(path: "str | os.PathLike[str]") -> AnyPath:
    """Returns the path that a text of a user names.

    Args:
      path: Path of a disk, `gs://BUCKET/…` or `s3://BUCKET/…`, or a result of this
        function.

    Raises:
      UserError: If the scheme is another, the path has no bucket, or the package that
        reads such buckets is not installed.
    """
    text = os.fspath(path)
    if is_remote(path) and not isinstance(path, str):
        return path  # pyright: ignore[reportReturnType]
    found = _SCHEME.match(text)
    if found is None:
        if _LOST_SLASH.match(text) and not os.path.exists(text):
            raise UserError(
                f"{text} lost a slash: give {text.replace(':/', '://', 1)}, in Python "
                "as a str, since pathlib.Path drops one"
            )
        return pathlib.Path(path)
    scheme = found[1]
    if scheme not in STORAGE:
        known = ", ".join(f"{name}://" for name in STORAGE)
        raise UserError(
            f"{text} must be a path of a disk or begin with {known}, but begins with "
            f"{scheme}://"
        )
    if text[found.end() :][:1] in ("", "/"):
        raise UserError(f"{text} must name a bucket, as {scheme}://BUCKET/PATH")
    bucket_clients.import_client(scheme, text)
    from etils import epath  # Takes long; only buckets need it.

    return epath.Path(text.rstrip("/"))  # pyright: ignore[reportReturnType]


def is_remote(path: "str | os.PathLike[str] | None") -> bool:
    """Returns whether a path, or the text of one, is in a bucket."""
    return path is not None and scheme_of(path) is not None


def scheme_of(path: "str | os.PathLike[str]") -> str | None:
    """Returns the scheme of a path in a bucket, `gs` or `s3`; None for other paths."""
    found = _SCHEME.match(os.fspath(path))
    return found[1] if found and found[1] in STORAGE else None


def absolute(path: AnyPath) -> AnyPath:
    """Returns a path that does not depend on the working directory."""
    return path if is_remote(path) else path.absolute()


def identity(path: AnyPath) -> str:
    """Returns a text that is equal for two paths of one file, links resolved."""
    return str(path) if is_remote(path) else os.path.realpath(path)


def is_folder(path: AnyPath) -> bool:
    """Returns whether a path is a folder; False for one that cannot exist.

    Raises:
      UserError: If a bucket cannot be read.
    """
    with remote_errors(path, "cannot be read"):
        return path.is_dir() if is_remote(path) else os.path.isdir(path)


def exists(path: AnyPath) -> bool:
    """Returns whether a file or folder exists; False for a path that cannot.

    Raises:
      UserError: If a bucket cannot be read.
    """
    with remote_errors(path, "cannot be read"):
        return path.exists() if is_remote(path) else os.path.exists(path)


def files_below(folder: AnyPath, suffix: str = "") -> list[AnyPath]:
    """Returns the files below a folder whose names have a suffix, in order.

    Raises:
      UserError: If a bucket cannot be listed.
    """
    if is_remote(folder):
        found = [as_path(file.path) for file in scan_remote(folder)]
    else:
        found = sorted(path for path in folder.rglob("*") if path.is_file())
    return [path for path in found if path.name.endswith(suffix)]


def matches(pattern: AnyPath) -> list[AnyPath]:
    """Returns the paths that a pattern with `*`, `?`, `[…]` or `**` matches, in order.

    Raises:
      UserError: If a bucket cannot be listed.
    """
    if not is_remote(pattern):
        found = glob.glob(str(pattern), recursive=True)
    else:
        with remote_errors(pattern, "cannot be listed"):
            names = file_system(pattern).glob(str(pattern))
        found = [f"{scheme_of(pattern)}://{name}" for name in names]
    return [as_path(path) for path in sorted(found)]


def size_of(path: AnyPath) -> int:
    """Returns the bytes of a file.

    Raises:
      OSError: If the file does not exist.
    """
    if is_remote(path):
        return int(file_system(path).size(str(path)) or 0)
    return path.stat().st_size


def changed_at(path: AnyPath) -> float:
    """Returns the time of the last change of a file, in seconds since 1970."""
    if is_remote(path):
        return file_system(path).modified(str(path)).timestamp()
    return path.stat().st_mtime


def open_start(path: AnyPath) -> Any:
    """Opens a file of which the start will be read, such as the header of an image."""
    if is_remote(path):
        return file_system(path).open(str(path), "rb", block_size=START_BYTES)
    return path.open("rb")


def make_folder(path: AnyPath) -> None:
    """Makes a folder and those above it. Buckets have no folders, and need none.

    Raises:
      OSError: If the folder cannot be made.
    """
    if not is_remote(path):
        path.mkdir(parents=True, exist_ok=True)


def remove_folder(path: AnyPath) -> None:
    """Removes a folder with all that is in it, if it exists.

    Raises:
      OSError: If something in it cannot be removed.
    """
    if not path.is_dir():
        return
    if is_remote(path):
        path.rmtree()  # pyright: ignore[reportAttributeAccessIssue]
    else:
        import shutil

        shutil.rmtree(path)


def move_folder(source: AnyPath, target: AnyPath) -> None:
    """Moves a folder. In a bucket each object is copied, which is not atomic.

    Raises:
      OSError: If an object cannot be moved.
    """
    if is_remote(source):
        file_system(source).mv(str(source), str(target), recursive=True)
    else:
        source.rename(target)


def upload(source: pathlib.Path, target: AnyPath, *, last: str = "") -> None:
    """Copies a file, or the files of a folder, from a disk to a bucket.

    Args:
      source: The file or folder.
      target: Its path in the bucket.
      last: Name of the file of a folder that is copied when all others are there.

    Raises:
      UserError: If the bucket cannot be written.
    """
    found = [source] if source.is_file() else source.rglob("*")
    ordered = sorted(found, key=lambda file: (file.name == last, file))
    with remote_errors(target, "cannot be written"):
        for file in ordered:
            if file.is_file():
                (target / file.relative_to(source)).write_bytes(file.read_bytes())


@dataclasses.dataclass(frozen=True)
class RemoteFile:
    """An object in a bucket, with the attributes that `os.DirEntry` has.

    Attributes:
      path: Its URL.
      size: Its size in bytes.
      changed: Text that changes with its content: a checksum or a time.
    """

    path: str
    size: int
    changed: str

    @property
    def name(self) -> str:
        """Returns the part of the path after the last slash."""
        return self.path.rpartition("/")[2]


def scan_remote(folder: AnyPath) -> Iterator[RemoteFile]:
    """Yields the objects below a folder of a bucket, in order of their paths.

    Raises:
      UserError: If they cannot be listed.
    """
    with remote_errors(folder, "cannot be listed"):
        found = file_system(folder).find(str(folder), detail=True)
    for path, info in sorted(found.items(), key=lambda item: item[0].split("/")):
        marks = (info.get(key) for key in ("ETag", "etag", "md5Hash", "mtime"))
        changed = next((str(mark) for mark in marks if mark), "")
        url = f"{scheme_of(folder)}://{path}"
        yield RemoteFile(url, size=int(info["size"] or 0), changed=changed)


@contextlib.contextmanager
def remote_errors(
    path: AnyPath, problem: str, *, may_be_missing: bool = False
) -> Iterator[None]:
    """Turns errors of storage into a `UserError` of one line.

    Args:
      path: The path that the block works on. Errors about a path of a disk are left.
      problem: What did not work, such as "cannot be read".
      may_be_missing: Whether a `FileNotFoundError` is left, too.

    Raises:
      UserError: After an error about a path in a bucket; see `storage_error`.
    """
    try:
        yield
    except UserError:
        raise
    except Exception as error:  # Clients of storage raise errors of many classes.
        is_left = may_be_missing and isinstance(error, FileNotFoundError)
        if is_left or not is_remote(path):
            raise
        message = f"{path} {problem}: {describe_error(error)}"
        raise storage_error(message, error) from error
