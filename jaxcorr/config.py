"""The settings of a training run."""

import dataclasses
import difflib
import itertools
from collections.abc import Mapping, Sequence
from typing import Any, Literal, TypeVar

from jaxcorr import run_directory, serialization
from jaxcorr.codec import CodecConfig, ContextConfig, TransformConfig
from jaxcorr.context.autoregressive import Autoregressive
from jaxcorr.context.channelwise import Channelwise
from jaxcorr.context.checkerboard import Checkerboard
from jaxcorr.context.no_context import NoContext
from jaxcorr.context.space_channel import SpaceChannel
from jaxcorr.data.sources import DataConfig
from jaxcorr.errors import UserError, require
from jaxcorr.hosts.cluster import DistributedConfig
from jaxcorr.metrics import image_quality
from jaxcorr.provenance import SweepMember
from jaxcorr.training import trackers
from jaxcorr.training.checkpoints import IntervalConfig
from jaxcorr.training.loss import Batch, LossConfig
from jaxcorr.training.optimizer import OptimizerConfig, Period
from jaxcorr.training.profiler import ProfileConfig
from jaxcorr.training.sharding import MeshConfig
from jaxcorr.training.stages import Stage, StageConfig
from jaxcorr.training.step import StaticConfig
from jaxcorr.training.step_config import StepConfig
from jaxcorr.training.sweep import SweepConfig
from jaxcorr.transforms.base import LATENT_STRIDE
from jaxcorr.transforms.cheng import Cheng
from jaxcorr.transforms.minnen import Minnen
from jaxcorr.transforms.swin import Swin

Settings = TypeVar("Settings")
Value = TypeVar("Value")

TransformsName = Literal["minnen", "cheng", "swin"]
ContextName = Literal[
    "none", "checkerboard", "charm", "space_channel", "autoregressive"
]
"""Names on the command line."""

TRANSFORMS: Mapping[TransformsName, type[TransformConfig]] = {
    "minnen": Minnen,
    "cheng": Cheng,
    "swin": Swin,
}
"""Settings of the transforms, by name."""
CONTEXTS: Mapping[ContextName, type[ContextConfig]] = {
    "none": NoContext,
    "checkerboard": Checkerboard,
    "charm": Channelwise,
    "space_channel": SpaceChannel,
    "autoregressive": Autoregressive,
}
"""Settings of the context models, by name."""


