"""The settings of a run, composed of those of its parts."""

import dataclasses
from collections.abc import Mapping
from typing import TypeVar

from jaxcorr import correlation, run_directory, serialization
from jaxcorr.codec import CodecSettings
from jaxcorr.data.sources import Data
from jaxcorr.errors import UserError
from jaxcorr.metrics import image_quality
from jaxcorr.training.checkpoints import Cadence
from jaxcorr.training.distributed import Processes
from jaxcorr.training.loss import Objective
from jaxcorr.training.optimizer import Optimizer
from jaxcorr.training.sharding import MeshShape
from jaxcorr.training.step import Recipe, Step
from jaxcorr.training.sweep import Member, SweepConfig
from jaxcorr.transforms.base import LATENT_STRIDE

Value = TypeVar("Value")


@serialization.stored("Config", upgrade=run_directory.upgrade_settings)
@dataclasses.dataclass(frozen=True, kw_only=True)
class Config:
    """A training run."""

    steps: int = 1_000_000
    """Length of the run."""
    workdir: str | None = None
    """Run directory; by default `runs/` and the name of the config."""
    initialize: str | None = None
    """Run or model folder whose parameters to start from; None draws them."""
    codec: CodecSettings = dataclasses.field(default_factory=CodecSettings)
    """What is trained."""
    objective: Objective = dataclasses.field(default_factory=Objective)
    """What is minimized."""
    sweep: SweepConfig = dataclasses.field(default_factory=SweepConfig)
    """λ, α and seed; several of them train several codecs as one run."""
    optimizer: Optimizer = dataclasses.field(default_factory=Optimizer)
    """How gradients become steps."""
    step: Step = dataclasses.field(default_factory=Step)
    """How one step is computed."""
    data: Data = dataclasses.field(default_factory=Data)
    """What it is trained on."""
    mesh: MeshShape = dataclasses.field(default_factory=MeshShape)
    """How the devices are arranged."""
    processes: Processes = dataclasses.field(default_factory=Processes)
    """Which process this is, of a run on several hosts."""
    cadence: Cadence = dataclasses.field(default_factory=Cadence)
    """How often the run is looked at and saved."""

    def __post_init__(self):
        """Refuses combinations that cannot be trained, before anything is compiled."""
        if self.steps < 1:
            raise UserError(f"steps must be at least 1, but is {self.steps}")
        latents = self.data.crop_size // LATENT_STRIDE
        window = self.objective.window
        if window % 2 == 0 or not 3 <= window <= latents:
            raise UserError(
                f"objective.window must be odd and from 3 to {latents}, the latents "
                f"across a crop of {self.data.crop_size} pixels (data.crop-size), "
                f"but is {window}"
            )
        try:
            correlation.named_mask(self.objective.mask, window)
        except ValueError as error:
            raise UserError(f"objective.mask: {error}") from error
        smallest = image_quality.MS_SSIM_MINIMUM_SIDE
        if self.objective.distortion == "ms_ssim" and self.data.crop_size < smallest:
            raise UserError(
                f"data.crop-size must be at least {smallest} for objective.distortion "
                f"ms_ssim, but is {self.data.crop_size}"
            )
        if self.data.batch_size % self.step.micro_batches:
            raise UserError(
                "data.batch-size must be a multiple of step.micro-batches "
                f"({self.step.micro_batches}), but is {self.data.batch_size}"
            )

    @property
    def members(self) -> tuple[Member, ...]:
        """The runs to train; one, or those of a sweep."""
        return self.sweep.members

    @property
    def recipe(self) -> Recipe:
        """The settings that the compiled step depends on."""
        return Recipe(
            codec=self.codec,
            objective=self.objective,
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
