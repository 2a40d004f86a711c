"""Reads files, and writes files and folders completely or not at all."""

import contextlib
import io
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from jaxcorr import paths
from jaxcorr.errors import UserError
from jaxcorr.paths import AnyPath, as_path


def read_file(path: AnyPath) -> bytes:
    """Reads a file.

    Raises:
      UserError: If the file cannot be read.
    """
    try:
        with paths.remote_errors(path, "cannot be read"):
            return path.read_bytes()
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}") from error


def open_text(path: AnyPath) -> io.StringIO:
    """Opens a file in UTF-8, with the ends of its lines as they are.

    Raises:
      UserError: If the file cannot be read.
    """
    return io.StringIO(read_file(path).decode(), newline="")


def check_file(path: AnyPath, *, force: bool = True) -> None:
    """Checks, before any work, that a file may be written to a path.

    Args:
      path: Path to write to.
      force: Whether an existing file may be replaced.

    Raises:
      UserError: If the path exists and is not a file or, without `force`, is a file; or
        if its folder cannot hold a new file.
    """
    path = as_path(path)
    try:
        _check_file(path, force=force)
    except OSError as error:  # Such as a name that is too long.
        raise UserError(f"cannot write {path}: {error.strerror}") from error


def _check_file(path: AnyPath, *, force: bool) -> None:
    """Checks a path; see `check_file`."""
    with paths.remote_errors(path, "cannot be written"):
        check_replaceable(path, force=force)
        if path.exists() and not path.is_file():
            kind = "a directory" if path.is_dir() else "not a regular file"
            raise UserError(f"cannot write {path}: it is {kind}")
    if paths.is_remote(path):
        return  # Only writing says whether it is permitted.
    folder = next(
        parent for parent in path.absolute().parents if os.path.lexists(parent)
    )
    if not folder.is_dir():
        raise UserError(f"cannot write {path}: {folder} is not a directory")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise UserError(f"cannot write {path}: no permission to write in {folder}")


def check_folder(path: AnyPath, kind: str, *, is_kind: bool, force: bool) -> None:
    """Checks, before any work, that a folder of some kind may be written to a path.

    Args:
      path: Path to write to.
      kind: Kind of the folder for messages, such as "a model folder".
      is_kind: Whether the path is a folder of this kind.
      force: Whether an existing folder of this kind may be replaced.

    Raises:
      UserError: If the path exists and is not a folder of this kind or, without
        `force`, is one.
    """
    with paths.remote_errors(path, "cannot be read"):
        if path.exists() and not is_kind:
            raise UserError(f"{path} exists and is not {kind}")
        check_replaceable(path, force=force)


def check_replaceable(path: AnyPath, *, force: bool) -> None:
    """Checks that nothing is lost when a path is written.

    Raises:
      UserError: If the path exists, without `force`.
    """
    if not force and path.exists():
        raise UserError(f"{path} exists; give --force to replace it, or another -o")


def write_file(path: AnyPath, data: bytes) -> None:
    """Writes a file completely or not at all.

    On a disk, `data` is written under a temporary name beside `path` and renamed. In a
    bucket every object appears as a whole.

    Raises:
      UserError: If the target cannot be written; nothing is left behind.
    """
    if paths.is_remote(path):
        with paths.remote_errors(path, "cannot be written"):
            path.write_bytes(data)
        return
    with atomic_file(path) as temporary:
        temporary.write_bytes(data)


@contextlib.contextmanager
def atomic_file(path: AnyPath) -> Iterator[Path]:
    """Yields the path of a new file, which becomes `path` if the block succeeds.

    Raises:
      UserError: If the target cannot be written; nothing is left behind.
    """
    path = as_path(path)
    check_file(path)
    with _temporary_path(path) as temporary:
        yield temporary
        with open(temporary, "rb") as file:
            os.fsync(file.fileno())


@contextlib.contextmanager
def atomic_folder(path: AnyPath, *, last: str = "") -> Iterator[Path]:
    """Yields an empty folder, which replaces `path` if the block succeeds.

    A folder in a bucket is written object by object. The file `last` is removed first
    and written at the end, so a folder without it is not complete.

    Args:
      path: Folder to write.
      last: Name of the file by which readers recognize the folder.

    Raises:
      UserError: If the target cannot be written; nothing is left behind.
    """
    path = as_path(path)
    with _temporary_path(path, last=last) as temporary:
        temporary.mkdir()
        yield temporary
        if not paths.is_remote(path) and path.is_dir():
            os.replace(path, temporary.with_name("replaced"))


@contextlib.contextmanager
def _temporary_path(path: AnyPath, *, last: str = "") -> Iterator[Path]:
    """Yields an unused path of the disk, which becomes `path` at the end."""
    if paths.is_remote(path):
        with tempfile.TemporaryDirectory(prefix="jaxcorr-") as folder:
            new = Path(folder) / "new"
            yield new
            if new.is_dir():
                with paths.remote_errors(path, "cannot be written"):
                    if last:
                        (path / last).unlink(missing_ok=True)
                    paths.remove_folder(path)
            paths.upload(new, path, last=last)
        return
    folder = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        folder = Path(tempfile.mkdtemp(dir=path.parent, prefix=".jaxcorr-"))
        yield folder / "new"
        os.replace(folder / "new", path)
    except OSError as error:
        reason = error.strerror or error
        raise UserError(f"cannot write {path}: {reason}") from error
    finally:
        if folder is not None:
            shutil.rmtree(folder, ignore_errors=True)
