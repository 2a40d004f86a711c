"""Output of the commands: results as JSON, text, notes and errors.

`--json -` writes results to standard output, for other programs:
`jaxcorr info photo.jxc --json - | jq .`. `--quiet` leaves errors and such results,
and `--verbose` adds details on standard error.
"""

import contextlib
import enum
import json
import os
import sys
import time
import traceback
from collections.abc import Iterator, Sequence
from contextvars import ContextVar
from pathlib import Path
from typing import Any

from jaxcorr import files
from jaxcorr.errors import UserError
from jaxcorr.paths import AnyPath, as_path

STANDARD_STREAM = Path("-")
"""Path that names standard input or standard output."""


class Verbosity(enum.IntEnum):
    """Amount of text that a command prints."""

    QUIET = 0
    """Errors, and results that `--json -` requests."""
    NORMAL = 1
    """Also the text and notes of the command."""
    VERBOSE = 2
    """Also times of the parts, versions, the device, and tracebacks of errors."""


FLAGS = {"--quiet": Verbosity.QUIET, "--verbose": Verbosity.VERBOSE}
"""Flags of all commands, before or after the name of the command."""

_VERBOSITY = ContextVar("verbosity", default=Verbosity.NORMAL)
_HELD: ContextVar[list[tuple[str, bool]] | None] = ContextVar("held", default=None)
_RESULTS: ContextVar[Any] = ContextVar("results", default=None)


def split_verbosity(arguments: Sequence[str]) -> tuple[Verbosity, list[str]]:
    """Returns the verbosity that arguments request, and the other arguments.

    Args:
      arguments: Arguments of the command line. None after `--` is a flag.

    Raises:
      UserError: If the arguments request two verbosities.
    """
    end = arguments.index("--") if "--" in arguments else len(arguments)
    flags = sorted({value for value in arguments[:end] if value in FLAGS})
    if len(flags) > 1:
        raise UserError(f"give either {' or '.join(flags)}")
    others = [value for value in arguments[:end] if value not in FLAGS]
    verbosity = FLAGS[flags[0]] if flags else Verbosity.NORMAL
    return verbosity, [*others, *arguments[end:]]


@contextlib.contextmanager
def use_verbosity(verbosity: Verbosity) -> Iterator[None]:
    """Sets how much the block prints.

    A quiet block also hides what the layers below the commands print, and shows no
    progress bar.
    """
    token = _VERBOSITY.set(verbosity)
    with contextlib.ExitStack() as stack:
        stack.callback(_VERBOSITY.reset, token)
        if verbosity == Verbosity.QUIET:
            results = _RESULTS.set(sys.stdout)
            stack.callback(_RESULTS.reset, results)
            nowhere = stack.enter_context(open(os.devnull, "w"))
            stack.enter_context(contextlib.redirect_stdout(nowhere))
            errors: Any = _NoTerminal(sys.stderr)
            stack.enter_context(contextlib.redirect_stderr(errors))
        yield


def is_verbose() -> bool:
    """Returns whether details are printed."""
    return _VERBOSITY.get() == Verbosity.VERBOSE


def print_error(line: str) -> None:
    """Prints a line about an error to standard error, above the progress bar."""
    _print_above_bar(f"jaxcorr: error: {line}")


def print_note(line: str) -> None:
    """Prints a line to standard error, above the progress bar, unless quiet."""
    if _VERBOSITY.get() > Verbosity.QUIET:
        _print_above_bar(f"jaxcorr: {line}")


def print_detail(line: str) -> None:
    """Prints a line to standard error, above the progress bar, if verbose."""
    if is_verbose():
        _print_above_bar(f"jaxcorr: {line}")


def print_result(line: str) -> None:
    """Prints a line to standard output, above the progress bar."""
    _print_above_bar(line, is_result=True)


def print_traceback() -> None:
    """Prints the traceback of the error that is handled, if verbose."""
    if is_verbose():
        _print_above_bar(traceback.format_exc().rstrip())


@contextlib.contextmanager
def hold_lines() -> Iterator[list[tuple[str, bool]]]:
    """Holds the lines that the block prints, to be printed by `print_held`.

    So the lines of files that threads convert at once are not mixed.
    """
    lines = []
    token = _HELD.set(lines)
    try:
        yield lines
    finally:
        _HELD.reset(token)


