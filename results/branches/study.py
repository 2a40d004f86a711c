"""Measures what the correlation loss changes in a trained codec, in pairs of branches.

    python results/branches/study.py --photographs BSDS --held-out VAL --kodak KODAK \
        --other-kinds OTHER

trains trunks without the loss, each as a sweep over two rates. From
three of its checkpoints every arm goes on with the same batches and the same noise, and
ends with the same drop of the learning rate. Arms differ in the loss alone, but for the
controls. Whole images are measured with rounded latents; bits and MSE of each image are
kept as CSV beside this script, with the log of the training, for each set of images
whose folder is given.
`changes.py` prints the comparison.

What is trained or measured already is not repeated, and a run that was stopped resumes.
`--only NAME…`, `--arms NAME…` and `--checkpoints STEP…` run some of the branches, for
example in a process on each core.
`--deadline SECONDS` starts no further training after that time.
"""

import dataclasses
import shutil
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import tyro
import whole_images

import jaxcorr
from jaxcorr import codec, config, runtime, saved_model
from jaxcorr.codec import CodecConfig, ContextConfig, TransformConfig
from jaxcorr.config import TrainConfig
from jaxcorr.context.autoregressive import Autoregressive
from jaxcorr.context.channelwise import Channelwise
from jaxcorr.context.checkerboard import Checkerboard
from jaxcorr.context.no_context import NoContext
from jaxcorr.data.sources import DataConfig
from jaxcorr.model import make_model
from jaxcorr.training.checkpoints import IntervalConfig
from jaxcorr.training.optimizer import OptimizerConfig
from jaxcorr.training.sweep import SweepConfig
from jaxcorr.transforms.cheng import Cheng
from jaxcorr.transforms.minnen import Minnen

FOLDER = Path(__file__).resolve().parent
TRANSFORMS = Minnen(width=64, channels=96)
WEIGHTS = (0.0005, 0.0067)
"""λ of the two rates."""
TRUNK_STEPS, EVERY = 8_000, 1_000
CHECKPOINTS = (6_000, 7_000, 8_000)
"""Steps of the trunk from which the pairs branch."""
BRANCH_STEPS = 1_000
LEARNING_RATE = 5e-4
AUTO = {"loss": {"weight": "auto"}}
LOSS: dict[str, dict[str, Any]] = {
    # α in multiples of the weight that adds the cost of correlation once more.
    "published": {**AUTO, "sweep": {"correlation_weight": (0.0, 1.0, 4.0)}},
    "whitening": {
        "loss": {"measure": "whitening", "estimator": "averaged"},
        "sweep": {"correlation_weight": 1.0},
    },
    # The paper's loss itself, with α* of latents of variance 1.
    "fixed": {"sweep": {"correlation_weight": round(0.36 * 96 / 256, 3)}},
    "annealed": {
        **AUTO,
        "stages": {"correlation_weight": 4.0, "correlation_weight_end": 0.0},
    },
}
"""Name of every arm, and what it changes in a branch without the loss."""
CONTROLS: dict[str, dict[str, Any]] = {
    # Other noise, and other crops of equal area.
    "noise": {"sweep": {"seed": 1}},
    "crops": {"data": {"crop_size": 128, "batch_size": 16}},
}
"""Arms without the loss."""
SHORT = {**LOSS, "published": {**AUTO, "sweep": {"correlation_weight": (0.0, 1.0)}}}
"""Arms of a trunk whose steps take long."""
UNBIASED = {
    "loss": {"weight": "auto", "estimator": "unbiased"},
    "sweep": {"correlation_weight": 1.0},
}
MASKED = {
    "loss": {"weight": "auto", "mask": "context"},
    "sweep": {"correlation_weight": 1.0},
}
"""An arm that leaves out what the context model sees."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Trunk:
    """A codec that is trained without the loss, and the arms that branch from it.

    Attributes:
      context: Context model.
      arms: What each arm changes in a branch without the loss, by its name.
      start: Model that the trunk starts from, except for another context model, whose
        parameters are random. Without it all parameters are random.
      transforms: Transforms; None for `TRANSFORMS`.
    """

    context: ContextConfig
    arms: Mapping[str, dict[str, Any]]
    start: str | None = None
    transforms: TransformConfig | None = None


TRUNKS = {
    "none": Trunk(context=NoContext(), arms={**LOSS, **CONTROLS}),
    "none_from_demo": Trunk(
        context=NoContext(),
        start="demo",
        arms={"published": SHORT["published"], "unbiased": UNBIASED}
        | {name: LOSS[name] for name in ("whitening", "fixed")},
    ),
    "charm": Trunk(
        context=Channelwise(slices=8, networks="light"), start="demo", arms=SHORT
    ),
    # Meant as a control, since its context sees what the loss sees.
    "autoregressive": Trunk(
        context=Autoregressive(),
        arms={name: LOSS[name] for name in ("published", "whitening")},
    ),
    "checkerboard": Trunk(
        context=Checkerboard(), arms={"published": LOSS["published"], "masked": MASKED}
    ),
    "cheng_64": Trunk(context=NoContext(), transforms=Cheng(width=64), arms=SHORT),
    "cheng_128": Trunk(context=NoContext(), transforms=Cheng(width=128), arms=SHORT),
}
"""Trunks by their names. Those of Cheng's transforms need an accelerator."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Settings:
    """Folders of images and runs, and the trunks to train."""

    photographs: Path
    """The train and test sets of BSDS500, in one folder."""
    held_out: Path
    """The validation set of BSDS500."""
    kodak: Path | None = None
    """The 24 Kodak photographs."""
    other_kinds: Path | None = None
    """The images that `results/other_kinds/make.py` makes."""
    runs: Path = Path("runs/branches")
    """Folder for the run directories."""
    only: tuple[str, ...] = ("none", "charm", "autoregressive", "checkerboard")
    """Names of trunks."""
    arms: tuple[str, ...] = ()
    """Names of arms; all by default."""
    checkpoints: tuple[int, ...] = CHECKPOINTS
    """Checkpoints of the trunk, in steps of a trunk of full length; none trains the
    trunk alone."""
    trains_only: bool = False
    """Whether no images are measured."""
    workers: int = 0
    """Processes that read photographs."""
    deadline: float = float("inf")
    """Seconds after which no further run is started."""
    trunk_steps: int = TRUNK_STEPS
    """Length of the trunk. Branches start from it and two checkpoints before."""
    branch_steps: int = BRANCH_STEPS
    """Length of each branch."""

    @property
    def measured(self) -> dict[str, Path]:
        """Folders of the sets of images to measure, by the names of their tables."""
        sets = {"val": self.held_out, "kodak": self.kodak, "other": self.other_kinds}
        if self.trains_only:
            return {}
        return {name: folder for name, folder in sets.items() if folder is not None}


