"""Results of evaluations, with what reports derive from them."""

import dataclasses
import functools
import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from jaxcorr import run_directory, serialization
from jaxcorr.codec import CodecConfig
from jaxcorr.errors import UserError
from jaxcorr.evaluation import csv_tables, held_out
from jaxcorr.evaluation.environment import Environment
from jaxcorr.evaluation.metadata import ClassicalMetadata, CodecMetadata, ModelMetadata
from jaxcorr.paths import AnyPath
from jaxcorr.provenance import Provenance, SweepMember

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
      path: File of the result, which may hold several.
      model: Description of the codec.
      images: One row per image: its name, its size and, unless only means were kept,
        its metrics.
      mean: Means over the images.
      environment: Device and date of the measurement; empty for earlier versions.
    """

    path: AnyPath
    model: CodecMetadata
    images: Sequence[Mapping[str, Any]]
    mean: Mapping[str, int | float | None]
    environment: Environment = dataclasses.field(default_factory=Environment)

    @property
    def is_classical(self) -> bool:
        """True if a classical codec was measured."""
        return isinstance(self.model, ClassicalMetadata)

    @property
    def quality(self) -> float | int | None:
        """Quality setting of a classical codec."""
        return self.model.quality if isinstance(self.model, ClassicalMetadata) else None

    @property
    def fingerprint(self) -> str | None:
        """Fingerprint of the model; None if unknown, or for a classical codec."""
        return self.model.fingerprint if isinstance(self.model, ModelMetadata) else None

    @property
    def is_timed(self) -> bool:
        """True if the times of coding are known."""
        return self.mean.get("encode_seconds") is not None

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
        """Bpp + λ MSE on held-out images by step, read from a file beside the table."""
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


def differing_settings(evaluations: Sequence[EvaluationResult]) -> set[str]:
    """Returns the names of the settings that differ between the trained models."""
    all_settings = [result.settings for result in evaluations if result.trained]
    names = {name for settings in all_settings for name in settings}
    return {
        name
        for name in names
        if len({repr(settings.get(name)) for settings in all_settings}) > 1
    }
