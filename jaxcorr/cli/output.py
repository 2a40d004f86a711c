"""Where the commands write results: to a file, or to standard output for the path `-`.

A command that writes results to standard output prints its text on standard error, so
that other programs can read the results: `jaxcorr info photo.jxc --json - | jq .`.
"""

import json
import sys
from pathlib import Path
from typing import Any, TextIO

from jaxcorr import files

STANDARD_OUTPUT = Path("-")
"""Path that names standard output."""


def is_standard_output(path: Path | str | None) -> bool:
    """Returns whether a path of an option names standard output."""
    return path is not None and Path(path) == STANDARD_OUTPUT


def check_json(path: Path | str, *, force: bool = True) -> None:
    """Checks, before any work, that results may be written to a path.

    Args:
      path: File to write, or `-` for standard output.
      force: Whether an existing file may be replaced.

    Raises:
      UserError: If the path cannot be written, or exists without `force`.
    """
    if not is_standard_output(path):
        files.check_file(Path(path), force=force)


def write_json(path: Path | str, value: Any) -> None:
    """Writes a value as indented JSON.

    Args:
      path: File to write, or `-` for standard output.
      value: Dictionaries, lists, strings, numbers, booleans and None.

    Raises:
      UserError: If the file cannot be written.
    """
    text = json.dumps(value, indent=2, ensure_ascii=False) + "\n"
    if is_standard_output(path):
        sys.stdout.write(text)
        sys.stdout.flush()
    else:
        files.write_file(Path(path), text.encode())


def text_stream(json_path: Path | str | None) -> TextIO:
    """Returns the stream for the text of a command, beside its JSON results.

    Args:
      json_path: Path of the JSON results; None if there are none.

    Returns:
      Standard error if the results are on standard output, otherwise standard output.
    """
    return sys.stderr if is_standard_output(json_path) else sys.stdout
