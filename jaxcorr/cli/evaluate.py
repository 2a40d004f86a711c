"""Commands that measure codecs, draw their latents and write reports."""

import shlex
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Annotated

import tyro
from tyro.conf import Positional

from jaxcorr import files, images, run_directory
from jaxcorr.bitstream.container import Arithmetic
from jaxcorr.cli import batch, measurements
from jaxcorr.cli.arguments import (
    Checkpoint,
    Fast,
    FigurePath,
    Force,
    Image,
    ImageFolder,
    ModelPaths,
    OptionalModelPath,
    ReportFolder,
    argument,
)
from jaxcorr.cli.output import print_note
from jaxcorr.errors import UserError
from jaxcorr.evaluation import classical, formatting, measure, results
from jaxcorr.evaluation.classical import ClassicalCodec
from jaxcorr.evaluation.learned import LearnedCodec
from jaxcorr.evaluation.measure import ImageCodec, ImageMetrics
from jaxcorr.metrics.bjontegaard import Interpolation

CodecName = Annotated[
    str | None,
    argument(
        "|".join(classical.CODECS),
        "Classical codec to evaluate in place of a model.",
        hint="",
    ),
]
Qualities = Annotated[
    tuple[float, ...],
    argument(
        "NUMBER…",
        "Qualities of the classical codec.",
        hint="(default: enough for a rate-distortion curve)",
    ),
]
JsonPath = Annotated[
    Path | None, argument("FILE", "JSON file to write the results to.", hint="")
]
Channel = Annotated[
    int | None,
    argument(
        "NUMBER",
        "Channel of the latents to draw.",
        hint="(default: the one with the highest variance)",
    ),
]
Runs = Annotated[
    Positional[tuple[Path, ...]],
    argument(
        "RUN|FILE…",
        "Evaluated runs, or files and folders with results of `jaxcorr evaluate`.",
        hint="",
    ),
]
EvaluationImages = Annotated[
    Path | None,
    tyro.conf.arg(
        name="images",
        metavar="DIR",
        help="Folder of images on which every RUN is evaluated first.",
        help_behavior_hint="",
    ),
]
Anchor = Annotated[
    str | None,
    argument(
        "CURVE",
        "Curve to compare the others with: its name, or a part of the name.",
        hint="(default: the first curve without the loss)",
    ),
]
InterpolationMethod = Annotated[
    Interpolation, tyro.conf.arg(help="Interpolation between the points of a curve.")
]


def evaluate(
    directory: ImageFolder,
    model: OptionalModelPath = None,
    codec: CodecName = None,
    quality: Qualities = (),
    checkpoint: Checkpoint = "best",
    json: JsonPath = None,
    fast: Fast = False,
) -> None:
    """Codes the images in a folder to files and back, and prints measurements.

    Evaluates every member of a sweep and every quality of a classical codec.
    """
    if (model is None) == (codec is None):
        raise UserError("give either -m MODEL or --codec NAME")
    if quality and codec is None:
        raise UserError("--quality applies to classical codecs: give --codec NAME")
    paths = images.find_images(directory)
    if json is not None:
        files.check_file(json)  # Reported before any model is read.
    codecs: Iterable[ImageCodec]
    if codec is None:
        models = run_directory.model_paths(str(model))
        names = [path.rpartition("@")[2] for path in models]
        # A generator, so that memory holds one or two models at a time.
        codecs = (_load_codec(path, checkpoint, fast=fast) for path in models)
    else:
        codecs = _classical_codecs(codec, quality)
        names = [f"{image_codec.quality:g}" for image_codec in codecs]
    targets = _json_paths(json, names)
    for target in targets.values():
        files.check_file(target)
    complete = True
    for name, image_codec in zip(names, codecs, strict=True):
        metrics = _measure(image_codec, directory, paths, with_title=len(names) > 1)
        if name in targets:
            _write_results(targets[name], image_codec, metrics)
        complete &= len(metrics) == len(paths)
    if not complete:
        sys.exit(2)


