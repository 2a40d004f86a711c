"""Recipes of the field for long runs, as stages: each variant is one habit.

`high_rate_first` begins with a high λ and lowers it, so that latents first learn to
carry the image, for codecs of low rates. `ms_ssim` trains for the MSE and then for
1 - MS-SSIM, whose gradient says little about a picture that is not yet one.
`large_crops` ends with few crops of 512 pixels, since structure reaches further than a
small crop. Which of them help, and how much, depends on codec and data: compare them.

    jaxcorr train recipes:large_crops --data.held-out folder:VALIDATION

Training images are read from the folder `photographs`, or from `--data.source`. Stages
begin at fixed steps; for a shorter run, change the file. Any codec can take the place
of Minnen's: `--codec.transforms cheng --codec.context charm`.

Cost and result: not run at this length. `results/recipe` measures larger crops at the
end for small codecs.
"""

from collections.abc import Sequence

from jaxcorr.codec import CodecConfig
from jaxcorr.config import TrainConfig, variant
from jaxcorr.data.sources import DataConfig
from jaxcorr.training.checkpoints import IntervalConfig
from jaxcorr.training.loss import LossConfig
from jaxcorr.training.optimizer import OptimizerConfig
from jaxcorr.training.stages import StageConfig
from jaxcorr.training.step_config import StepConfig
from jaxcorr.training.sweep import SweepConfig
from jaxcorr.transforms import minnen

STEPS = 2_000_000
FINAL_RATE = 1e-5
"""Learning rate of the last stage, a tenth of that of the run."""

# λ of the run, which evaluations use in every stage, its distortion, and the stages.
RECIPES: dict[str, tuple[float, LossConfig, Sequence[StageConfig]]] = {
    "high_rate_first": (
        0.0035,
        LossConfig(),
        (
            StageConfig(distortion_weight=0.0250),
            StageConfig(start=STEPS // 5, distortion_weight=0.0130),
            StageConfig(start=2 * STEPS // 5, distortion_weight=0.0067),
            StageConfig(start=3 * STEPS // 5),
        ),
    ),
    "ms_ssim": (
        16.64,  # CompressAI's λ of quality 4 for 1 - MS-SSIM; 0.0130 is that for MSE.
        LossConfig(distortion="ms_ssim"),
        (
            StageConfig(distortion="mse", distortion_weight=0.0130),
            StageConfig(start=3 * STEPS // 4, learning_rate=FINAL_RATE),
        ),
    ),
    "large_crops": (
        0.0130,
        LossConfig(),
        (
            StageConfig(
                start=9 * STEPS // 10,
                crop_size=512,
                batch_size=8,
                learning_rate=FINAL_RATE,
            ),
        ),
    ),
}


def get_config(recipe: str = "high_rate_first") -> TrainConfig:
    """Returns the settings of the run."""
    distortion_weight, loss, stages = variant(RECIPES, recipe)
    return TrainConfig(
        steps=STEPS,
        codec=CodecConfig(transforms=minnen.SIZES["192-320"]),
        loss=loss,
        sweep=SweepConfig(distortion_weight=distortion_weight, correlation_weight=0.0),
        optimizer=OptimizerConfig(
            learning_rate=1e-4,
            warmup_steps=1000,
            schedule="constant" if recipe != "high_rate_first" else "stable_decay",
            ema_decay=0.999,
        ),
        stages=tuple(stages),
        step=StepConfig(transform_dtype="bfloat16"),
        data=DataConfig(
            source="folder:photographs", batch_size=32, crop_size=256, workers=4
        ),
        intervals=IntervalConfig(log_every=100, eval_every=5000, checkpoint_every=5000),
    )
