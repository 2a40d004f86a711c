"""Reads the evaluations that `jaxcorr evaluate --json` wrote, for reports."""

import dataclasses
import functools
import json
import math
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from jaxcorr import run_directory, serialization
from jaxcorr.codec import CodecConfig
from jaxcorr.errors import UserError
from jaxcorr.evaluation import csv_tables, held_out, metadata
from jaxcorr.evaluation.metadata import ClassicalMetadata, CodecMetadata, ModelMetadata
from jaxcorr.provenance import Provenance, SweepMember
from jaxcorr.run_directory import CHECKPOINTS

RESULT_KEYS = {"model", "images", "mean"}
RESULTS_FILE = "evaluation.json"
"""Name of the table in the run directory of its model."""

SKIPPED_FOLDERS = {CHECKPOINTS, "held_out"}
"""Folders of a run that are not searched for tables. `held_out` has two photographs."""

LOSS_SETTINGS = {
    f"loss.{name}"
    for name in ("window", "mask", "correlated", "stop_scale_gradient", "pool_channels")
}
"""Settings that have no effect where the weight of the correlation loss is 0."""
IGNORED_SETTINGS = (
    "workdir",
    "intervals.",
    "mesh.",
    "distributed.",
    "data.workers",
    "sweep.",
)
"""Prefixes of settings that do not change the codec, or that differ per member."""

Settings = Mapping[str, Any]


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class EvaluationResult:
    """Measurements of a model, or of a classical codec at one quality, on some images.

    Attributes:
      path: File of the table; a table in CSV holds several results.
      model: Description of the codec.
      images: One row per image: its name, its size and, unless only means were kept,
        its metrics.
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
        """Quality setting of a classical codec."""
        return self.model.quality if isinstance(self.model, ClassicalMetadata) else None

    @property
    def provenance(self) -> Provenance:
        """Provenance of the model's parameters; empty for a classical codec."""
        if isinstance(self.model, ModelMetadata):
            return self.model.provenance
        return Provenance()

    @property
    def trained(self) -> bool:
        """True if the settings that the model was trained with are known."""
        return self.provenance.config is not None

    @functools.cached_property
    def settings(self) -> Settings:
        """Settings of the training by dotted name, without `IGNORED_SETTINGS`."""
        config = run_directory.upgrade_settings(self.provenance.config or {})
        return {
            name: value
            for name, value in csv_tables.flatten(config)
            if not name.startswith(IGNORED_SETTINGS)
        }

    @property
    def seed(self) -> int | None:
        """Seed of the training."""
        return self._member.seed if self._member else None

    @property
    def distortion_weight(self) -> int | float | None:
        """λ of the training."""
        return self._member.distortion_weight if self._member else None

    @property
    def correlation_weight(self) -> int | float | None:
        """α of the training."""
        return self._member.correlation_weight if self._member else None

    @property
    def member(self) -> int:
        """Number of the sweep member; 0 if the run is not a sweep."""
        number = (self._model_path or "").rpartition("@")[2]
        return int(number) if number.isdigit() else 0

    @property
    def median_correlation(self) -> float | None:
        """Median correlation loss of the images; a few have a far larger loss."""
        values = [row.get("correlation") for row in self.images]
        known = [value for value in values if value is not None]
        return float(statistics.median(known)) if known else None

    @property
    def has_cost(self) -> bool:
        """True if the model was trained for bpp + λ MSE and every image has metrics."""
        trained_for_mse = self.settings.get("loss.distortion") == "mse"
        measured = all("psnr_db" in row for row in self.images)
        return self.distortion_weight is not None and trained_for_mse and measured

    @property
    def cost(self) -> int | float:
        """Mean of bpp + λ · MSE over the images, the training's objective without α.

        Raises:
          UserError: If the model was trained for another distortion, or only means
            were kept.
        """
        if not self.has_cost or self.distortion_weight is None:
            raise UserError(
                f"{self.path} has no bpp + λ MSE: it needs a model trained for MSE, "
                "and metrics of every image"
            )
        mse = [255**2 * 10 ** (-row["psnr_db"] / 10) for row in self.images]
        rates = [row["bpp"] for row in self.images]
        return (sum(rates) + self.distortion_weight * sum(mse)) / len(rates)

    @functools.cached_property
    def held_out_costs(self) -> dict[int, float]:
        """Bpp + λ MSE on held-out crops by step, read from a file beside the table."""
        name = self._model_path
        return held_out.read_costs(self.path, model=name, member=self.member)

    @functools.cached_property
    def architecture(self) -> str:
        """Transforms with their widths, and the context model if there is one."""
        codec = serialization.from_json(
            CodecConfig, (self.provenance.config or {})["codec"], str(self.path)
        )
        return codec.describe()

    @property
    def _member(self) -> SweepMember | None:
        return self.provenance.member

    @property
    def _model_path(self) -> str | None:
        return self.model.path if isinstance(self.model, ModelMetadata) else None


