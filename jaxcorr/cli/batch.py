"""Processes many files for a command: inputs, output paths, progress and errors."""

import contextlib
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import UInt8
from tqdm.auto import tqdm

from jaxcorr import files, images
from jaxcorr.cli.output import print_error, print_note
from jaxcorr.errors import UserError

FindFiles = Callable[[Path], Sequence[Path]]
"""Returns the input files below a folder."""


def output_paths(
    inputs: Sequence[Path],
    output: str | None,
    suffix: str,
    *,
    force: bool,
    find_files: FindFiles | None = None,
) -> list[tuple[Path, Path]]:
    """Returns the output path of each input, after checking that no file is lost.

    Args:
      inputs: Input files, and folders if `find_files` is given.
      output: Output file, or output folder for several inputs or a folder, whose
        subfolders are kept; a path that ends in a slash is a folder. None writes each
        output beside its input.
      suffix: Suffix of the output files.
      force: Whether existing files may be replaced.
      find_files: Finds the input files below a folder.

    Returns:
      Pairs of input and output.

    Raises:
      UserError: If an output cannot be written, is also an input, or is the output of
        two inputs.
    """
    if not inputs:
        raise UserError("no input file is given")
    names = _names_by_input(inputs, find_files)
    sources = [source for source, _ in names]
    _check_no_output(sources, suffix)
    several = len(sources) > 1 or sources != list(inputs)
    if output is not None and not several and not _names_folder(output):
        targets = [Path(output)]
    else:
        targets = [
            (source if output is None else Path(output, name)).parent
            / f"{source.stem}{suffix}"
            for source, name in names
        ]
    resolved = {source.resolve() for source in sources}
    source_of: dict[Path, Path] = {}
    for source, target in zip(sources, targets, strict=True):
        path = target.resolve()
        if path in source_of:
            raise UserError(
                f"{source_of[path]} and {source} would both become {target}"
            )
        if path in resolved:
            raise UserError(f"{target} would replace an input: give another -o")
        files.check_file(target, force=force)
        source_of[path] = source
    return list(zip(sources, targets, strict=True))


def convert_files(
    pairs: Sequence[tuple[Path, Path]], convert: Callable[[Path, Path], str]
) -> None:
    """Converts files, and exits with status 2 at the end if one of them failed.

    A failure is reported on standard error and does not stop the others.

    Args:
      pairs: Pairs of input and output.
      convert: Writes an output and returns a short description of it.
    """
    failed = False
    # tqdm hides the bar for True, and for None where there is no terminal.
    hide_progress = True if len(pairs) == 1 else None
    for source, target in tqdm(pairs, unit="file", disable=hide_progress):
        start = time.perf_counter()
        try:
            with report_memory_errors(source):
                description = convert(source, target)
        except UserError as error:
            failed = True
            print_error(str(error))
            continue
        seconds = time.perf_counter() - start
        tqdm.write(f"{source} -> {target}: {description}, {seconds:.2f} s")
    if failed:
        sys.exit(2)


def read_image(path: Path) -> UInt8[np.ndarray, "h w 3"]:
    """Reads an image, and reports a conversion to 8-bit RGB on standard error."""
    image, note = images.read_image(path)
    if note:
        print_note(note)
    return image


@contextlib.contextmanager
def report_memory_errors(path: Path) -> Iterator[None]:
    """Turns an out-of-memory error into a `UserError`.

    Args:
      path: Image that the block works on.

    Raises:
      UserError: If memory runs out in the block.
    """
    import jax

    try:
        yield
    except (MemoryError, jax.errors.JaxRuntimeError) as error:
        if isinstance(error, MemoryError) or "RESOURCE_EXHAUSTED" in str(error):
            raise UserError(f"{path} does not fit into memory") from error
        raise


def _check_no_output(sources: Sequence[Path], suffix: str) -> None:
    """Checks that no input is an output that was named without -o, as `cp` takes it.

    Raises:
      UserError: If an input that does not exist has the suffix of the outputs.
    """
    for source in sources:
        if source.suffix.lower() == suffix and not source.exists():
            raise UserError(f"{source} does not exist: an output is named with -o")


def _names_folder(output: str) -> bool:
    """Returns whether a path is a folder, or ends in a slash as that of a folder."""
    separators = (os.sep, os.altsep) if os.altsep else (os.sep,)
    return output.endswith(separators) or Path(output).is_dir()


def _names_by_input(
    inputs: Sequence[Path], find_files: FindFiles | None
) -> list[tuple[Path, Path]]:
    """Returns the input files, each with its name below an output folder."""
    names = []
    for path in inputs:
        if find_files is None or not path.is_dir():
            names.append((path, Path(path.name)))
        else:
            names += [(found, found.relative_to(path)) for found in find_files(path)]
    return names
