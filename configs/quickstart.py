"""The packaged codec, trained further with the correlation loss for minutes.

Transforms of Minnen et al., NeurIPS 2018, with the loss of Ali et al., NeurIPS 2023,
https://openreview.net/forum?id=1ihGy9vAIg. Trained on photographs that are packaged
with scikit-image. The run starts from the codec that `-m demo@2` names, and shows what
the loss changes in it. The variant `scratch` starts a smaller codec from random
parameters, as training on photographs of one's own does.

    jaxcorr train quickstart
    jaxcorr train quickstart:scratch

Cost: 2 to 6 minutes on two cores, including compilation.
Result of `scratch`: 25.16 dB at 0.512 bpp on the two held-out photographs, measured on
compressed files (quickstart.png).
"""

from jaxcorr.codec import CodecConfig
from jaxcorr.config import TrainConfig, variant
from jaxcorr.context.checkerboard import Checkerboard
from jaxcorr.data.sources import DataConfig
from jaxcorr.training.checkpoints import IntervalConfig
from jaxcorr.training.loss import LossConfig
from jaxcorr.training.optimizer import OptimizerConfig
from jaxcorr.training.sweep import SweepConfig
from jaxcorr.transforms.minnen import Minnen

START = {
    "demo": TrainConfig(
        steps=300,
        init_from="demo@2",
        # The codec of the demo.
        codec=CodecConfig(
            transforms=Minnen(width=64, channels=96), context=Checkerboard()
        ),
        # α in multiples of the weight that prices correlation twice.
        loss=LossConfig(weight="auto"),
        sweep=SweepConfig(distortion_weight=0.0067, correlation_weight=4.0),
        optimizer=OptimizerConfig(
            learning_rate=1e-4, warmup_steps=20, schedule="cosine", ema_decay=0.98
        ),
        data=DataConfig(batch_size=2, crop_size=256),
        intervals=IntervalConfig(log_every=20, eval_every=100, checkpoint_every=300),
    ),
    "scratch": TrainConfig(
        steps=1400,
        codec=CodecConfig(transforms=Minnen(width=32, channels=48)),
        # With 8 latents across a crop, a 7x7 window would fit at only 4 positions.
        loss=LossConfig(window=5),
        sweep=SweepConfig(distortion_weight=0.0250, correlation_weight=0.1),
        optimizer=OptimizerConfig(learning_rate=2e-3, warmup_steps=50),
        data=DataConfig(batch_size=8, crop_size=128, held_out_crops=8),
        intervals=IntervalConfig(log_every=20, eval_every=300, checkpoint_every=300),
    ),
}
"""Settings of the run, by what it starts from."""


def get_config(start: str = "demo") -> TrainConfig:
    """Returns the settings of the run."""
    return variant(START, start)
