"""Checks that all hosts of a run see the same run directory."""

import contextlib
import json
import socket
import time
import uuid

import jax

from jaxcorr.errors import TransientError, UserError
from jaxcorr.hosts import messages
from jaxcorr.paths import AnyPath, is_remote, make_folder
from jaxcorr.storage_errors import describe_error, may_pass

SECONDS = 20
"""Seconds that a network file system may take to show a new file."""


def check_shared(workdir: AnyPath) -> None:
    """Checks that every process sees what process 0 writes in the run directory.

    Every process must call it. With a single process it does nothing. Nothing is left
    behind.

    Args:
      workdir: The run directory.

    Raises:
      UserError: In every process, if one does not see the file, or if the directory
        cannot be written.
    """
    if jax.process_count() == 1:
        return
    with contextlib.ExitStack() as stack:
        name, problem = f".jaxcorr-token-{uuid.uuid4().hex}", ""
        passes = False
        if jax.process_index() == 0:
            try:
                stack.callback(remove_if_empty, workdir)
                make_folder(workdir)
                stack.callback(_remove, workdir / name)
                (workdir / name).write_text(name)
            except Exception as error:  # Storage raises errors of many classes.
                problem = f"cannot write {workdir}: {describe_error(error)}"
                passes = may_pass(error)
        first = json.dumps([problem, passes, name, socket.gethostname()])
        problem, passes, name, host = json.loads(messages.gather("token", first)[0])
        if problem:
            raise TransientError(problem) if passes else UserError(problem)
        sees = _sees(workdir / name)
        rows = messages.gather("seen", "" if sees else socket.gethostname())
    blind = [(index, row) for index, row in enumerate(rows) if row]
    if blind:
        index, own_host = blind[0]
        others = f" (nor do {len(blind) - 1} others)" if len(blind) > 1 else ""
        raise UserError(
            f"process {index} ({own_host}){others} does not see what process 0 "
            f"({host}) wrote in {workdir}: give a --workdir on a disk that all hosts "
            "share, or in a bucket"
        )


def remove_if_empty(folder: AnyPath) -> None:
    """Removes a folder in which nothing is; a run that is refused leaves nothing."""
    if not is_remote(folder):  # Buckets have no folders.
        with contextlib.suppress(OSError):
            folder.rmdir()


def _sees(file: AnyPath) -> bool:
    """Returns whether a file appears."""
    deadline = time.monotonic() + SECONDS
    while time.monotonic() < deadline:
        with contextlib.suppress(Exception):  # Storage raises errors of many classes.
            if file.read_text() == file.name:
                return True
        time.sleep(0.2)
    return False


def _remove(file: AnyPath) -> None:
    with contextlib.suppress(Exception):  # Storage raises errors of many classes.
        file.unlink()