@serialization.stored("Config", upgrade=run_directory.upgrade_settings)
@dataclasses.dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """Settings of a training run."""

    steps: int = 1_000_000
    """Number of training steps of the whole run."""
    workdir: str | None = None
    """Run directory, for checkpoints and logs, on a disk or in a bucket of Google Cloud
    Storage (`gs://BUCKET/PATH`). By default `runs/` and the name of the config."""
    init_from: str | None = None
    """Run directory or model folder whose parameters training starts from. None starts
    from random parameters."""
    branch: str | None = None
    """Run directory, or RUN@MEMBER of a sweep, from whose checkpoint this run goes on.
    `jaxcorr train --branch RUN` sets it."""
    branch_step: int | None = None
    """Step of that checkpoint."""
    codec: CodecConfig = dataclasses.field(default_factory=CodecConfig)
    """Architecture of the codec."""
    loss: LossConfig = dataclasses.field(default_factory=LossConfig)
    """Terms of the training loss."""
    sweep: SweepConfig = dataclasses.field(default_factory=SweepConfig)
    """Loss weights λ and α, and the seed. Several values train several codecs in one
    run."""
    optimizer: OptimizerConfig = dataclasses.field(default_factory=OptimizerConfig)
    """Optimizer, gradient clipping, learning-rate schedule and parameter average."""
    stages: Sequence[StageConfig] = ()
    """Changes of some settings during the run, by ascending start."""
    step: StepConfig = dataclasses.field(default_factory=StepConfig)
    """Quantization, micro-batches and precision of a training step."""
    data: DataConfig = dataclasses.field(default_factory=DataConfig)
    """Training images and held-out images."""
    mesh: MeshConfig = dataclasses.field(default_factory=MeshConfig)
    """Arrangement of the devices of all processes. One of the sizes may be -1."""
    distributed: DistributedConfig = dataclasses.field(
        default_factory=DistributedConfig
    )
    """Processes of a run on several hosts."""
    intervals: IntervalConfig = dataclasses.field(default_factory=IntervalConfig)
    """How often to log, evaluate and save, in steps."""
    log_to: Sequence[str] = ("tensorboard",)
    """Where metrics and pictures go besides the log files: `tensorboard`, `wandb`
    (Weights & Biases) or MODULE:CLASS, a tracker of your own."""
    profile: ProfileConfig = dataclasses.field(default_factory=ProfileConfig)
    """Steps of which a profile is taken."""

    def __post_init__(self):
        """Checks that the parts fit together."""
        if isinstance(self.stages, list):  # A tuple is hashable.
            object.__setattr__(self, "stages", tuple(self.stages))
        object.__setattr__(self, "log_to", tuple(self.log_to))
        names = all(map(trackers.is_tracker_name, self.log_to))
        require(self, "log_to", "tensorboard, wandb or MODULE:CLASS", names)
        require(self, "steps", "at least 1", self.steps >= 1)
        is_pair = (self.branch is None) == (self.branch_step is None)
        require(self, "branch", "given together with branch_step", is_pair)
        is_one = not (self.branch and self.init_from)
        require(self, "init_from", "None for a branch, whose state goes on", is_one)
        latents = self.data.crop_size // LATENT_STRIDE
        window = self.loss.window
        if window % 2 == 0 or not 3 <= window <= latents:
            raise UserError(
                f"loss.window must be odd and from 3 to {latents}, the latents "
                f"across a crop of {self.data.crop_size} pixels (data.crop-size), "
                f"but is {window}"
            )
        self.loss.check_crops(
            Batch(
                images=min(self.data.batch_size, self.data.held_out_crops),
                context=self.codec.context,
            ),
            latents=latents,
        )
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
        for before, stage in itertools.pairwise(self.stages):
            if before.start >= stage.start:
                raise UserError(
                    f"stages must start one after another, but one that starts after "
                    f"{stage.start} steps follows one after {before.start}"
                )
        if self.stages:
            self.run_stages()

    @property
    def members(self) -> tuple[SweepMember, ...]:
        """Members of the sweep. A run of one codec has one member."""
        return self.sweep.members

    def run_stages(self) -> tuple[Stage, ...]:
        """Returns the stages of the whole run, the first of which starts at step 0.

        Raises:
          UserError: If the settings of a stage are out of range, or it starts after the
            end of the run.
        """
        changes = list(self.stages)
        if not changes or changes[0].start > 0:
            changes.insert(0, StageConfig())
        stops = [*(change.start for change in changes[1:]), self.steps]
        stages: list[Stage] = []
        for change, stop in zip(changes, stops, strict=True):
            if change.start >= self.steps:
                raise UserError(
                    f"a stage must start before the end of the run, after less than "
                    f"{self.steps} steps, but starts after {change.start}: give more "
                    "steps or fewer stages"
                )
            stages.append(self._stage(change, stop, stages))
        return tuple(stages)

    def _stage(self, change: StageConfig, stop: int, before: Sequence[Stage]) -> Stage:
        """Returns the stage that a change of the settings starts."""
        try:
            settings = with_changes(self, {"stages": (), **change.changes()})
        except UserError as error:
            raise UserError(f"stage from step {change.start}: {error}") from error
        period = None
        if change.learning_rate is not None:
            period = Period(start=change.start, steps=stop - change.start)
        return Stage(
            start=change.start,
            stop=stop,
            skipped_images=sum(
                self.data.num_images(x.stop - x.start, batch_size=x.batch_size)
                for x in before
            ),
            static_config=dataclasses.replace(settings.static_config, period=period),
            members=change.members(self.members),
            crop_size=settings.data.crop_size,
            batch_size=settings.data.batch_size,
            description=change.describe(),
            correlation_weight_end=change.correlation_weight_end,
        )

    @property
    def trained_from(self) -> int | None:
        """Step of the trained parameters that the run starts from, if it does."""
        return 0 if self.init_from else self.branch_step

    @property
    def static_config(self) -> StaticConfig:
        """All settings that the compiled step depends on."""
        return StaticConfig(
            codec=self.codec,
            loss=self.loss,
            optimizer=self.optimizer.for_batch(self.data.batch_size),
            step=self.step,
            steps=self.steps,
        )


def with_changes(settings: Settings, changes: Mapping[str, Any]) -> Settings:
    """Returns settings with some fields replaced.

    Args:
      settings: Settings of a run, or a part of them.
      changes: Values of fields by name. For a field with fields of its own, either a
        whole value or a mapping of what to change in it.

    Raises:
      UserError: If there is no field of that name, or a value is out of range.
    """
    old: Any = settings
    fields = [field.name for field in dataclasses.fields(old)]
    values = {}
    for name, value in changes.items():
        if name not in fields:
            guess = difflib.get_close_matches(name, fields, 1)
            hint = f"did you mean {guess[0]}?" if guess else f"only {', '.join(fields)}"
            raise UserError(f"{type(settings).__name__} has no field {name!r}: {hint}")
        part = getattr(old, name)
        is_part = dataclasses.is_dataclass(part) and isinstance(value, Mapping)
        values[name] = with_changes(part, value) if is_part else value
    return dataclasses.replace(old, **values)


def variant(variants: Mapping[str, Value], name: str) -> Value:
    """Returns a variant of a config file.

    Args:
      variants: All variants, by name.
      name: Name that the user gave.

    Raises:
      UserError: If there is no variant of that name.
    """
    if name not in variants:
        names = ", ".join(variants)
        raise UserError(f"the variant must be one of {names}, but is {name!r}")
    return variants[name]
