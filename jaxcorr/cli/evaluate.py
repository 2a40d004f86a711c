"""Commands that measure codecs, draw their latents and write reports."""

import shlex
import sys
from collections.abc import Mapping, Sequence
from typing import Annotated

import tyro
from tyro.conf import Positional

from jaxcorr import extras, files, run_directory
from jaxcorr import images as image_files
from jaxcorr.bitstream import rate_target
from jaxcorr.cli import batch, measurements
from jaxcorr.cli.arguments import (
    Checkpoint,
    Fast,
    FigurePath,
    Force,
    Image,
    JsonPath,
    MaxMegapixels,
    Memory,
    ModelPaths,
    OptionalModelPath,
    ReportFolder,
    UserPath,
    argument,
)
from jaxcorr.cli.measurements import Codecs
from jaxcorr.cli.output import (
    check_json,
    is_standard_stream,
    print_note,
    text_stream,
    write_json,
)
from jaxcorr.errors import UserError
from jaxcorr.evaluation import classical, image_set, measure, result_files
from jaxcorr.evaluation.learned import LearnedCodec
from jaxcorr.metrics.bjontegaard import Interpolation
from jaxcorr.paths import AnyPath

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
EvaluatedImages = Annotated[
    Positional[tuple[UserPath, ...]],
    argument("IMAGE|DIR…", "Images, and folders that are searched.", hint=""),
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
    Positional[tuple[UserPath, ...]],
    argument(
        "RUN|FILE…",
        "Evaluated runs, or files and folders with results of `jaxcorr evaluate`.",
        hint="",
    ),
]
ReportImages = Annotated[
    tuple[UserPath, ...],
    tyro.conf.arg(
        name="images",
        metavar="IMAGE|DIR…",
        help="Images and folders of images on which every RUN is evaluated first.",
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
    paths: EvaluatedImages,
    model: OptionalModelPath = None,
    codec: CodecName = None,
    quality: Qualities = (),
    checkpoint: Checkpoint = "best",
    json: JsonPath = None,
    max_megapixels: MaxMegapixels = 178.0,
    memory: Memory = None,
    fast: Fast = False,
) -> None:
    """Codes images to files and back, and prints measurements.

    Evaluates every member of a sweep and every quality of a classical codec.
    """
    if (model is None) == (codec is None):
        raise UserError(
            "give either -m MODEL or --codec NAME, such as -m demo or --codec webp"
        )
    if quality and codec is None:
        raise UserError("--quality applies to classical codecs: give --codec NAME")
    image_files.limit_megapixels(max_megapixels)
    limit = rate_target.memory_limit(memory)
    if codec is None:
        codecs = measurements.open_models(
            str(model), checkpoint, fast=fast, memory=limit
        )
    else:
        codecs = measurements.open_classical(codec, quality)
    found = image_set.find_images(paths)
    if json is not None:
        check_json(json)
    if not _measure_codecs(codecs, found, json):
        sys.exit(2)


def show(
    image: Image,
    model: ModelPaths = (),
    output: FigurePath = None,
    channel: Channel = None,
    checkpoint: Checkpoint = "best",
    force: Force = False,
) -> None:
    """Draws an image, its reconstruction, its latents and their correlation."""
    with extras.needs_extra("plots", "drawing"):
        from jaxcorr.visualization import latents_figure, reconstructions

    if not 1 <= len(model) <= 2:
        raise UserError(
            f"give one or two models, not {len(model)}: -m MODEL [-m MODEL], such as "
            "-m demo"
        )
    if len(set(model)) < len(model):
        raise UserError(f"the two models must differ, but both are {model[0]}")
    codecs = [measurements.load_codec(path, checkpoint) for path in model]
    (item,) = batch.plan([image], output, "-shown.png", force=force)
    source, target = item.source, item.target
    if target.suffix != ".png":
        raise UserError(f"{target} must end in .png")
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
    images: ReportImages = (),
    anchor: Anchor = None,
    interpolation: InterpolationMethod = "pchip",
    checkpoint: Checkpoint = "best",
) -> None:
    """Writes a report on evaluated codecs, with tables and figures.

    The report is a Markdown file and one page of HTML.
    """
    with extras.needs_extra("plots", "a report"):
        from jaxcorr.report import render

    if not runs:
        raise UserError(
            "no run is given: name run directories, or results of jaxcorr evaluate"
        )
    if images:
        _evaluate_runs(runs, images, checkpoint, report=output / render.MARKDOWN)
    evaluations = result_files.read_results(runs)
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


def _evaluate_runs(
    runs: Sequence[AnyPath],
    paths: Sequence[AnyPath],
    checkpoint: str,
    *,
    report: AnyPath,
) -> None:
    """Evaluates runs, and writes the results to their folders.

    Args:
      runs: Run directories, members of sweeps, and model folders.
      paths: Images and folders of images.
      checkpoint: Checkpoint of the runs.
      report: File that is written later, and checked before the work.

    Raises:
      UserError: If a folder cannot hold results, or an image cannot be measured.
    """
    for run in runs:
        run_directory.model_paths(str(run))  # Reported before anything else.
    found = image_set.find_images(paths)
    for run in runs:
        is_folder = run_directory.split_member(run)[0].is_dir()
        if str(run) == run_directory.DEMO or not is_folder:
            images = shlex.join(map(str, paths))
            raise UserError(
                f"{run} has no folder for results: write them to a file with "
                f"`jaxcorr evaluate {images} -m {run} --json FILE`"
            )
        files.check_file(result_files.results_path(run))
    files.check_file(report)
    for run in runs:
        codecs = measurements.open_models(str(run), checkpoint)
        if not _measure_codecs(codecs, found, result_files.results_path(run)):
            raise UserError("a report needs measurements of all images")


def _measure_codecs(
    codecs: Codecs, found: Mapping[str, AnyPath], json: AnyPath | None
) -> bool:
    """Measures codecs, prints tables, and writes the results.

    A file is written after each codec, so that an interruption loses little.

    Returns:
      Whether all images could be measured.
    """
    reader, file, complete = measurements.ImageReader(found), text_stream(json), True
    made: list[result_files.Result] = []
    for codec in codecs:
        rows = measurements.measure_images(codec, reader)
        measurements.print_table(codec, rows, with_title=len(codecs) > 1, file=file)
        complete &= len(rows) == len(found)
        made.append(result_files.make_result(rows, codec.metadata()))
        if json is not None and not is_standard_stream(json):
            write_json(json, result_files.file_content(made))
    if is_standard_stream(json):
        write_json(str(json), result_files.file_content(made))
    elif json is not None:
        count = len(made)
        print(f"\n{count} result{'s' if count > 1 else ''} in {json}", file=file)
    return complete


def _title_with_settings(codec: LearnedCodec) -> str:
    """Returns the path of a model with its settings in a sweep, if it is a member."""
    settings = codec.metadata().describe()
    return f"{codec.title} ({settings})" if settings else codec.title
