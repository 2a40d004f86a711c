"""Commands that measure codecs and draw what they do."""

import dataclasses
import shlex
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import tyro

from jaxcorr import conversion, files, images, run_folder
from jaxcorr.bitstream.container import Arithmetic
from jaxcorr.commands.arguments import (
    Checkpoint,
    Fast,
    Force,
    OptionalModelPath,
    OutputPath,
)
from jaxcorr.errors import UserError
from jaxcorr.evaluation import classical, evaluations, metadata, rows, table
from jaxcorr.evaluation.bjontegaard import Interpolation
from jaxcorr.evaluation.metadata import ModelMetadata
from jaxcorr.evaluation.rows import Row
from jaxcorr.model_folder import Model

ImageFolder = Annotated[
    tyro.conf.Positional[Path],
    tyro.conf.arg(metavar="DIR", help="Folder of photographs."),
]
JsonPath = Annotated[
    Path | None,
    tyro.conf.arg(
        metavar="FILE", help="Also write the table here.", help_behavior_hint=""
    ),
]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Subject:
    """What is evaluated: a model, or a classical codec at one quality.

    Attributes:
      title: What to call it.
      open: Gives what to write beside its measurements, and what measures an image.
    """

    title: str
    open: Callable[[], tuple[dict[str, Any], Callable[[np.ndarray, str], Row]]]


