"""A small mean-scale hyperprior for the study of the correlation loss.

Transforms of Minnen et al., NeurIPS 2018, https://arxiv.org/abs/1809.02736, with the
loss of Ali et al., NeurIPS 2023, https://openreview.net/forum?id=1ihGy9vAIg. Trained on
the 400 photographs of BSDS500's train and test sets and evaluated on Kodak. Every
experiment of `results/experiments.py` is this config with a few settings changed, so
that all have the same data in the same order, budget and initial numbers.

    python train.py configs/study.py --data.source folder:BSDS

Cost: 0.068 s a step on one core. Result: see results/README.md.
"""

from jaxcorr.codec import CodecSettings, ContextSettings
from jaxcorr.config import Config
from jaxcorr.context.independent import Independent
from jaxcorr.data.sources import Data
from jaxcorr.training.checkpoints import Cadence
from jaxcorr.training.objective import Objective
from jaxcorr.training.optimizer import Optimizer
from jaxcorr.transforms.minnen import Minnen


def get_config(*, context: ContextSettings = Independent()) -> Config:
    """Settings of the run, and of those with another context model."""
    return Config(
        steps=3000,
        codec=CodecSettings(transforms=Minnen(width=48, channels=64), context=context),
        objective=Objective(
            distortion_weight=0.0067,
            correlation_weight=0.1,
            window=5,  # 8 latents across a crop leave a 7x7 window 4 centers.
        ),
        optimizer=Optimizer(learning_rate=1e-3, warmup_steps=100),
        data=Data(
            source="folder:photographs",
            batch_size=4,
            crop_size=128,
            held_out_crops=64,
        ),
        cadence=Cadence(log=50, evaluate=300, checkpoint=1500),
    )