def print_held(lines: Sequence[tuple[str, bool]]) -> None:
    """Prints the lines that `hold_lines` held."""
    for line, is_result in lines:
        _print_above_bar(line, is_result=is_result)


def write_data(path: AnyPath, data: bytes) -> None:
    """Writes bytes to a file, completely or not at all, or to standard output.

    Raises:
      UserError: If the file cannot be written.
    """
    if is_standard_stream(path):
        stream = (_RESULTS.get() or sys.stdout).buffer
        stream.write(data)
        stream.flush()
    else:
        files.write_file(path, data)


@contextlib.contextmanager
def open_output(path: AnyPath) -> Iterator[Any]:
    """Opens a file that is written completely or not at all, or standard output.

    Raises:
      UserError: If the file cannot be written.
    """
    if is_standard_stream(path):
        stream = (_RESULTS.get() or sys.stdout).buffer
        yield stream
        stream.flush()
    else:
        with files.atomic_file(path) as temporary, temporary.open("wb") as file:
            yield file


def read_data(path: AnyPath) -> bytes:
    """Reads a file or standard input.

    Raises:
      UserError: If the file cannot be read.
    """
    return (
        sys.stdin.buffer.read() if is_standard_stream(path) else files.read_file(path)
    )


def show_any_name() -> None:
    """Lets the standard streams replace what they cannot encode.

    Names of files may hold bytes that are not text, for which Python would stop.
    """
    for stream in (sys.stdout, sys.stderr):
        if getattr(stream, "errors", None) == "strict":
            stream.reconfigure(errors="replace")  # pyright: ignore[reportAttributeAccessIssue]


@contextlib.contextmanager
def timed(part: str) -> Iterator[None]:
    """Prints the time of the block as a detail.

    Args:
      part: Name of the part of the command, such as "read the model".
    """
    start = time.perf_counter()
    yield
    print_detail(f"{part}: {time.perf_counter() - start:.2f} s")


def is_standard_stream(path: AnyPath | str | None) -> bool:
    """Returns whether a path names standard input or standard output."""
    return path is not None and as_path(path) == STANDARD_STREAM


def check_json(path: AnyPath | str, *, force: bool = True) -> None:
    """Checks, before any work, that results may be written to a path.

    Args:
      path: File to write, or `-` for standard output.
      force: Whether an existing file may be replaced.

    Raises:
      UserError: If the path cannot be written, or exists without `force`.
    """
    if not is_standard_stream(path):
        files.check_file(as_path(path), force=force)


def write_json(path: AnyPath | str, value: Any) -> None:
    """Writes a value as indented JSON.

    Args:
      path: File to write, or `-` for standard output.
      value: Dictionaries, lists, strings, numbers, booleans and None.

    Raises:
      UserError: If the file cannot be written.
    """
    text = json.dumps(value, indent=2, ensure_ascii=False) + "\n"
    # Names of files may hold bytes of no encoding, which JSON escapes as Python does.
    text = text.encode(errors="backslashreplace").decode()
    if is_standard_stream(path):
        stream = _RESULTS.get() or sys.stdout
        stream.write(text)
        stream.flush()
    else:
        files.write_file(as_path(path), text.encode())


def text_stream(json_path: AnyPath | str | None) -> Any:
    """Returns the stream for the text of a command, beside its JSON results.

    Args:
      json_path: Path of the JSON results; None if there are none.

    Returns:
      Standard error if the results are on standard output, otherwise standard output.
    """
    if not is_standard_stream(json_path):
        return sys.stdout
    return sys.stdout if _RESULTS.get() else sys.stderr


def _print_above_bar(line: str, *, is_result: bool = False) -> None:
    if (held := _HELD.get()) is not None:
        held.append((line, is_result))
        return
    stream = sys.stdout if is_result else sys.stderr
    if "tqdm" in sys.modules:  # Without tqdm there is no bar to print above.
        from tqdm import tqdm

        tqdm.write(line, file=stream)
    else:
        print(line, file=stream)


class _NoTerminal:
    """A stream that is not a terminal, so that nobody draws a progress bar on it."""

    def __init__(self, stream: Any):
        self._stream = stream

    def __getattr__(self, name: str) -> Any:
        """Returns an attribute of the stream."""
        return getattr(self._stream, name)

    def isatty(self) -> bool:
        """Returns False."""
        return False
