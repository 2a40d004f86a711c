"""Commands that measure codecs and draw what they do."""

import shlex
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Annotated

import tyro
from tyro.conf import Positional

from jaxcorr import files, images, run_directory
from jaxcorr.bitstream.container import Arithmetic
from jaxcorr.cli import batch
from jaxcorr.cli.arguments import (
    Checkpoint,
    Fast,
    Force,
    Image,
    ImageFolder,
    ModelPaths,
    OptionalModelPath,
    OutputPath,
    ReportFolder,
    argument,
)
from jaxcorr.errors import UserError
from jaxcorr.evaluation import classical, formatting, measure, results
from jaxcorr.evaluation.classical import ClassicalCodec
from jaxcorr.evaluation.learned import LearnedCodec
from jaxcorr.evaluation.measure import ImageCodec, ImageMetrics
from jaxcorr.metrics.bjontegaard import Interpolation

CodecName = Annotated[
    str | None,
    argument(
        "|".join(classical.CODECS), "Classical codec, instead of a model.", hint=""
    ),
]
Qualities = Annotated[
    tuple[float, ...],
    argument(
        "NUMBER…", "Of the classical codec.", hint="(default: enough for a curve)"
    ),
]
JsonPath = Annotated[
    Path | None, argument("FILE", "Also write the table here.", hint="")
]
Channel = Annotated[
    int | None,
    argument("NUMBER", "Of the latents.", hint="(default: the most varied)"),
]
Runs = Annotated[
    Positional[tuple[Path, ...]],
    argument(
        "RUN|FILE…", "Runs with tables in them, folders of tables, tables.", hint=""
    ),
]
Photographs = Annotated[
    Path | None,
    tyro.conf.arg(
        name="images",
        metavar="DIR",
        help="First evaluate every RUN on these photographs.",
        help_behavior_hint="",
    ),
]
Anchor = Annotated[
    str | None,
    argument(
        "CURVE",
        "Curve to compare with, by its name or a part of it.",
        hint="(default: the first without the loss)",
    ),
]
BetweenPoints = Annotated[
    Interpolation, tyro.conf.arg(help="Between the points of a curve.")
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
    """Codes every image below a folder to real bytes and back, and prints a table.

    Of a sweep, all members are evaluated one after another; of a classical codec, all
    qualities.
    """
    if (model is None) == (codec is None):
        raise UserError("give either -m MODEL or --codec NAME")
    if quality and codec is None:
        raise UserError("--quality is of classical codecs: give --codec NAME")
    paths = images.find_images(directory)
    if json is not None:
        files.check_file(json)  # Whatever is wrong with the models.
    codecs: Iterable[ImageCodec]
    if codec is None:
        models = run_directory.model_paths(str(model))
        names = [path.rpartition("@")[2] for path in models]
        # Read when their turn comes, so that memory holds a model or two.
        codecs = (_learned(path, checkpoint, fast=fast) for path in models)
    else:
        codecs = _qualities(codec, quality)
        names = [f"{each.quality:g}" for each in codecs]
    targets = _targets(json, names)
    for target in targets.values():
        files.check_file(target)
    whole = True
    for key, each in zip(names, codecs, strict=True):
        measured = _measure(each, directory, paths, titled=len(names) > 1)
        if key in targets:
            _write(targets[key], each, measured)
        whole &= len(measured) == len(paths)
    if not whole:
        sys.exit(2)


def show(
    image: Image,
    model: ModelPaths = (),
    output: OutputPath = None,
    channel: Channel = None,
    checkpoint: Checkpoint = "best",
    force: Force = False,
) -> None:
    """Draws latents, what predicts them, and the correlation that is left."""
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
    codecs = [_learned(path, checkpoint) for path in model]
    pixels = batch.read_image(source)
    coded = {
        _entitled(codec): measure.measure_image(codec, pixels, source.name)
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
    images_: Photographs = None,
    anchor: Anchor = None,
    interpolation: BetweenPoints = "pchip",
    checkpoint: Checkpoint = "best",
) -> None:
    """Writes curves, tables and pictures of evaluated codecs as Markdown and HTML."""
    from jaxcorr.report import render  # Brings matplotlib.

    if not runs:
        raise UserError("no run is named: give run directories, or tables of evaluate")
    files.check_file(output / render.MARKDOWN)
    if images_ is not None:
        _evaluate_runs(runs, images_, checkpoint)
    found = results.read_results(runs)
    command = shlex.join(["jaxcorr", *sys.argv[1:]])
    drawn = render.write_report(
        found, output, anchor=anchor, interpolation=interpolation, command=command
    )
    for note in drawn.notes:
        batch.print_error(f"note: {note}")
    print(f"{output / render.MARKDOWN}, {output / render.PAGE}")


def _evaluate_runs(runs: Sequence[Path], directory: Path, checkpoint: str) -> None:
    """Leaves a table in the folder of every run.

    Raises:
      UserError: If a run cannot keep one, or an image cannot be measured.
    """
    paths = images.find_images(directory)
    models = [path for run in runs for path in run_directory.model_paths(str(run))]
    for path in models:
        if path == run_directory.DEMO:
            raise UserError(
                f"{run_directory.DEMO} keeps no table: give it a file with `jaxcorr "
                f"evaluate {directory} -m {run_directory.DEMO} --json FILE`"
            )
        files.check_file(results.results_path(path))
    for path in models:
        codec = _learned(path, checkpoint)
        measured = _measure(codec, directory, paths, titled=True)
        if len(measured) < len(paths):
            raise UserError(f"{directory} holds images that cannot be measured")
        _write(results.results_path(path), codec, measured)


def _targets(json: Path | None, names: Sequence[str]) -> dict[str, Path]:
    """Returns where the table of each codec goes, by the name of the codec."""
    if json is None:
        return {}
    if len(names) == 1:
        return {names[0]: json}
    return {name: json.with_stem(f"{json.stem}@{name}") for name in names}


def _measure(
    codec: ImageCodec, directory: Path, paths: Sequence[Path], *, titled: bool
) -> list[ImageMetrics]:
    """Measures a codec and prints its table."""
    measured = batch.measure_images(codec, directory, paths)
    if titled:
        print(f"\n{codec.title}: {codec.metadata().describe()}\n")
    print(formatting.as_text(measured))
    return measured


def _write(target: Path, codec: ImageCodec, measured: Sequence[ImageMetrics]) -> None:
    files.write_file(target, formatting.as_json(measured, codec.metadata()).encode())


def _learned(path: str, checkpoint: str, *, fast: bool = False) -> LearnedCodec:
    """Reads the model that a path names."""
    model = run_directory.load(path, checkpoint=checkpoint)
    arithmetic = Arithmetic.FAST if fast else Arithmetic.PORTABLE
    return LearnedCodec(model, path=path, arithmetic=arithmetic)


def _qualities(name: str, asked: Sequence[float]) -> list[ClassicalCodec]:
    """Returns a classical codec at every quality that is asked for."""
    qualities = asked or classical.open_codec(name).qualities
    different = {f"{quality:g}": quality for quality in qualities}
    return [ClassicalCodec(name, quality) for quality in different.values()]


def _entitled(codec: LearnedCodec) -> str:
    """Returns a model's path, with the settings that tell it from its sweep."""
    own = codec.metadata().describe()
    return f"{codec.title} ({own})" if own else codec.title
