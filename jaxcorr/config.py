"""The settings of a run, composed of those of its parts."""

import dataclasses
from collections.abc import Mapping
from typing import TypeVar

from jaxcorr import correlation, run_directory, serialization
from jaxcorr.codec import CodecConfig
from jaxcorr.data.sources import DataConfig
from jaxcorr.errors import UserError, require
from jaxcorr.metrics import image_quality
from jaxcorr.provenance import SweepMember
from jaxcorr.training.checkpoints import IntervalConfig
from jaxcorr.training.distributed import DistributedConfig
from jaxcorr.training.loss import LossConfig
from jaxcorr.training.optimizer import OptimizerConfig
from jaxcorr.training.sharding import MeshConfig
from jaxcorr.training.step import StaticConfig, StepConfig
from jaxcorr.training.sweep import SweepConfig
from jaxcorr.transforms.base import LATENT_STRIDE

Value = TypeVar("Value")


@serialization.stored("Config", upgrade=run_directory.upgrade_settings)
@dataclasses.dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """A training run."""

    steps: int = 1_000_000
    """Length of the run."""
    workdir: str | None = None
    """Run directory; by default `runs/` and the name of the config."""
    init_from: str | None = None
    """Run or model folder whose parameters to start from; None draws them."""
    codec: CodecConfig = dataclasses.field(default_factory=CodecConfig)
    """What is trained."""
    loss: LossConfig = dataclasses.field(default_factory=LossConfig)
    """What is minimized."""
    sweep: SweepConfig = dataclasses.field(default_factory=SweepConfig)
    """λ, α and seed; several of them train several codecs as one run."""
    optimizer: OptimizerConfig = dataclasses.field(default_factory=OptimizerConfig)
    """How gradients become steps."""
    step: StepConfig = dataclasses.field(default_factory=StepConfig)
    """How one step is computed."""
    data: DataConfig = dataclasses.field(default_factory=DataConfig)
    """What it is trained on."""
    mesh: MeshConfig = dataclasses.field(default_factory=MeshConfig)
    """How the devices are arranged."""
    distributed: DistributedConfig = dataclasses.field(
        default_factory=DistributedConfig
    )
    """Which process this is, of a run on several hosts."""
    intervals: IntervalConfig = dataclasses.field(default_factory=IntervalConfig)
    """How often the run is looked at and saved."""

    def __post_init__(self):
        """Refuses combinations that cannot be trained, before anything is compiled."""
        require(self, "steps", "at least 1", self.steps >= 1)
        latents = self.data.crop_size // LATENT_STRIDE
        window = self.loss.window
        if window % 2 == 0 or not 3 <= window <= latents:
            raise UserError(
                f"loss.window must be odd and from 3 to {latents}, the latents "
                f"across a crop of {self.data.crop_size} pixels (data.crop-size), "
                f"but is {window}"
            )
        try:
            correlation.named_mask(self.loss.mask, window)
        except ValueError as error:
            raise UserError(f"loss.mask: {error}") from error
        smallest = image_quality.MS_SSIM_MINIMUM_SIDE
        if self.loss.distortion == "ms_ssim" and self.data.crop_size < smallest:
            raise UserError(
                f"data.crop-size must be at least {smallest} for loss.distortion "
                f"ms_ssim, but is {self.data.crop_size}"
            )
        if self.data.batch_size % self.step.micro_batches:
            raise UserError(
                "data.batch-size must be a multiple of step.micro-batches "
                f"({self.step.micro_batches}), but is {self.data.batch_size}"
            )

    @property
    def members(self) -> tuple[SweepMember, ...]:
        """The runs to train; one, or those of a sweep."""
        return self.sweep.members

    @property
    def static_config(self) -> StaticConfig:
        """The settings that the compiled step depends on."""
        return StaticConfig(
            codec=self.codec,
            loss=self.loss,
            optimizer=self.optimizer,
            step=self.step,
            steps=self.steps,
        )


def variant(variants: Mapping[str, Value], name: str) -> Value:
    """Returns one of the variants of a config file, by the name that the user gave.

    Raises:
      UserError: If there is none of that name.
    """
    if name not in variants:
        names = ", ".join(variants)
        raise UserError(f"the variant must be one of {names}, but is {name!r}")
    return variants[name]
