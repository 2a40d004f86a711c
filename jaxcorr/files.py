"""Writes files whole or not at all."""

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from jaxcorr.errors import UserError


def check_target(path: Path, *, force: bool = True) -> None:
    """Checks, before any work, that a file can be written at a path.

    Args:
      path: The file that is to be written.
      force: Whether a file there may be replaced.

    Raises:
      UserError: If there is a folder, a device or, without `force`, a file, or if the
        file cannot be in its folder.
    """
    path = Path(path)
    _check_replaceable(path, force=force)
    if path.exists() and not path.is_file():
        kind = "a directory" if path.is_dir() else "no regular file"
        raise UserError(f"cannot write {path}: it is {kind}")
    folder = next(
        parent for parent in path.absolute().parents if os.path.lexists(parent)
    )
    if not folder.is_dir():
        raise UserError(f"cannot write {path}: {folder} is not a directory")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise UserError(f"cannot write {path}: no permission to write in {folder}")


def check_folder(path: Path, kind: str, *, is_one: bool, force: bool) -> None:
    """Checks, before any work, that a folder would replace at most one of its kind.

    Args:
      path: The folder that is to be written.
      kind: The kind in words, with its article.
      is_one: Whether there is a folder of this kind.
      force: Whether it may be replaced.

    Raises:
      UserError: If there is something else or, without `force`, such a folder.
    """
    if path.exists() and not is_one:
        raise UserError(f"{path} exists and is not {kind}")
    _check_replaceable(path, force=force)


def _check_replaceable(path: Path, *, force: bool) -> None:
    if path.exists() and not force:
        raise UserError(f"{path} exists; give --force to replace it")


def write_file(path: Path, data: bytes) -> None:
    """Writes `data` under a temporary name beside `path`, then renames it.

    Raises:
      UserError: If the target cannot be written; nothing is left behind.
    """
    with atomic_file(path) as temporary:
        temporary.write_bytes(data)


@contextlib.contextmanager
def atomic_file(path: Path) -> Iterator[Path]:
    """Gives an unused name for a file that becomes `path` if the block succeeds.

    Raises:
      UserError: If the target cannot be written; nothing is left behind.
    """
    check_target(path)
    with _beside(Path(path)) as temporary:
        yield temporary
        with open(temporary, "rb") as file:
            os.fsync(file.fileno())


@contextlib.contextmanager
def atomic_folder(path: Path) -> Iterator[Path]:
    """Gives an empty folder that becomes `path`, replacing it, if the block succeeds.

    Raises:
      UserError: If the target cannot be written; nothing is left behind.
    """
    path = Path(path)
    with _beside(path) as temporary:
        temporary.mkdir()
        yield temporary
        if path.is_dir():
            os.replace(path, temporary.with_name("replaced"))


@contextlib.contextmanager
def _beside(path: Path) -> Iterator[Path]:
    """Gives an unused name on the disk of `path`, renamed to it at the end."""
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
