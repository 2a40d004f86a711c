"""Tables that `jaxcorr evaluate --json` wrote, read back and told apart."""

import dataclasses
import functools
import json
import math
import statistics
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from jaxcorr import run_directory, serialization
from jaxcorr.codec import CodecConfig
from jaxcorr.errors import UserError
from jaxcorr.evaluation import metadata
from jaxcorr.evaluation.metadata import ClassicalMetadata, CodecMetadata, ModelMetadata
from jaxcorr.provenance import Provenance, SweepMember
from jaxcorr.run_directory import CHECKPOINTS

RESULT_KEYS = {"model", "images", "mean"}
RESULTS_FILE = "evaluation.json"
"""What a table is called that lies in the run directory of its model."""

SKIPPED_FOLDERS = {CHECKPOINTS, "held_out"}
"""Folders of a run without tables of evaluations: what a run shows at its end is of two
photographs that every run has."""

LOSS_SETTINGS = {
    f"loss.{name}"
    for name in ("window", "mask", "correlated", "stop_scale_gradient", "pool_channels")
}
"""Settings that change nothing where the weight of the loss is 0."""
IGNORED_SETTINGS = (
    "workdir",
    "intervals.",
    "mesh.",
    "distributed.",
    "data.workers",
    "sweep.",
)
"""Beginnings of settings that make no other codec, or that each member has its own."""

Settings = Mapping[str, Any]


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class EvaluationResult:
    """Measurements of a model, or of a classical codec at a quality, on some images.

    Attributes:
      path: The file.
      model: The codec that was measured, as it says of itself.
      images: A row of measurements an image.
      mean: Means over the images.
    """

    path: Path
    model: CodecMetadata
    images: Sequence[Mapping[str, Any]]
    mean: Mapping[str, int | float | None]

    @property
    def is_classical(self) -> bool:
        """True if a classical codec was measured."""
        return isinstance(self.model, ClassicalMetadata)

    @property
    def quality(self) -> float | int | None:
        """Quality that a classical codec coded with."""
        return self.model.quality if isinstance(self.model, ClassicalMetadata) else None

    @property
    def provenance(self) -> Provenance:
        """Where the parameters of the model come from; classical codecs have none."""
        if isinstance(self.model, ModelMetadata):
            return self.model.provenance
        return Provenance()

    @property
    def trained(self) -> bool:
        """True if the model says how it was trained."""
        return self.provenance.config is not None

    @functools.cached_property
    def settings(self) -> Settings:
        """Settings that its codec was trained with, by dotted name, without weights."""
        flat = _flattened(run_directory.upgrade_settings(self.provenance.config or {}))
        return {name: x for name, x in flat if not name.startswith(IGNORED_SETTINGS)}

    @property
    def seed(self) -> int | None:
        """Seed of its training."""
        return self._member.seed if self._member else None

    @property
    def distortion_weight(self) -> int | float | None:
        """λ of its training."""
        return self._member.distortion_weight if self._member else None

    @property
    def correlation_weight(self) -> int | float | None:
        """α of its training."""
        return self._member.correlation_weight if self._member else None

    @property
    def member(self) -> int:
        """Which member of a sweep it is; 0 of a run that is none."""
        path = self.model.path if isinstance(self.model, ModelMetadata) else None
        number = (path or "").rpartition("@")[2]
        return int(number) if number.isdigit() else 0

    @property
    def median_correlation(self) -> float | None:
        """Median over the images: a few of them have many times that of the others."""
        values = [row.get("correlation") for row in self.images]
        known = [value for value in values if value is not None]
        return float(statistics.median(known)) if known else None

    @property
    def has_cost(self) -> bool:
        """True if the model was trained for bpp + λ MSE."""
        distortion = self.settings.get("loss.distortion")
        return self.distortion_weight is not None and distortion == "mse"

    @property
    def cost(self) -> int | float:
        """Mean of bits per pixel + λ · MSE over the images, what training minimizes.

        Raises:
          UserError: If it was trained for something else.
        """
        if not self.has_cost or self.distortion_weight is None:
            raise UserError(f"{self.path} was not trained for bpp + λ MSE")
        mse = [255**2 * 10 ** (-row["psnr_db"] / 10) for row in self.images]
        rates = [row["bpp"] for row in self.images]
        return (sum(rates) + self.distortion_weight * sum(mse)) / len(rates)

    @functools.cached_property
    def architecture(self) -> str:
        """Transforms with their widths, and the context model if there is one."""
        codec = serialization.from_json(
            CodecConfig, (self.provenance.config or {})["codec"], str(self.path)
        )
        transforms, context = codec.transforms, type(codec.context).__name__
        widths = f"{transforms.side_channels}/{transforms.channels}"
        name = f"{type(transforms).__name__} {widths}"
        return name if context == "NoContext" else f"{name} {context.lower()}"

    @property
    def _member(self) -> SweepMember | None:
        return self.provenance.member


