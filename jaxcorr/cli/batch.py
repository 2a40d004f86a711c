"""Plans the conversion of many files: inputs, and the paths of their outputs."""

import dataclasses
import glob
import os
from collections.abc import Callable, Sequence
from pathlib import PurePath

import numpy as np
from jaxtyping import UInt8

from jaxcorr import files, images, paths
from jaxcorr.cli import output as results
from jaxcorr.cli.output import STANDARD_STREAM, print_note
from jaxcorr.errors import UserError
from jaxcorr.paths import AnyPath, as_path

FindFiles = Callable[[AnyPath], Sequence[AnyPath]]
"""Returns the input files below a folder."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Item:
    """A file to convert.

    Attributes:
      source: Input file; `-` is standard input.
      target: Output file; `-` is standard output.
      page: Number of the page of the input, from 0; None for the one that is chosen.
      failure: Why the output cannot be written, if that is known before any work.
    """

    source: AnyPath
    target: AnyPath
    page: int | None = None
    failure: UserError | None = None

    @property
    def name(self) -> str:
        """Name of the input, for messages."""
        if results.is_standard_stream(self.source):
            return "standard input"
        page = "" if self.page is None else f" page {self.page + 1}"
        return f"{self.source}{page}"


def plan(
    inputs: Sequence[AnyPath],
    output: str | None,
    suffix: str,
    *,
    force: bool,
    skip_existing: bool = False,
    find_files: FindFiles | None = None,
    count_pages: Callable[[AnyPath], int] | None = None,
) -> list[Item]:
    """Returns what is to be converted, after checking that no file is lost.

    An output that cannot be written, such as one with too long a name, is a failure of
    its item alone, unless there is no other.

    Args:
      inputs: Input files and patterns of them, and folders if `find_files` is given; or
        `-` alone.
      output: Output file, or output folder for several inputs or a folder, whose
        subfolders are kept; a path that ends in a slash is a folder, and `-` is
        standard output. None writes each output beside its input, and that of standard
        input to standard output.
      suffix: Suffix of the output files.
      force: Whether existing files may be replaced.
      skip_existing: Whether inputs whose outputs exist are left out.
      find_files: Finds the input files below a folder.
      count_pages: Counts the pages of a file, each of which becomes an output; None for
        one output for each file.

    Raises:
      UserError: If no output can be written, or one exists without `force`, is also an
        input, or is the output of two inputs.
    """
    if not inputs:
        raise UserError("no input file is given")
    if force and skip_existing:
        raise UserError("give either --force or --skip-existing")
    names = _names_by_input(inputs, find_files)
    sources = [source for source, _ in names]
    _check_no_output(sources, suffix)
    several = len(sources) > 1 or sources != list(inputs)
    if several and STANDARD_STREAM in [*sources, as_path(output or "")]:
        raise UserError("standard input and standard output take a single file")
    if output is None and not several and results.is_standard_stream(sources[0]):
        output = "-"
    if output is not None and not several and not _names_folder(output):
        targets = [as_path(output)]
    else:
        targets = [
            (source if output is None else as_path(output) / name).parent
            / f"{source.stem}{suffix}"
            for source, name in names
        ]
    items = [
        item
        for source, target in zip(sources, targets, strict=True)
        for item in _split_pages(source, target, count_pages)
    ]
    return _check_targets(items, force=force, skip_existing=skip_existing)


def read_image(path: AnyPath) -> UInt8[np.ndarray, "h w 3"]:
    """Reads an image, and reports what was changed on standard error."""
    image, note = images.read_image(path)
    if note:
        print_note(note)
    return image


def _split_pages(
    source: AnyPath, target: AnyPath, count_pages: Callable[[AnyPath], int] | None
) -> list[Item]:
    """Returns an item for each page, whose target has the number of the page."""
    count = 1
    if count_pages is not None and not results.is_standard_stream(source):
        count = count_pages(source)
    if count == 1:
        return [Item(source=source, target=target)]
    width = len(str(count))
    return [
        Item(
            source=source,
            target=target.with_name(
                f"{target.stem}-{page + 1:0{width}}{target.suffix}"
            ),
            page=page,
        )
        for page in range(count)
    ]


def _check_targets(
    items: Sequence[Item], *, force: bool, skip_existing: bool
) -> list[Item]:
    """Returns the items whose targets are to be written; see `plan`."""
    sources = {paths.identity(item.source) for item in items}
    source_of: dict[str, AnyPath] = {}
    kept = []
    for item in items:
        if results.is_standard_stream(item.target):
            kept.append(item)
            continue
        path = paths.identity(item.target)
        if path in source_of:
            raise UserError(
                f"{source_of[path]} and {item.source} would both become {item.target}"
            )
        if path in sources:
            raise UserError(f"{item.target} would replace an input: give another -o")
        source_of[path] = item.source
        if skip_existing and paths.exists(item.target):
            continue
        failure = _find_failure(item.target)
        if failure is None:
            files.check_replaceable(item.target, force=force)
        kept.append(dataclasses.replace(item, failure=failure))
    if len(kept) < len(items):
        skipped = len(items) - len(kept)
        print_note(f"skipped {skipped} of {len(items)} files whose outputs exist")
    failures = [item.failure for item in kept if item.failure]
    if failures and len(failures) == len(kept):
        raise failures[0]
    return kept


def _find_failure(target: AnyPath) -> UserError | None:
    """Returns why a file cannot be written to a path, or None."""
    try:
        files.check_file(target)
    except UserError as error:
        return error
    return None


def _check_no_output(sources: Sequence[AnyPath], suffix: str) -> None:
    """Checks that no input is an output that was named without -o, as `cp` takes it.

    Raises:
      UserError: If an input that does not exist has the suffix of the outputs.
    """
    for source in sources:
        if source.suffix.lower() == suffix and not paths.exists(source):
            raise UserError(f"{source} does not exist: an output is named with -o")


def _names_folder(output: str) -> bool:
    """Returns whether a path is a folder, or ends in a slash as that of a folder."""
    separators = (os.sep, os.altsep) if os.altsep else (os.sep,)
    return output.endswith(separators) or paths.is_folder(as_path(output))


def _names_by_input(
    inputs: Sequence[AnyPath], find_files: FindFiles | None
) -> list[tuple[AnyPath, PurePath]]:
    """Returns the input files, each with its name below an output folder."""
    names = []
    for given in inputs:
        for path in _expand(given):
            if find_files is None or not paths.is_folder(path):
                names.append((path, PurePath(path.name)))
            else:
                found = find_files(path)
                names += [(file, file.relative_to(path)) for file in found]
    return names


def _expand(path: AnyPath) -> list[AnyPath]:
    """Returns the paths of a pattern that the shell left as it is."""
    if not glob.has_magic(str(path)):
        return [path]
    is_path = paths.exists(path) if paths.is_remote(path) else os.path.lexists(path)
    return [path] if is_path else paths.matches(path) or [path]
