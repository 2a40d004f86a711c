"""Writes files whole or not at all."""

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from jaxcorr.errors import UserError


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
            shutil.rmtree(path)


@contextlib.contextmanager
def _beside(path: Path) -> Iterator[Path]:
    """Gives an unused name in the folder of `path`, renamed to it at the end."""
    temporary = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mktemp(dir=path.parent, prefix=f".{path.name}."))
        yield temporary
        os.replace(temporary, path)
    except OSError as error:
        reason = error.strerror or error
        raise UserError(f"cannot write {path}: {reason}") from error
    finally:
        if temporary is not None and temporary.is_dir():
            shutil.rmtree(temporary, ignore_errors=True)
        elif temporary is not None:
            temporary.unlink(missing_ok=True)
