"""Trains the codecs of `-m demo`: one trunk, and a branch from it for each rate.

    python results/demo/train.py --photographs DIR --held-out VAL --part trunk
    python results/demo/train.py --photographs DIR --held-out VAL --part 0

The trunk is trained with a high λ at a constant learning rate. Every branch continues
it with the λ of its rate, while the learning rate falls to zero along half a cosine. A
part that was stopped resumes. Branches may run at the same time, each in its own
process. Finished parts are written as models with 16-bit parameters to
`RUNS/CODEC/models/PART`.

Where time is limited rather than the number of steps, stop a part with SIGTERM, which
saves a checkpoint. Branches start from the newest checkpoint of the trunk. `--stopped`
writes the model of the newest checkpoint of a part without training further. A branch
that was stopped before its learning rate fell can be finished elsewhere from its model:

    python results/demo/train.py --photographs DIR --held-out VAL --part 0 --finish
"""

import dataclasses
from pathlib import Path
from typing import Literal

import tyro

import jaxcorr
from jaxcorr import saved_model
from jaxcorr.codec import CodecConfig
from jaxcorr.config import TrainConfig
from jaxcorr.context.checkerboard import Checkerboard
from jaxcorr.data.augmentation import AugmentationConfig
from jaxcorr.training.checkpoints import IntervalConfig
from jaxcorr.training.optimizer import OptimizerConfig
from jaxcorr.training.step import StepConfig
from jaxcorr.training.sweep import SweepConfig
from jaxcorr.transforms.minnen import Minnen

CODECS = {
    "hyperprior": CodecConfig(transforms=Minnen(width=72, channels=112)),
    "checkerboard": CodecConfig(
        transforms=Minnen(width=64, channels=96), context=Checkerboard()
    ),
}
"""Two codecs whose 16-bit parameters take less than 5 MB."""
TRUNK = "trunk"
TRUNK_WEIGHT = 0.025
"""λ of the trunk."""
WEIGHTS = {"0": 0.0025, "1": 0.0067, "2": 0.018, "3": 0.045}
"""λ of each branch."""
AUGMENTATION = AugmentationConfig(
    scale=0.4, hue=30.0, saturation=0.5, gamma=0.5, channel_permutation=0.1,
    blur=0.1, synthetic=0.1,
)  # fmt: skip


@dataclasses.dataclass(frozen=True, kw_only=True)
class Settings:
    """The part to train, its folders and its length."""

    photographs: Path
    """Photographs to train on: BSDS500 and free ones."""
    held_out: Path
    """Photographs to evaluate on during training."""
    part: Literal["trunk", "0", "1", "2", "3"]
    """The trunk, or the number of a branch."""
    codec: Literal["hyperprior", "checkerboard"] = "hyperprior"
    """The codec to train."""
    runs: Path = Path("runs/demo")
    """Folder for run directories and models."""
    trunk_steps: int = 60_000
    """Length of the trunk."""
    branch_steps: int = 12_000
    """Length of each branch, after the trunk."""
    batch_size: int = 8
    """Number of crops in a step."""
    workers: int = 0
    """Processes that read photographs."""
    dtype: Literal["float32", "bfloat16"] = "float32"
    """Type in which analysis and synthesis compute in training."""
    stopped: bool = False
    """Write the model of a part that was stopped."""
    finish: bool = False
    """Finish a branch from its model, to `models/PART-finished`."""
    finish_steps: int = 3000
    """Length of this training, with two crops in a step."""


def main(settings: Settings) -> None:
    """Trains a part where that is not done yet, and writes its model."""
    folder = settings.runs / settings.codec
    name = f"{settings.part}-finished" if settings.finish else settings.part
    model = folder / "models" / name
    if model.is_dir():
        print(f"{model} is there already")
        return
    workdir = folder / name
    if not settings.stopped:
        run = settings_of_part(settings)
        jaxcorr.train(dataclasses.replace(run, workdir=str(workdir)))
    trained = jaxcorr.load(workdir, checkpoint="newest")
    saved_model.write_model(model, saved_model.round_to_half(trained))


def settings_of_part(settings: Settings) -> TrainConfig:
    """Returns the settings of the run that trains a part."""
    if settings.part == TRUNK:
        return trunk(settings)
    return finish(settings) if settings.finish else branch(settings)


def trunk(settings: Settings) -> TrainConfig:
    """Returns the settings of the trunk."""
    base = jaxcorr.load_config("demo")
    return dataclasses.replace(
        base,
        steps=settings.trunk_steps,
        codec=CODECS[settings.codec],
        sweep=SweepConfig(distortion_weight=TRUNK_WEIGHT, correlation_weight=0.0),
        optimizer=OptimizerConfig(
            learning_rate=1e-3, warmup_steps=500, schedule="constant", ema_decay=0.999
        ),
        step=StepConfig(transform_dtype=settings.dtype),
        data=dataclasses.replace(
            base.data,
            source=f"folder:{settings.photographs}",
            held_out=f"folder:{settings.held_out}",
            batch_size=settings.batch_size,
            workers=settings.workers,
            augmentation=AUGMENTATION,
        ),
        intervals=IntervalConfig(
            log_every=100, eval_every=4000, checkpoint_every=4000, max_to_keep=2
        ),
    )


def branch(settings: Settings) -> TrainConfig:
    """Returns the settings of a branch from the end of the trunk."""
    base = jaxcorr.branch_config(settings.runs / settings.codec / TRUNK, "newest")
    assert base.branch_step is not None
    stage = jaxcorr.StageConfig(start=base.branch_step, learning_rate=1e-3)
    return dataclasses.replace(
        base,
        steps=base.branch_step + settings.branch_steps,
        sweep=dataclasses.replace(base.sweep, distortion_weight=WEIGHTS[settings.part]),
        optimizer=dataclasses.replace(
            base.optimizer, warmup_steps=0, schedule="cosine"
        ),
        data=dataclasses.replace(base.data, workers=settings.workers),
        stages=(stage,),
    )


def finish(settings: Settings) -> TrainConfig:
    """Returns the settings of a run that finishes a branch from its model.

    Adam starts anew, with a lower peak of the learning rate.
    """
    base = trunk(settings)
    return dataclasses.replace(
        base,
        steps=settings.finish_steps,
        init_from=str(settings.runs / settings.codec / "models" / settings.part),
        sweep=dataclasses.replace(base.sweep, distortion_weight=WEIGHTS[settings.part]),
        optimizer=dataclasses.replace(
            base.optimizer, learning_rate=3e-4, warmup_steps=100, schedule="cosine"
        ),
        data=dataclasses.replace(base.data, batch_size=2, seed=1),
        intervals=dataclasses.replace(
            base.intervals, log_every=50, eval_every=1000, checkpoint_every=500
        ),
    )


if __name__ == "__main__":
    main(tyro.cli(Settings))
