"""A small codec with any of five context models, for the study of the loss.

Transforms of Minnen et al., NeurIPS 2018, https://arxiv.org/abs/1809.02736, with the
loss of Ali et al., NeurIPS 2023, https://openreview.net/forum?id=1ihGy9vAIg. Trained on
the 400 photographs of BSDS500's train and test sets and evaluated on Kodak. Every
experiment of `results/experiments.py` is this config with a few settings changed, so
that all have the same data in the same order, budget and initial numbers.

    jaxcorr train study --data.source folder:BSDS
    jaxcorr train study:charm --data.source folder:BSDS

Cost: 0.068 s a step on one core, without a context model.
Result: see results/README.md.
"""

from jaxcorr.codec import CodecSettings
from jaxcorr.config import Config, variant
from jaxcorr.context.autoregressive import Autoregressive
from jaxcorr.context.channelwise import Channelwise
from jaxcorr.context.checkerboard import Checkerboard
from jaxcorr.context.no_context import Independent
from jaxcorr.context.space_channel import SpaceChannel
from jaxcorr.data.sources import Data
from jaxcorr.training.checkpoints import Cadence
from jaxcorr.training.loss import Objective
from jaxcorr.training.optimizer import Optimizer
from jaxcorr.training.sweep import SweepConfig
from jaxcorr.transforms.minnen import Minnen

CONTEXTS = {
    "none": Independent(),
    "checkerboard": Checkerboard(),
    "charm": Channelwise(slices=8, networks="light"),
    "space_channel": SpaceChannel(groups=(4, 4, 8, 16)),
    "autoregressive": Autoregressive(),
}


def get_config(context: str = "none") -> Config:
    """Settings of the run that trains the codec with a context model."""
    return Config(
        steps=3000,
        codec=CodecSettings(
            transforms=Minnen(width=48, channels=64), context=variant(CONTEXTS, context)
        ),
        # 8 latents across a crop leave a 7x7 window 4 centers.
        objective=Objective(window=5),
        sweep=SweepConfig(distortion_weight=0.0067, correlation_weight=0.1),
        optimizer=Optimizer(learning_rate=1e-3, warmup_steps=100),
        data=Data(
            source="folder:photographs",
            batch_size=4,
            crop_size=128,
            held_out_crops=64,
        ),
        cadence=Cadence(log=50, evaluate=300, checkpoint=1500),
    )