def evaluate(
    directory: ImageFolder,
    model: OptionalModelPath = None,
    codec: Annotated[
        str | None,
        tyro.conf.arg(
            metavar="|".join(classical.CODECS),
            help="Classical codec, instead of a model.",
            help_behavior_hint="",
        ),
    ] = None,
    quality: Annotated[
        tuple[float, ...],
        tyro.conf.arg(
            metavar="NUMBER…",
            help="Of the classical codec.",
            help_behavior_hint="(default: enough for a curve)",
        ),
    ] = (),
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
        files.check_target(json)  # Whatever is wrong with the models.
    if codec is not None:
        subjects = _qualities(codec, quality)
    else:
        subjects = _members(str(model), checkpoint, fast=fast)
    targets: dict[str, Path | None] = dict.fromkeys(subjects, json)
    if json is not None and len(subjects) > 1:
        targets = {key: json.with_stem(f"{json.stem}@{key}") for key in subjects}
    for target in filter(None, targets.values()):
        files.check_target(target)
    whole = True
    for key, subject in subjects.items():
        about, measured = _measure(subject, directory, paths, titled=len(subjects) > 1)
        _write(targets[key], about, measured)
        whole &= len(measured) == len(paths)
    if not whole:
        sys.exit(2)


def show(
    image: Annotated[
        tyro.conf.Positional[Path], tyro.conf.arg(metavar="IMAGE", help="Photograph.")
    ],
    model: Annotated[
        tyro.conf.UseAppendAction[tuple[str, ...]],
        tyro.conf.arg(
            aliases=["-m"],
            metavar="MODEL|RUN[@MEMBER]|demo",
            help="Once, or twice to compare.",
            help_behavior_hint="(required)",
        ),
    ] = (),
    output: OutputPath = None,
    channel: Annotated[
        int | None,
        tyro.conf.arg(
            metavar="NUMBER",
            help="Of the latents.",
            help_behavior_hint="(default: the most varied)",
        ),
    ] = None,
    checkpoint: Checkpoint = "best",
    force: Force = False,
) -> None:
    """Draws latents, what predicts them, and the correlation that is left."""
    from jaxcorr.evaluation import anatomy, pictures  # Brings matplotlib.

    if not 1 <= len(model) <= 2:
        raise UserError(
            f"give one or two models, -m MODEL [-m MODEL], not {len(model)}"
        )
    if len(set(model)) < len(model):
        raise UserError(f"the two models must differ, but both are {model[0]}")
    ((source, target),) = conversion.targets([image], output, "-shown.png", force=force)
    if target.suffix != ".png":
        raise UserError(f"{target} must end in .png")
    loaded = {path: run_folder.load(path, checkpoint=checkpoint) for path in model}
    pixels = conversion.read_image(source)
    coded = {
        _entitled(path, each): rows.measure(each, pixels, source.name)
        for path, each in loaded.items()
    }
    pictures.save(anatomy.draw(pixels, coded, channel=channel), target)
    for title, result in coded.items():
        print(f"{title}: {anatomy.summary(result.row)}")
    if len(coded) == 2:
        first, second = (result.row for result in coded.values())
        print(f"second against first: {anatomy.differences(first, second)}")
    print(f"drawn in {target}")


def report(
    runs: Annotated[
        tyro.conf.Positional[tuple[Path, ...]],
        tyro.conf.arg(
            metavar="RUN|FILE…",
            help="Runs with tables in them, folders of tables, tables.",
            help_behavior_hint="",
        ),
    ],
    output: Annotated[
        Path, tyro.conf.arg(aliases=["-o"], metavar="DIR", help="Folder of the report.")
    ],
    images_: Annotated[
        Path | None,
        tyro.conf.arg(
            name="images",
            metavar="DIR",
            help="First evaluate every RUN on these photographs.",
            help_behavior_hint="",
        ),
    ] = None,
    anchor: Annotated[
        str | None,
        tyro.conf.arg(
            metavar="CURVE",
            help="Curve to compare with, by its name or a part of it.",
            help_behavior_hint="(default: the first without the loss)",
        ),
    ] = None,
    interpolation: Annotated[
        Interpolation, tyro.conf.arg(help="Between the points of a curve.")
    ] = "pchip",
    checkpoint: Checkpoint = "best",
) -> None:
    """Writes curves, tables and pictures of evaluated codecs as Markdown and HTML."""
    from jaxcorr.evaluation import report as reports  # Brings matplotlib.

    if not runs:
        raise UserError("no run is named: give run directories, or tables of evaluate")
    files.check_target(output / reports.MARKDOWN)
    if images_ is not None:
        _evaluate_runs(runs, images_, checkpoint)
    found = evaluations.read(runs)
    command = shlex.join(["jaxcorr", *sys.argv[1:]])
    drawn = reports.write(
        found, output, anchor=anchor, interpolation=interpolation, command=command
    )
    for note in drawn.notes:
        conversion.tell(f"note: {note}")
    print(f"{output / reports.MARKDOWN}, {output / reports.PAGE}")


def _evaluate_runs(runs: Sequence[Path], directory: Path, checkpoint: str) -> None:
    """Leaves a table in the folder of every run.

    Raises:
      UserError: If a run cannot keep one, or an image cannot be measured.
    """
    paths = images.find_images(directory)
    subjects = [
        subject
        for run in runs
        for subject in _members(str(run), checkpoint, fast=False).values()
    ]
    for subject in subjects:
        if subject.title == run_folder.DEMO:
            raise UserError(
                f"{run_folder.DEMO} keeps no table: give it a file with `jaxcorr "
                f"evaluate {directory} -m {run_folder.DEMO} --json FILE`"
            )
        files.check_target(evaluations.table_of(subject.title))
    for subject in subjects:
        about, measured = _measure(subject, directory, paths, titled=True)
        if len(measured) < len(paths):
            raise UserError(f"{directory} holds images that cannot be measured")
        _write(evaluations.table_of(subject.title), about, measured)


def _measure(
    subject: Subject, directory: Path, paths: Sequence[Path], *, titled: bool
) -> tuple[dict[str, Any], list[Row]]:
    """Measures a subject and prints its table."""
    about, measure = subject.open()
    measured = conversion.measure_all(measure, directory, paths)
    if titled:
        print(f"\n{subject.title}: {_described(about)}\n")
    print(table.as_text(measured))
    return about, measured


def _write(target: Path | None, about: dict[str, Any], measured: list[Row]) -> None:
    if target is not None:
        files.write_file(target, table.as_json(measured, about).encode())


def _members(model: str, checkpoint: str, *, fast: bool) -> dict[str, Subject]:
    """Every model that a path names, by the number of the member."""
    arithmetic = Arithmetic.FAST if fast else Arithmetic.PORTABLE

    def open_(path: str) -> tuple[dict[str, Any], Callable[[np.ndarray, str], Row]]:
        loaded = run_folder.load(path, checkpoint=checkpoint)
        return (
            _about(loaded, path),
            lambda image, name: (
                rows.measure(loaded, image, name, arithmetic=arithmetic).row
            ),
        )

    return {
        path.rpartition("@")[2]: Subject(title=path, open=lambda path=path: open_(path))
        for path in run_folder.paths_of_models(model)
    }


def _qualities(name: str, asked: tuple[float, ...]) -> dict[str, Subject]:
    """A classical codec at every quality that is asked for."""
    codec = classical.open_codec(name)
    for quality in asked:
        classical.check_quality(name, quality)

    def open_(quality: float) -> tuple[dict[str, Any], Callable[..., Row]]:
        return classical.about(name, quality), lambda image, file: classical.measure(
            name, quality, image, file
        )

    return {
        f"{quality:g}": Subject(
            title=f"{codec.title} at {quality:g}",
            open=lambda quality=quality: open_(quality),
        )
        for quality in asked or codec.qualities
    }


def _entitled(path: str, model: Model) -> str:
    """A model's path, with what it has of its own."""
    own = model.provenance.describe()
    return f"{path} ({own})" if own else path


def _about(model: Model, path: str) -> dict[str, Any]:
    own = ModelMetadata(
        path=path, fingerprint=model.fingerprint.hex(), provenance=model.provenance
    )
    return own.to_json()


def _described(about: dict[str, Any]) -> str:
    return metadata.from_json(about).describe()
