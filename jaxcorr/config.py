"""The settings of a run, composed of those of its parts."""

import contextlib
import dataclasses
import importlib
import runpy
import sys
import traceback
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import tyro

from jaxcorr import correlation, metrics, settings
from jaxcorr.codec import CodecSettings
from jaxcorr.data.sources import Data
from jaxcorr.errors import UserError
from jaxcorr.training.checkpoints import Cadence
from jaxcorr.training.mesh import MeshShape
from jaxcorr.training.objective import Objective
from jaxcorr.training.optimizer import Optimizer
from jaxcorr.training.processes import Processes
from jaxcorr.training.step import Recipe, Step
from jaxcorr.training.sweep import Member
from jaxcorr.transforms.transforms import LATENT_STRIDE

MAY_CHANGE = {
    *(("steps",), ("workdir",), ("data", "workers")),
    *(("cadence",), ("mesh",), ("processes",)),
}
"""Fields, and all below them, that may differ when a run is resumed."""


@settings.stored("Config")
@dataclasses.dataclass(frozen=True, kw_only=True)
class Config:
    """A training run."""

    steps: int = 1_000_000
    """Length of the run."""
    workdir: str | None = None
    """Run directory; by default `runs/` and the name of the config file."""
    initialize: str | None = None
    """Run or model folder whose parameters to start from; None draws them."""
    seed: int | Sequence[int] = 0
    """Seed of the initial parameters and of the noise; several train a codec each."""
    codec: CodecSettings = dataclasses.field(default_factory=CodecSettings)
    """What is trained."""
    objective: Objective = dataclasses.field(default_factory=Objective)
    """What is minimized."""
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
        settings.freeze_list(self, "seed")
        for seed in settings.alternatives(self.seed):
            if not 0 <= seed < 2**32:
                raise UserError(f"seed must be in [0, 2**32), but is {seed}")
        if len(set(self.members)) < len(self.members):
            raise UserError(
                "seed, objective.distortion-weight and objective.correlation-weight "
                "must not repeat a value"
            )
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
        smallest = metrics.MS_SSIM_MINIMUM_SIDE
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
        """The runs to train: every seed with every λ and every α, in this order."""
        return tuple(
            Member(
                seed=seed,
                distortion_weight=distortion_weight,
                correlation_weight=correlation_weight,
            )
            for seed in settings.alternatives(self.seed)
            for distortion_weight, correlation_weight in self.objective.pairs
        )

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


def parse(arguments: Sequence[str], *, program: str) -> Config:
    """Reads a config file, then the command line's changes to it.

    Args:
      arguments: Path of a Python file with `get_config()`, then overrides such as
        `--data.batch-size 8`.
      program: Name of the command, for messages.

    Raises:
      UserError: If the file gives no config or a value is out of range.
      SystemExit: If an override is mistyped; tyro explains it.
    """
    path, overrides = "CONFIG.py", list(arguments)
    if set(arguments[:1]) <= {"-h", "--help"} and arguments:
        config = Config()
    elif not arguments or arguments[0].startswith("-"):
        raise UserError(f"usage: {program} {path} [--steps N] [--workdir DIR] …")
    else:
        path, *overrides = arguments
        config = _from_file(path)
    if config.workdir is None:
        config = dataclasses.replace(config, workdir=f"runs/{Path(path).stem}")
    return tyro.cli(
        tyro.conf.AvoidSubcommands[Config],
        default=config,
        args=overrides,
        prog=f"{program} {path}",
    )


def _from_file(path: str) -> Config:
    """What `get_config()` of a Python file returns."""
    if not Path(path).is_file():
        raise UserError(f"{path} does not exist; configs are Python files in configs/")
    folder = Path(path).resolve().parent
    try:
        with _importable(folder):
            config = runpy.run_path(path)["get_config"]()
    except UserError:
        raise
    except Exception as error:  # The file is the user's: any mistake may be in it.
        places = [
            f"{Path(path).with_name(Path(frame.filename).name)}, line {frame.lineno}"
            for frame in traceback.extract_tb(error.__traceback__)
            if Path(frame.filename).resolve().parent == folder
        ]
        where = places[-1] if places else path
        raise UserError(f"{where}: {type(error).__name__}: {error}") from error
    if not isinstance(config, Config):
        raise UserError(f"{path}: get_config() gives {config!r:.60}, not a Config")
    return config


@contextlib.contextmanager
def _importable(folder: Path) -> Iterator[None]:
    """Lets configs of a folder import each other, as scripts can.

    They are forgotten again: those of another folder may have the same names.
    """
    before = set(sys.modules)
    importlib.invalidate_caches()
    sys.path.insert(0, str(folder))
    try:
        yield
    finally:
        sys.path.remove(str(folder))
        for name in set(sys.modules) - before:
            origin = getattr(sys.modules[name], "__file__", None)
            if origin is not None and Path(origin).parent == folder:
                del sys.modules[name]


def check_resumable(config: Config, saved: Any, workdir: Path) -> None:
    """Refuses to go on with a run under settings that would make it another run.

    Args:
      config: Settings now.
      saved: Settings of the newest checkpoint, as JSON.
      workdir: The run directory, for messages.

    Raises:
      UserError: If a field differs that may not.
    """
    before = settings.to_json(settings.from_json(Config, saved, str(workdir)))
    changed = settings.differences(before, settings.to_json(config))
    for path, (old, new) in changed.items():
        if not MAY_CHANGE & {path[:1], path}:
            raise UserError(
                f"{workdir} holds a run with {'.'.join(path).replace('_', '-')} {old}, "
                f"not {new}: choose another --workdir, or that value"
            )
