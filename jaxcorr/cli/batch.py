"""Processes many files for a command: output paths, progress and errors."""

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
    """Returns the output path of each input, after checking that no file is lost.

    Args:
      sources: Input files.
      output: Output file, or output folder for several inputs; None writes each output
        beside its input.
      suffix: Suffix of the output files.
      force: Whether existing files may be replaced.

    Returns:
      Pairs of input and output.

    Raises:
      UserError: If an output cannot be written, is also an input, or is the output of
        two inputs.
    """
    if not sources:
        raise UserError("no input file is given")
    if output is None:
        targets = [source.parent / f"{source.stem}{suffix}" for source in sources]
    elif len(sources) > 1 or output.is_dir():
        targets = [output / f"{source.stem}{suffix}" for source in sources]
    else:
        targets = [output]
    inputs = {source.resolve() for source in sources}
    source_of: dict[Path, Path] = {}
    for source, target in zip(sources, targets, strict=True):
        path = target.resolve()
        if path in source_of:
            raise UserError(
                f"{source_of[path]} and {source} would both become {target}"
            )
        if path in inputs:
            raise UserError(f"{target} would replace an input")
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
            print_error(f"error: {error}")
            continue
        seconds = time.perf_counter() - start
        tqdm.write(f"{source} -> {target}: {description}, {seconds:.2f} s")
    if failed:
        sys.exit(2)


def measure_images(
    codec: ImageCodec, directory: Path, paths: Sequence[Path]
) -> list[ImageMetrics]:
    """Measures a codec on images, and reports failures on standard error.

    Args:
      codec: Codec to measure.
      directory: Folder that the names of the images are relative to.
      paths: Images below the folder.

    Returns:
      Measurements of the images that did not fail.

    Raises:
      UserError: If no image can be measured.
    """
    measurements = []
    for path in tqdm(paths, unit="image", dynamic_ncols=True, disable=None):
        try:
            name = str(path.relative_to(directory))
            with report_memory_errors(path):
                image = read_image(path)
                metrics = measure.measure_image(codec, image, name).metrics
        except UserError as error:
            print_error(f"error: {error}")
            continue
        measurements.append(metrics)
    if not measurements:
        raise UserError(f"{directory}: none of {len(paths)} images can be measured")
    return measurements


def read_image(path: Path) -> UInt8[np.ndarray, "h w 3"]:
    """Reads an image, and reports a conversion to 8-bit RGB on standard error."""
    image, note = images.read_image(path)
    if note:
        print_error(note)
    return image


@contextlib.contextmanager
def report_memory_errors(path: Path) -> Iterator[None]:
    """Turns an out-of-memory error into a `UserError`.

    Args:
      path: Image that the block works on.

    Raises:
      UserError: If memory runs out in the block.
    """
    try:
        yield
    except (MemoryError, jax.errors.JaxRuntimeError) as error:
        if isinstance(error, MemoryError) or "RESOURCE_EXHAUSTED" in str(error):
            raise UserError(f"{path} does not fit into memory") from error
        raise


def print_error(line: str) -> None:
    """Prints a line to standard error, above the progress bar."""
    tqdm.write(f"jaxcorr: {line}", file=sys.stderr)