def read_results(paths: Sequence[Path]) -> list[EvaluationResult]:
    """Reads tables: files, and all below folders.

    Raises:
      UserError: If there is none, one is damaged, or they are of different images.
    """
    every = [each for path in paths for each in _read_all(Path(path))]
    found = list({each.path.resolve(): each for each in every}.values())
    if not found:
        raise UserError("no run, folder or table is named")
    first = found[0]
    for other in found[1:]:
        if _image_set(other) != _image_set(first):
            raise UserError(
                f"{other.path} is of other images than {first.path}: "
                f"{_described(other)}, not {_described(first)}"
            )
    return found


def results_path(model: str | Path) -> Path:
    """Where the table of a run, a model folder or a member of a sweep is kept."""
    folder, _, member = str(model).rpartition("@")
    if folder and member.isdigit() and not Path(model).exists():
        return Path(folder) / RESULTS_FILE.replace(".", f"@{member}.")
    return Path(model) / RESULTS_FILE


def differing_settings(evaluations: Sequence[EvaluationResult]) -> set[str]:
    """Names of the settings that are not the same in all trained models."""
    every = [each.settings for each in evaluations if each.trained]
    names = {name for each in every for name in each}
    return {name for name in names if len({repr(s.get(name)) for s in every}) > 1}


def _read_all(path: Path) -> Iterator[EvaluationResult]:
    if not path.exists() and results_path(path).is_file():
        path = results_path(path)
    if path.is_file():
        yield _read(path)
        return
    if not path.is_dir():
        raise UserError(f"{path} does not exist: no run, folder or table there")
    files = [
        file
        for file in sorted(path.rglob("*.json"))
        if not SKIPPED_FOLDERS & set(file.relative_to(path).parts)
        and set(_load(file)) == RESULT_KEYS
    ]
    if not files:
        raise UserError(
            f"{path} holds no evaluation: name the images with --images, or write one "
            f"with `jaxcorr evaluate IMAGES -m {path} --json {results_path(path)}`"
        )
    yield from map(_read, files)


def _read(path: Path) -> EvaluationResult:
    values = _load(path)
    try:
        model, images, mean = (values[key] for key in ("model", "images", "mean"))
        numbers = [row[key] for row in images for key in ("width", "height")]
        numbers += [row[key] for row in (mean, *images) for key in ("bpp", "psnr_db")]
        usable = bool(images) and all(map(math.isfinite, numbers))
        usable &= isinstance(model, dict) and isinstance(mean, dict)
        usable &= all(isinstance(row["file"], str) for row in images)
        codec = metadata.from_json(model)
        found = EvaluationResult(path=path, model=codec, images=images, mean=mean)
        usable &= not found.trained or _says_how_trained(found.provenance)
    except (KeyError, TypeError, ValueError, AttributeError):
        usable = False
    if not usable:
        raise UserError(f"{path} is no table that `jaxcorr evaluate --json` wrote")
    return found


def _says_how_trained(known: Provenance) -> bool:
    """Returns whether a run names its codec, and its member a finite λ and α."""
    if known.config is None or known.member is None:
        return False
    weights = known.member.distortion_weight, known.member.correlation_weight
    codec = known.config.get("codec")
    return isinstance(codec, Mapping) and all(map(math.isfinite, weights))


def _load(path: Path) -> Mapping[str, Any]:
    try:
        values = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise UserError(f"{path} cannot be read: {error}") from error
    return values if isinstance(values, dict) else {}


def _image_set(evaluation: EvaluationResult) -> list[tuple]:
    return sorted(
        (row["file"], row["width"], row["height"]) for row in evaluation.images
    )


def _described(evaluation: EvaluationResult) -> str:
    count, first = len(evaluation.images), evaluation.images[0]["file"]
    return f"{count} from {first} on" if count > 1 else first


def _flattened(values: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    if not isinstance(values, Mapping):
        yield name, values
        return
    for key, value in values.items():
        yield from _flattened(value, f"{name}.{key}" if name else key)