def main(settings: Settings) -> None:
    """Trains and measures what is not done yet."""
    runtime.retain_freed_memory()
    started = time.monotonic()

    def is_late() -> bool:
        return time.monotonic() - started > settings.deadline

    for trunk in settings.only:
        if not is_late():
            train(trunk_config(trunk, settings, write_start(trunk, settings)))
    runs = [
        (trunk, arm, round(checkpoint * settings.trunk_steps / TRUNK_STEPS), rate)
        for checkpoint in settings.checkpoints
        for trunk in settings.only
        for arm in TRUNKS[trunk].arms
        if not settings.arms or arm in settings.arms
        for rate in range(len(WEIGHTS))
    ]
    for trunk, arm, step, rate in runs:
        name = f"{step}-{WEIGHTS[rate]:g}-{arm}"
        workdir = settings.runs / trunk / name
        if is_late() and not (workdir / "models").is_dir():
            continue
        run = branch(trunk, rate, step, arm, settings)
        run = dataclasses.replace(run, workdir=str(workdir))
        train(run)
        results = FOLDER / f"{trunk}-{name}"
        results.mkdir(exist_ok=True)
        shutil.copy(workdir / "metrics.jsonl", results)
        for images, folder in settings.measured.items():
            table = results / f"{images}.csv"
            if not table.is_file():
                whole_images.write(table, run, folder)


def train(run: TrainConfig) -> None:
    """Trains where that is not done yet, and keeps the models without checkpoints."""
    assert run.workdir is not None
    if (Path(run.workdir) / "models").is_dir():
        print(f"{run.workdir} is trained already", flush=True)
        return
    workdir = jaxcorr.train(run)
    for number in range(len(run.sweep.members)):
        model = jaxcorr.load(f"{workdir}@{number}", checkpoint="newest")
        saved_model.write_model(workdir / "models" / str(number), model)


def write_start(trunk: str, settings: Settings) -> str | None:
    """Writes the model that a trunk starts from, and returns its folder."""
    start = TRUNKS[trunk].start
    if start is None:
        return None
    trained = jaxcorr.load(start)
    wanted = dataclasses.replace(trained.config, context=TRUNKS[trunk].context)
    kept = {
        name: value
        for name, value in trained.device_parameters.items()
        if not name.startswith("context/")
    }
    model = make_model(wanted, codec.initialize(wanted, jax.random.key(0)) | kept)
    folder = settings.runs / trunk / "start"
    saved_model.write_model(folder, model)
    return str(folder)


def trunk_config(trunk: str, settings: Settings, init_from: str | None) -> TrainConfig:
    """Returns the settings of the run from which all arms branch."""
    every = round(EVERY * settings.trunk_steps / TRUNK_STEPS)
    return TrainConfig(
        steps=settings.trunk_steps,
        workdir=str(settings.runs / trunk / "trunk"),
        init_from=init_from,
        codec=CodecConfig(
            transforms=TRUNKS[trunk].transforms or TRANSFORMS,
            context=TRUNKS[trunk].context,
        ),
        sweep=SweepConfig(distortion_weight=WEIGHTS, correlation_weight=0.0),
        optimizer=OptimizerConfig(
            learning_rate=LEARNING_RATE,
            warmup_steps=500,
            schedule="constant",
            ema_decay=0.99,
        ),
        data=DataConfig(
            source=f"folder:{settings.photographs}",
            held_out=f"folder:{settings.held_out}",
            workers=settings.workers,
            batch_size=4,
            crop_size=256,
            held_out_images=0,
        ),
        intervals=IntervalConfig(
            log_every=100, eval_every=every, checkpoint_every=every, max_to_keep=3
        ),
    )


def branch(
    trunk: str, rate: int, step: int, arm: str, settings: Settings
) -> TrainConfig:
    """Returns the settings of an arm from one checkpoint of a trunk."""
    changes = TRUNKS[trunk].arms[arm]
    run = jaxcorr.branch_config(
        settings.runs / trunk / f"trunk@{rate}", checkpoint=str(step)
    )
    stage = jaxcorr.StageConfig(
        start=step, learning_rate=LEARNING_RATE, **changes.get("stages", {})
    )
    steps = settings.branch_steps
    base = {
        "steps": step + steps,
        "stages": (stage,),
        "optimizer": {"schedule": "drop", "drop_at": 0.6, "warmup_steps": 0},
        "intervals": {"eval_every": steps, "checkpoint_every": steps, "max_to_keep": 1},
    }
    others = {name: value for name, value in changes.items() if name != "stages"}
    return config.with_changes(config.with_changes(run, base), others)


if __name__ == "__main__":
    main(tyro.cli(Settings))