def show(
    image: Image,
    model: ModelPaths = (),
    output: FigurePath = None,
    channel: Channel = None,
    checkpoint: Checkpoint = "best",
    force: Force = False,
) -> None:
    """Draws the latents of an image, their predictions and the correlation map."""
    from jaxcorr.visualization import latents_figure, reconstructions

    if not 1 <= len(model) <= 2:
        raise UserError(
            f"give one or two models, -m MODEL [-m MODEL], not {len(model)}"
        )
    if len(set(model)) < len(model):
        raise UserError(f"the two models must differ, but both are {model[0]}")
    ((source, target),) = batch.output_paths([image], output, "-shown.png", force=force)
    if target.suffix != ".png":
        raise UserError(f"{target} must end in .png")
    codecs = [_load_codec(path, checkpoint) for path in model]
    pixels = batch.read_image(source)
    coded = {
        _title_with_settings(codec): measure.measure_image(codec, pixels, source.name)
        for codec in codecs
    }
    reconstructions.save_figure(
        latents_figure.draw_latents(pixels, coded, channel=channel), target
    )
    for title, result in coded.items():
        print(f"{title}: {latents_figure.describe_metrics(result.metrics)}")
    if len(coded) == 2:
        first, second = (result.metrics for result in coded.values())
        difference = latents_figure.describe_differences(first, second)
        print(f"second against first: {difference}")
    print(f"drawn in {target}")


def report(
    runs: Runs,
    output: ReportFolder,
    image_folder: EvaluationImages = None,
    anchor: Anchor = None,
    interpolation: InterpolationMethod = "pchip",
    checkpoint: Checkpoint = "best",
) -> None:
    """Writes a report on evaluated codecs, with tables and figures.

    The report is a Markdown file and one page of HTML.
    """
    from jaxcorr.report import render  # Imports matplotlib.

    if not runs:
        raise UserError(
            "no run is given: name run directories, or results of jaxcorr evaluate"
        )
    files.check_file(output / render.MARKDOWN)
    if image_folder is not None:
        _evaluate_runs(runs, image_folder, checkpoint)
    evaluations = results.read_results(runs)
    comparison = render.write_report(
        evaluations,
        output,
        anchor=anchor,
        interpolation=interpolation,
        command=shlex.join(["jaxcorr", *sys.argv[1:]]),
    )
    for note in comparison.notes:
        print_note(f"note: {note}")
    print(f"{output / render.MARKDOWN}, {output / render.PAGE}")


def _evaluate_runs(runs: Sequence[Path], directory: Path, checkpoint: str) -> None:
    """Evaluates runs, and writes the results to their folders.

    Raises:
      UserError: If a folder cannot hold results, or an image cannot be measured.
    """
    paths = images.find_images(directory)
    models = [path for run in runs for path in run_directory.model_paths(str(run))]
    for path in models:
        if path == run_directory.DEMO:
            raise UserError(
                f"{run_directory.DEMO} has no folder for results: write them to a file "
                f"with `jaxcorr evaluate {directory} -m {run_directory.DEMO} "
                "--json FILE`"
            )
        files.check_file(results.results_path(path))
    for path in models:
        codec = _load_codec(path, checkpoint)
        metrics = _measure(codec, directory, paths, with_title=True)
        if len(metrics) < len(paths):
            raise UserError(f"{directory} holds images that cannot be measured")
        _write_results(results.results_path(path), codec, metrics)


def _json_paths(json: Path | None, names: Sequence[str]) -> dict[str, Path]:
    """Returns the JSON file of each codec by the name of the codec."""
    if json is None:
        return {}
    if len(names) == 1:
        return {names[0]: json}
    return {name: json.with_stem(f"{json.stem}@{name}") for name in names}


def _measure(
    codec: ImageCodec, directory: Path, paths: Sequence[Path], *, with_title: bool
) -> list[ImageMetrics]:
    """Measures a codec and prints the results."""
    metrics = measurements.measure_images(codec, directory, paths)
    if with_title:
        print(f"\n{codec.title}: {codec.metadata().describe()}\n")
    print(formatting.as_text(metrics))
    return metrics


def _write_results(
    target: Path, codec: ImageCodec, metrics: Sequence[ImageMetrics]
) -> None:
    files.write_file(target, formatting.as_json(metrics, codec.metadata()).encode())


def _load_codec(path: str, checkpoint: str, *, fast: bool = False) -> LearnedCodec:
    """Loads the codec of a model folder or a run."""
    model = run_directory.load(path, checkpoint=checkpoint)
    arithmetic = Arithmetic.FAST if fast else Arithmetic.PORTABLE
    return LearnedCodec(model, path=path, arithmetic=arithmetic)


def _classical_codecs(name: str, qualities: Sequence[float]) -> list[ClassicalCodec]:
    """Returns a classical codec at each quality, or by default at those of a curve."""
    qualities = qualities or classical.open_codec(name).qualities
    distinct = {f"{quality:g}": quality for quality in qualities}
    return [ClassicalCodec(name, quality) for quality in distinct.values()]


def _title_with_settings(codec: LearnedCodec) -> str:
    """Returns the path of a model with its settings in a sweep, if it is a member."""
    settings = codec.metadata().describe()
    return f"{codec.title} ({settings})" if settings else codec.title
