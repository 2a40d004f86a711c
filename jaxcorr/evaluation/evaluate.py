"""Evaluates a codec on images in Python, as `jaxcorr evaluate` does."""

import dataclasses
import html
import json
import os
from collections.abc import Sequence
from typing import Any

from tqdm.auto import tqdm

from jaxcorr import files
from jaxcorr import images as image_files
from jaxcorr.bitstream.container import Arithmetic
from jaxcorr.errors import UserError
from jaxcorr.evaluation import formatting, image_set, measure, result_files
from jaxcorr.evaluation.classical import ClassicalCodec
from jaxcorr.evaluation.learned import LearnedCodec
from jaxcorr.evaluation.measure import ImageCodec, ImageMetrics
from jaxcorr.evaluation.metadata import CodecMetadata
from jaxcorr.images import ImageLike
from jaxcorr.model_set import ModelLike, ModelSet
from jaxcorr.paths import AnyPath, as_path
from jaxcorr.run_directory import DEMO


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Evaluation:
    """Measurements of a codec on images, which print as a table.

    Attributes:
      title: Name of the codec.
      codec: Description of the codec.
      images: Measurements of each image.
    """

    title: str
    codec: CodecMetadata
    images: tuple[ImageMetrics, ...]

    @property
    def mean(self) -> dict[str, float | None]:
        """Means over the images that have a value, by the names of `ImageMetrics`."""
        return measure.mean_metrics(self.images)

    def save(self, path: str | AnyPath) -> None:
        """Writes the measurements to a JSON file, which `jaxcorr report` reads.

        Raises:
          UserError: If the file cannot be written.
        """
        result = result_files.make_result(self.images, self.codec)
        text = json.dumps(result_files.file_content([result]), indent=2)
        files.write_file(as_path(path), f"{text}\n".encode())

    def __repr__(self) -> str:
        """Returns a table with one line per image and a last line of means."""
        return f"{self.title}\n{formatting.as_text(self.images)}"

    def _repr_html_(self) -> str:
        """Returns the table for notebooks, in the colors of the notebook."""
        return f"<pre>{html.escape(repr(self))}</pre>"


def evaluate(
    images: ImageLike | Sequence[ImageLike],
    model: ModelLike | None = None,
    *,
    codec: str | None = None,
    quality: float | int | None = None,
    fast: bool = False,
) -> Evaluation:
    """Codes images to the bytes of files and back, and measures both.

    Args:
      images: Image as in `compress`, a folder of images, or a list of either. Images
        that are not paths come first.
      model: Model, or the path of a model folder or run; by default the packaged demo.
      codec: Classical codec to evaluate in place of a model, such as "webp".
      quality: Quality of the classical codec, in its own unit.
      fast: Codes in float32, as in `compress`.

    Raises:
      TypeError: If an argument has another type.
      UserError: If there is no image, if an image cannot be read or coded, or if the
        model or the codec does not exist.
    """
    image_codec = _image_codec(model, codec, quality, fast=fast)
    named = _named_images(images)
    metrics = []
    for name, image in tqdm(named, unit="image", disable=None, leave=False):
        pixels = image_files.to_rgb(image, name=name)
        metrics.append(measure.measure_image(image_codec, pixels, name).metrics)
    return Evaluation(
        title=image_codec.title, codec=image_codec.metadata(), images=tuple(metrics)
    )


def _image_codec(
    model: ModelLike | None,
    codec: str | None,
    quality: float | int | None,
    *,
    fast: bool,
) -> ImageCodec:
    """Returns the model or the classical codec."""
    if codec is None:
        if quality is not None:
            raise UserError('quality applies to classical codecs: give codec="webp"')
        opened = ModelSet(DEMO if model is None else model).only()
        arithmetic = Arithmetic.FAST if fast else Arithmetic.PORTABLE
        return LearnedCodec(opened, path=opened.path, arithmetic=arithmetic)
    if model is not None:
        raise UserError("give either a model or a classical codec, not both")
    if quality is None:
        raise UserError(f"codec {codec} needs a quality, as in quality=80")
    return ClassicalCodec(codec, float(quality))


def _named_images(images: Any) -> list[tuple[str, Any]]:
    """Returns the images with their names in measurements, which are unique."""
    listed = images if isinstance(images, list | tuple) else [images]
    if not listed:
        raise UserError("no image is given")
    numbered = [(f"image {number}", image) for number, image in enumerate(listed, 1)]
    paths = [as_path(x) for x in listed if isinstance(x, str | os.PathLike)]
    if not paths:
        return numbered
    found = list(image_set.find_images(paths).items())
    if len(paths) == len(listed):
        return found
    others = [item for item in numbered if not isinstance(item[1], str | os.PathLike)]
    return [*others, *found]
