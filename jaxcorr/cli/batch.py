"""Many files one after another: where each goes, and what is told of it."""

import contextlib
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import jax
import numpy as np
from jaxtyping import UInt8
from tqdm.auto import tqdm

from jaxcorr import files, images
from jaxcorr.errors import UserError
from jaxcorr.evaluation import measure
from jaxcorr.evaluation.measure import ImageCodec, ImageMetrics


def output_paths(
    sources: Sequence[Path], output: Path | None, suffix: str, *, force: bool
) -> list[tuple[Path, Path]]:
    """Where each input goes; refuses, before any work, to lose a file.

    Args:
      sources: Inputs.
      output: File, or folder for several; beside each input if None.
      suffix: Ending of the files.
      force: Whether to replace files that exist.

    Returns:
      Each input with its output.

    Raises:
      UserError: If an output cannot be written, or is an input or another output.
    """
    if not sources:
        raise UserError("no input is named")
    if output is None:
        places = [source.parent / f"{source.stem}{suffix}" for source in sources]
    elif len(sources) > 1 or output.is_dir():
        places = [output / f"{source.stem}{suffix}" for source in sources]
    else:
        places = [output]
    inputs = {source.resolve() for source in sources}
    taken: dict[Path, Path] = {}
    for source, target in zip(sources, places, strict=True):
        place = target.resolve()
        if place in taken:
            raise UserError(f"{taken[place]} and {source} would both become {target}")
        if place in inputs:
            raise UserError(f"{target} would replace an input")
        files.check_file(target, force=force)
        taken[place] = source
    return list(zip(sources, places, strict=True))


def convert_files(
    pairs: Sequence[tuple[Path, Path]], convert: Callable[[Path, Path], str]
) -> None:
    """Converts one file after another; a bad one is told of and the rest go on.

    Args:
      pairs: Inputs with their outputs.
      convert: Writes an output, and says in some words what it is.
    """
    failed = False
    hidden = len(pairs) == 1 or None  # None hides it where there is no terminal.
    for source, target in tqdm(pairs, unit="file", disable=hidden):
        start = time.perf_counter()
        try:
            with report_memory_errors(source):
                result = convert(source, target)
        except UserError as error:
            failed = True
            print_error(f"error: {error}")
            continue
        seconds = time.perf_counter() - start
        tqdm.write(f"{source} -> {target}: {result}, {seconds:.2f} s")
    if failed:
        sys.exit(2)


def measure_images(
    codec: ImageCodec, directory: Path, paths: Sequence[Path]
) -> list[ImageMetrics]:
    """Measures images below a folder; a bad one is told of and the rest go on.

    Args:
      codec: The codec to measure.
      directory: The folder.
      paths: The images.

    Raises:
      UserError: If none can be measured.
    """
    measured = []
    for path in tqdm(paths, unit="image", dynamic_ncols=True, disable=None):
        try:
            name = str(path.relative_to(directory))
            with report_memory_errors(path):
                image = read_image(path)
                row = measure.measure_image(codec, image, name).metrics
        except UserError as error:
            print_error(f"error: {error}")
            continue
        measured.append(row)
    if not measured:
        raise UserError(f"{directory}: none of {len(paths)} images can be measured")
    return measured


def read_image(path: Path) -> UInt8[np.ndarray, "h w 3"]:
    """Reads an image, and says on standard error what had to be converted."""
    image, note = images.read_image(path)
    if note:
        print_error(note)
    return image


@contextlib.contextmanager
def report_memory_errors(path: Path) -> Iterator[None]:
    """Tells a user whose machine is too small for an image.

    Raises:
      UserError: If memory runs out within the block.
    """
    try:
        yield
    except (MemoryError, jax.errors.JaxRuntimeError) as error:
        if isinstance(error, MemoryError) or "RESOURCE_EXHAUSTED" in str(error):
            raise UserError(f"{path} does not fit into memory") from error
        raise


def print_error(line: str) -> None:
    """Writes a line to standard error, above the progress bar."""
    tqdm.write(f"jaxcorr: {line}", file=sys.stderr)
