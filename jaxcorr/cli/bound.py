"""The command that measures what neighbors could still save in a trained codec."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import numpy as np
from jaxtyping import UInt8
from tqdm.auto import tqdm

from jaxcorr import extras, files, images
from jaxcorr.cli import measurements
from jaxcorr.cli.arguments import Checkpoint, JsonPath, ModelPath, UserPath, argument
from jaxcorr.cli.evaluate import EvaluatedImages
from jaxcorr.cli.output import (
    check_json,
    is_standard_stream,
    print_note,
    text_stream,
    timed,
    write_json,
)
from jaxcorr.errors import UserError
from jaxcorr.evaluation import image_set
from jaxcorr.evaluation.environment import current_environment
from jaxcorr.evaluation.learned import LearnedCodec
from jaxcorr.neighbors import bound as bounds
from jaxcorr.neighbors import samples
from jaxcorr.neighbors.bound import Bound
from jaxcorr.paths import AnyPath
from jaxcorr.transforms.base import latents_across

Picture = Annotated[
    UserPath | None,
    argument(
        "FILE",
        "PNG file to draw savings by channel and correlation maps to.",
        hint="",
        short="-o",
    ),
]


def bound(
    paths: EvaluatedImages,
    model: ModelPath,
    picture: Picture = None,
    json: JsonPath = None,
    checkpoint: Checkpoint = "best",
) -> None:
    """Prints what neighbors could still save in a trained codec, in % of its bits.

    Says before a training what the correlation loss or a context model could gain.
    """
    if picture is not None:
        with extras.needs_extra("plots", "drawing"):
            import matplotlib  # noqa: F401
        if picture.suffix != ".png":
            raise UserError(f"{picture} must end in .png")
        files.check_file(picture, force=True)
    if json is not None:
        check_json(json)
    found = image_set.find_images(paths)
    samples.check_count(len(found))
    codec = measurements.load_codec(model, checkpoint)
    pixels = _read(found)
    with timed("analyze the images"):
        latents, means, scales = _analyze(codec, pixels)
    with timed("fit the predictors"):
        measured = bounds.bound(latents, means, scales, names=[*found])
    print(f"{codec.title}\n\n{measured}", file=text_stream(json))
    if picture is not None:
        from jaxcorr.visualization import bound_figure, reconstructions

        reconstructions.save_figure(
            bound_figure.draw_bound(measured, title=codec.title), picture
        )
        print(f"\ndrawn in {picture}", file=text_stream(json))
    if json is not None:
        write_json(json, _result(codec, [*found], measured))
        if not is_standard_stream(json):
            print(f"\nresult in {json}")


def _read(paths: Mapping[str, AnyPath]) -> list[UInt8[np.ndarray, "_ _ 3"]]:
    """Reads images, and checks that their latents are enough before any is computed."""
    found = []
    for path in paths.values():
        pixels, note = images.read_image(path)
        if note:
            print_note(note)
        found.append(pixels)
    sizes = [tuple(map(latents_across, pixels.shape[:2])) for pixels in found]
    samples.check_sizes(sizes, [*paths])
    return found


def _analyze(
    codec: LearnedCodec, pixels: Sequence[UInt8[np.ndarray, "_ _ 3"]]
) -> tuple[list[np.ndarray], list[np.ndarray], list[np.ndarray]]:
    """Returns the latents, means and scales of images, without their padding."""
    found: tuple[list[np.ndarray], ...] = [], [], []
    for image in tqdm(
        pixels, unit="image", dynamic_ncols=True, disable=None, leave=False
    ):
        output = codec.model.analyze(image)
        for arrays, array in zip(
            found, (output.latent, output.mean, output.scale), strict=True
        ):
            arrays.append(np.asarray(array))
    latents, means, scales = found
    return latents, means, scales


def _result(
    codec: LearnedCodec, names: Sequence[str], measured: Bound
) -> dict[str, Any]:
    """Returns the bound as JSON, with the model, the environment and the images."""
    return {
        "model": codec.metadata().to_json(),
        "environment": current_environment().to_json(),
        "files": list(names),
        **measured.to_json(),
    }
