"""Samples of a trained codec: photographs coded to files, and a figure of them."""

import json
from collections.abc import Sequence

from jaxcorr import extras, files, images
from jaxcorr.evaluation import formatting, measure, result_files
from jaxcorr.evaluation.learned import LearnedCodec
from jaxcorr.model import Model
from jaxcorr.paths import AnyPath


def write_samples(model: Model, paths: Sequence[AnyPath], directory: AnyPath) -> str:
    """Codes photographs to files, decodes the files and draws the reconstructions.

    Args:
      model: Model to code with.
      paths: Photographs.
      directory: Folder for the files, the decoded images, `table.json` and
        `comparison.png`.

    Returns:
      Table of measurements, as text.

    Raises:
      UserError: If a photograph cannot be read or a file cannot be written.
    """
    # Matplotlib takes a fifth of the import time of a training, so it is imported late.
    with extras.needs_extra("plots", "drawing"):
        from jaxcorr.visualization import reconstructions

    originals = [images.read_image(path)[0] for path in paths]
    codec, coded = LearnedCodec(model), []
    for path, original in zip(paths, originals, strict=True):
        result = measure.measure_image(codec, original, path.name)
        files.write_file(directory / f"{path.stem}.jxc", result.data)
        images.write_image(directory / f"{path.stem}.png", result.reconstruction)
        coded.append(result)
    metrics = [result.metrics for result in coded]
    reconstructions.save_figure(
        reconstructions.draw_reconstructions(originals, coded),
        directory / "comparison.png",
    )
    result = result_files.make_result(metrics, codec.metadata())
    text = json.dumps(result, indent=2, ensure_ascii=False)
    files.write_file(directory / "table.json", text.encode())
    return formatting.as_text(metrics)
