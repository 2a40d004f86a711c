"""Writes files whole or not at all."""

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from jaxcorr.errors import UserError


def check_target(path: Path) -> None:
    """Refuses, before any work, a path at which no file can be written.

    Raises:
      UserError: If it is a folder or a device, or if it cannot be in its folder.
    """
    path = Path(path)
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
    """Refuses, before any work, to replace anything but an older folder of its kind.

    Args:
      path: The folder that is to be written.
      kind: What it is to be, in words.
      is_one: Whether what is there is one already.
      force: Whether such a one may be replaced.

    Raises:
      UserError: If something else is there, or an older one and not `force`.
    """
    if path.exists() and not is_one:
        raise UserError(f"{path} exists and is no {kind}")
    if path.exists() and not force:
        raise UserError(f"{path} exists; give --force to replace it")


def write_file(path: Path, data: bytes) -> None:
    """Writes `data` under a temporary name beside `path`, then renames it.

    Raises:
      UserError: If the target cannot be written; nothing is left behind.
    """
    with new_file(path) as temporary:
        temporary.write_bytes(data)


@contextlib.contextmanager
def new_file(path: Path) -> Iterator[Path]:
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
def new_folder(path: Path) -> Iterator[Path]:
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
