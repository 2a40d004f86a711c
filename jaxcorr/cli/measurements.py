"""Measures codecs on the images of a folder, for the commands that evaluate."""

from collections.abc import Sequence
from pathlib import Path

from tqdm.auto import tqdm

from jaxcorr.cli.batch import read_image, report_memory_errors
from jaxcorr.cli.output import print_error
from jaxcorr.errors import UserError
from jaxcorr.evaluation import measure
from jaxcorr.evaluation.measure import ImageCodec, ImageMetrics


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
            print_error(str(error))
            continue
        measurements.append(metrics)
    if not measurements:
        raise UserError(f"{directory}: none of {len(paths)} images can be measured")
    return measurements