def read_results(paths: Sequence[Path]) -> list[EvaluationResult]:
    """Reads evaluations from tables in JSON or CSV.

    Args:
      paths: Tables, folders of tables at any depth, and runs (RUN@MEMBER too).

    Raises:
      UserError: If there is no table, a table is damaged, or tables are of different
        images.
    """
    files = {file.resolve(): file for path in paths for file in _files(Path(path))}
    results = [result for file in files.values() for result in _read(file)]
    if not results:
        raise UserError("no run, folder or table is named")
    first = results[0]
    for other in results[1:]:
        if _image_set(other) != _image_set(first):
            raise UserError(
                f"{other.path} is of other images than {first.path}: "
                f"{_describe_images(other)}, not {_describe_images(first)}"
            )
    return results


def results_path(model: str | Path) -> Path:
    """Returns where the table of a run, a model folder or a sweep member is kept."""
    folder, _, member = str(model).rpartition("@")
    if folder and member.isdigit() and not Path(model).exists():
        return Path(folder) / RESULTS_FILE.replace(".", f"@{member}.")
    return Path(model) / RESULTS_FILE


def differing_settings(evaluations: Sequence[EvaluationResult]) -> set[str]:
    """Returns the names of the settings that differ between the trained models."""
    all_settings = [result.settings for result in evaluations if result.trained]
    names = {name for settings in all_settings for name in settings}
    return {
        name
        for name in names
        if len({repr(settings.get(name)) for settings in all_settings}) > 1
    }


def _files(path: Path) -> list[Path]:
    """Returns the table of a path, or all tables below a folder."""
    if not path.exists() and results_path(path).is_file():
        path = results_path(path)
    if path.is_file():
        return [path]
    if not path.is_dir():
        raise UserError(f"{path} does not exist: no run, folder or table there")
    files = [
        file
        for file in sorted(path.rglob("*.json")) + sorted(path.rglob("*.csv"))
        if not SKIPPED_FOLDERS & set(file.relative_to(path).parts) and _is_table(file)
    ]
    if not files:
        raise UserError(
            f"{path} holds no evaluation: name the images with --images, or write one "
            f"with `jaxcorr evaluate IMAGES -m {path} --json {results_path(path)}`"
        )
    return files


def _is_table(path: Path) -> bool:
    if path.suffix == ".csv":
        return csv_tables.is_table(path)
    return set(_load_json(path)) == RESULT_KEYS


def _read(path: Path) -> list[EvaluationResult]:
    if path.suffix == ".csv":
        return [_result(path, table) for table in csv_tables.read_tables(path)]
    return [_result(path, _load_json(path))]


def _result(path: Path, table: Mapping[str, Any]) -> EvaluationResult:
    """Checks a table.

    Raises:
      UserError: If something is missing.
    """
    try:
        model, images, mean = (table[key] for key in ("model", "images", "mean"))
        # A table in CSV may hold only the means of a classical codec.
        only_means = path.suffix == ".csv" and not any("bpp" in row for row in images)
        measured = [mean] if only_means else [mean, *images]
        numbers = [row[key] for row in images for key in ("width", "height")]
        numbers += [row[key] for row in measured for key in ("bpp", "psnr_db")]
        valid = bool(images) and all(map(math.isfinite, numbers))
        valid &= isinstance(model, dict) and isinstance(mean, dict)
        valid &= all(isinstance(row["file"], str) for row in images)
        codec = metadata.from_json(model)
        result = EvaluationResult(path=path, model=codec, images=images, mean=mean)
        valid &= not result.trained or _names_training(result.provenance)
    except (KeyError, TypeError, ValueError, AttributeError):
        valid = False
    if not valid:
        raise UserError(f"{path} is not a table that `jaxcorr evaluate --json` wrote")
    return result


def _names_training(provenance: Provenance) -> bool:
    """Returns whether the codec of a run is known, and λ and α are finite."""
    if provenance.config is None or provenance.member is None:
        return False
    member = provenance.member
    weights = member.distortion_weight, member.correlation_weight
    codec = provenance.config.get("codec")
    return isinstance(codec, Mapping) and all(map(math.isfinite, weights))


def _load_json(path: Path) -> Mapping[str, Any]:
    try:
        values = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise UserError(f"{path} cannot be read: {error}") from error
    return values if isinstance(values, dict) else {}


def _image_set(evaluation: EvaluationResult) -> list[tuple]:
    return sorted(
        (row["file"], row["width"], row["height"]) for row in evaluation.images
    )


def _describe_images(evaluation: EvaluationResult) -> str:
    count, first = len(evaluation.images), evaluation.images[0]["file"]
    return f"{count} from {first} on" if count > 1 else first
