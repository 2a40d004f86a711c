"""A small mean-scale hyperprior with the correlation loss, in minutes on two cores.

Transforms of Minnen et al., NeurIPS 2018, with the loss of Ali et al., NeurIPS 2023,
https://openreview.net/forum?id=1ihGy9vAIg, on the photographs scikit-image packages.

    jaxcorr train quickstart

Cost: 4 to 6 minutes on two cores with compilation, depending on what else they do.
Result: 24.90 dB at 0.441 bpp on held-out crops; 25.16 dB at 0.512 bpp on the two
held-out photographs, through files (quickstart.png).
"""

from jaxcorr.codec import CodecSettings
from jaxcorr.config import Config
from jaxcorr.data.sources import Data
from jaxcorr.training.checkpoints import Cadence
from jaxcorr.training.loss import Objective
from jaxcorr.training.optimizer import Optimizer
from jaxcorr.training.sweep import SweepConfig
from jaxcorr.transforms.minnen import Minnen


def get_config() -> Config:
    """Settings of the run."""
    return Config(
        steps=1400,
        codec=CodecSettings(transforms=Minnen(width=32, channels=48)),
        # 8 latents across a crop leave a 7x7 window 4 centers.
        objective=Objective(window=5),
        sweep=SweepConfig(distortion_weight=0.0250, correlation_weight=0.1),
        optimizer=Optimizer(learning_rate=2e-3, warmup_steps=50),
        data=Data(batch_size=8, crop_size=128, held_out_crops=8),
        cadence=Cadence(log=20, evaluate=300, checkpoint=300),
    )
