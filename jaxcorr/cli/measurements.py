"""Measures codecs on images for a command: loading, progress, errors and the table."""

import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
from jaxtyping import UInt8
from tqdm.auto import tqdm

from jaxcorr import images, run_directory
from jaxcorr.bitstream.container import Arithmetic
from jaxcorr.cli import conversion
from jaxcorr.cli.output import print_error, print_note
from jaxcorr.errors import UserError
from jaxcorr.evaluation import classical, formatting, measure
from jaxcorr.evaluation.classical import ClassicalCodec
from jaxcorr.evaluation.learned import LearnedCodec
from jaxcorr.evaluation.measure import ImageCodec, ImageMetrics
from jaxcorr.paths import AnyPath


class LazyCodecs:
    """Codecs that are loaded one after another, so that memory holds few models.

    The first is loaded at once: an error in a model is reported before other errors.

    Args:
      loaders: Load the codecs; at least one.
    """

    def __init__(self, loaders: Sequence[Callable[[], ImageCodec]]):
        self._loaders = loaders
        self._first = loaders[0]()

    def __len__(self) -> int:
        """Returns the number of codecs."""
        return len(self._loaders)

    def __iter__(self) -> Iterator[ImageCodec]:
        """Loads and yields the codecs."""
        yield self._first
        for load in self._loaders[1:]:
            yield load()


Codecs = LazyCodecs | Sequence[ClassicalCodec]
"""Codecs of one evaluation."""


def open_models(
    path: str, checkpoint: str, *, fast: bool = False, memory: int | None = None
) -> LazyCodecs:
    """Returns the models of a run directory or a model folder.

    Args:
      path: Model folder, run directory, member of a sweep, or built-in model.
      checkpoint: Checkpoint of a run, as in `run_directory.load`.
      fast: Whether to code with fast arithmetic.
      memory: Memory that coding may take, in bytes, as in `coding.encode`.

    Raises:
      UserError: If the path has no model, or the first one cannot be read.
    """
    names = run_directory.model_paths(path)
    load = partial(load_codec, checkpoint=checkpoint, fast=fast, memory=memory)
    return LazyCodecs([partial(load, name) for name in names])


def open_classical(name: str, qualities: Sequence[float]) -> list[ClassicalCodec]:
    """Returns a classical codec at each quality, or by default at those of a curve.

    Raises:
      UserError: If the codec is not available, or a quality is out of its range.
    """
    qualities = qualities or classical.open_codec(name).qualities
    return [ClassicalCodec(name, quality) for quality in dict.fromkeys(qualities)]


def load_codec(
    path: str, checkpoint: str, *, fast: bool = False, memory: int | None = None
) -> LearnedCodec:
    """Loads the codec of a model folder or a run; see `open_models`."""
    model = run_directory.load(path, checkpoint=checkpoint)
    arithmetic = Arithmetic.FAST if fast else Arithmetic.PORTABLE
    return LearnedCodec(model, path=path, arithmetic=arithmetic, memory=memory)


class ImageReader:
    """Reads the images of an evaluation once per codec, and reports each problem once.

    Args:
      paths: Images by their names in results.

    Attributes:
      paths: Images that were readable so far. Other codecs are not measured on the
        others.
    """

    def __init__(self, paths: Mapping[str, AnyPath]):
        self.paths = dict(paths)
        self._noted: set[str] = set()

    def read(self, name: str) -> UInt8[np.ndarray, "h w 3"]:
        """Reads an image, and reports a conversion to 8-bit RGB on standard error.

        Raises:
          UserError: If the image cannot be read. It is removed from `paths`.
        """
        try:
            image, note = images.read_image(self.paths[name])
        except UserError:
            del self.paths[name]
            raise
        if note and name not in self._noted:
            print_note(note)
            self._noted.add(name)
        return image


def measure_images(codec: ImageCodec, reader: ImageReader) -> list[ImageMetrics]:
    """Measures a codec on images, and reports failures on standard error.

    Args:
      codec: Codec to measure.
      reader: Images to measure it on.

    Returns:
      Measurements of the images that did not fail.

    Raises:
      UserError: If no image can be measured.
    """
    rows, count = [], len(reader.paths)
    bar = tqdm([*reader.paths.items()], unit="image", dynamic_ncols=True, disable=None)
    for name, path in bar:
        try:
            with conversion.report_memory_errors(path):
                image = reader.read(name)
                rows.append(measure.measure_image(codec, image, name).metrics)
        except UserError as error:
            if count == 1:
                raise
            print_error(str(error))
    if not rows:
        raise UserError(f"none of {count} images can be measured")
    return rows


def print_table(
    codec: ImageCodec, rows: Sequence[ImageMetrics], *, with_title: bool, file: Any
) -> None:
    """Prints measurements, as wide as the terminal if they are printed on one.

    Args:
      codec: Codec that was measured.
      rows: Measurements of images.
      with_title: Whether to print the name of the codec above the table.
      file: Stream to print to.
    """
    if with_title:
        print(f"\n{codec.title}: {codec.metadata().describe()}\n", file=file)
    width = shutil.get_terminal_size().columns if file.isatty() else None
    print(formatting.as_text(rows, width=width), file=file, flush=True)
