"""Trains the codecs of `-m demo`: one trunk, then several rates from it.

    python results/demo/train.py --photographs DIR --held-out VAL --part trunk
    python results/demo/train.py --photographs DIR --held-out VAL --part rates

The trunk is trained with a high λ at a constant learning rate. From its averaged
parameters a sweep over λ goes on, in which all rates see the same crops, while the
learning rate falls to zero along half a cosine. A part that was stopped resumes.
Finished models are written with 16-bit parameters to `RUNS/CODEC/models`, under the
name of their λ. Where time is limited rather than the number of steps, stop the trunk
with SIGTERM, which saves a checkpoint, and write its model with `--stopped`.

A further rate can start from the model of one that is finished:

    python results/demo/train.py --photographs DIR --held-out VAL --part rates \
        --weights 0.001 --start 0.0025 --learning-rate 3e-4 --steps 3000 --batch-size 2
"""

import dataclasses
from pathlib import Path
from typing import Literal

import tyro

import jaxcorr
from jaxcorr import config, saved_model
from jaxcorr.codec import CodecConfig
from jaxcorr.config import TrainConfig
from jaxcorr.context.checkerboard import Checkerboard
from jaxcorr.data.augmentation import AugmentationConfig
from jaxcorr.transforms.minnen import Minnen

CODECS = {
    "hyperprior": CodecConfig(transforms=Minnen(width=72, channels=112)),
    "checkerboard": CodecConfig(
        transforms=Minnen(width=64, channels=96), context=Checkerboard()
    ),
    # 96 latents hold no more than about 32 dB (`ceiling.py`).
    "wide": CodecConfig(transforms=Minnen(width=80, channels=192, hyper_width=72)),
}
"""Codecs whose 16-bit parameters take less than 5 MB."""
TRUNK = "trunk"
"""Name of the trunk."""
WEIGHTS = (0.0025, 0.0067, 0.018, 0.045)
"""λ of the rates."""
AUGMENTATION = AugmentationConfig(
    scale=0.4, hue=30.0, saturation=0.5, gamma=0.5, channel_permutation=0.1,
    blur=0.1, synthetic=0.2,
)  # fmt: skip


@dataclasses.dataclass(frozen=True, kw_only=True)
class Settings:
    """The part to train, its folders and its length."""

    photographs: Path
    """Photographs to train on: BSDS500 and free ones."""
    held_out: Path
    """Photographs to evaluate on during training."""
    part: Literal["trunk", "rates"]
    """The trunk, or the sweep over the rates."""
    codec: Literal["hyperprior", "checkerboard", "wide"] = "checkerboard"
    """The codec to train."""
    runs: Path = Path("runs/demo")
    """Folder for run directories and models."""
    weights: tuple[float, ...] = WEIGHTS
    """λ of the rates."""
    trunk_weight: float = 0.025
    """λ of the trunk."""
    start: str = TRUNK
    """Model that the rates start from."""
    steps: int = 18_000
    """Length of the part."""
    learning_rate: float = 5e-4
    """Highest learning rate of the rates."""
    trunk_learning_rate: float = 1e-3
    """Learning rate of the trunk."""
    batch_size: int = 8
    """Number of crops in a step."""
    workers: int = 0
    """Processes that read photographs."""
    synthetic: float = AUGMENTATION.synthetic
    """Share of the crops that are drawings and text."""
    dtype: Literal["float32", "bfloat16"] = "float32"
    """Type in which analysis and synthesis compute in training."""
    stopped: bool = False
    """Write the models of a part that was stopped."""


def main(settings: Settings) -> None:
    """Trains a part where that is not done yet, and writes its models."""
    folder = settings.runs / settings.codec
    names = [f"{weight:g}" for weight in settings.weights]
    run, workdir = rates(settings), folder / "-".join(["rates", *names])
    if settings.part == TRUNK:
        names, run, workdir = [TRUNK], trunk(settings), folder / TRUNK
    if not settings.stopped:
        jaxcorr.train(run, workdir=str(workdir))
    for number, name in enumerate(names):
        trained = jaxcorr.load(f"{workdir}@{number}", checkpoint="newest")
        model = saved_model.round_to_half(trained)
        saved_model.write_model(folder / "models" / name, model)


def trunk(settings: Settings) -> TrainConfig:
    """Returns the settings of the trunk."""
    return config.with_changes(
        jaxcorr.load_config("demo"),
        {
            "steps": settings.steps,
            "stages": (),
            "codec": CODECS[settings.codec],
            "sweep": {
                "distortion_weight": settings.trunk_weight,
                "correlation_weight": 0.0,
            },
            "optimizer": {
                "learning_rate": settings.trunk_learning_rate,
                "warmup_steps": 500,
                "schedule": "constant",
                "ema_decay": 0.999,
            },
            "step": {"transform_dtype": settings.dtype},
            "data": {
                "source": f"folder:{settings.photographs}",
                "held_out": f"folder:{settings.held_out}",
                "batch_size": settings.batch_size,
                "crop_size": 256,
                "workers": settings.workers,
                "augmentation": dataclasses.replace(
                    AUGMENTATION, synthetic=settings.synthetic
                ),
            },
            "intervals": {
                "log_every": 100,
                "eval_every": 4000,
                "checkpoint_every": 4000,
                "max_to_keep": 2,
            },
        },
    )


def rates(settings: Settings) -> TrainConfig:
    """Returns the settings of the sweep that goes on from a finished model."""
    return config.with_changes(
        trunk(settings),
        {
            "init_from": str(
                settings.runs / settings.codec / "models" / settings.start
            ),
            "sweep": {"distortion_weight": settings.weights},
            "optimizer": {
                "learning_rate": settings.learning_rate,
                "schedule": "cosine",
            },
            "data": {"seed": 1},
        },
    )


if __name__ == "__main__":
    main(tyro.cli(Settings))
