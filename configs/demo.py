"""A mean-scale hyperprior, trained as well as two cores allow.

Transforms of Minnen et al., NeurIPS 2018, https://arxiv.org/abs/1809.02736. The
recipe is the best one of `results/recipe`, which changes one setting at a time: many
small crops first, and larger ones at the end.

    jaxcorr train demo --data.source folder:PHOTOGRAPHS

Cost: 0.12 s per step on two cores; one run on each core trains 16 to 20 % more.
Result: see results/README.md.
"""

from jaxcorr.codec import CodecConfig
from jaxcorr.config import TrainConfig
from jaxcorr.data.sources import DataConfig
from jaxcorr.training.checkpoints import IntervalConfig
from jaxcorr.training.loss import LossConfig
from jaxcorr.training.optimizer import OptimizerConfig
from jaxcorr.training.stages import StageConfig
from jaxcorr.training.sweep import SweepConfig
from jaxcorr.transforms.minnen import Minnen


def get_config() -> TrainConfig:
    """Returns the settings of the run."""
    return TrainConfig(
        steps=5000,
        codec=CodecConfig(transforms=Minnen(width=64, channels=96)),
        sweep=SweepConfig(distortion_weight=0.0130, correlation_weight=0.0),
        optimizer=OptimizerConfig(
            learning_rate=1e-3, warmup_steps=100, schedule="cosine", ema_decay=0.999
        ),
        data=DataConfig(
            source="folder:photographs", batch_size=8, crop_size=128, held_out_images=20
        ),
        # With 8 latents across a crop, a 7x7 window would fit at only 4 positions.
        loss=LossConfig(window=5),
        stages=(StageConfig(start=3500, batch_size=2, crop_size=256),),
        intervals=IntervalConfig(
            log_every=50, eval_every=1000, checkpoint_every=1000, max_to_keep=1
        ),
    )
