"""A small codec with any of five context models, for the study of the loss.

Transforms of Minnen et al., NeurIPS 2018, https://arxiv.org/abs/1809.02736, with the
loss of Ali et al., NeurIPS 2023, https://openreview.net/forum?id=1ihGy9vAIg. Trained on
the 400 photographs of BSDS500's train and test sets and evaluated on Kodak. Every
experiment of `results/experiments.py` changes a few settings of this config. All other
settings, such as the data and its order, are the same in every experiment.

    jaxcorr train study --data.source folder:BSDS
    jaxcorr train study:charm --data.source folder:BSDS

Cost: 0.068 s per step on one core, without a context model.
Result: see results/README.md.
"""

from jaxcorr.codec import CodecConfig
from jaxcorr.config import TrainConfig, variant
from jaxcorr.context.autoregressive import Autoregressive
from jaxcorr.context.channelwise import Channelwise
from jaxcorr.context.checkerboard import Checkerboard
from jaxcorr.context.no_context import NoContext
from jaxcorr.context.space_channel import SpaceChannel
from jaxcorr.data.sources import DataConfig
from jaxcorr.training.checkpoints import IntervalConfig
from jaxcorr.training.loss import LossConfig
from jaxcorr.training.optimizer import OptimizerConfig
from jaxcorr.training.sweep import SweepConfig
from jaxcorr.transforms.minnen import Minnen

CONTEXTS = {
    "none": NoContext(),
    "checkerboard": Checkerboard(),
    "charm": Channelwise(slices=8, networks="light"),
    "space_channel": SpaceChannel(groups=(4, 4, 8, 16)),
    "autoregressive": Autoregressive(),
}


def get_config(context: str = "none") -> TrainConfig:
    """Returns the settings of the run that trains the codec with a context model."""
    return TrainConfig(
        steps=3000,
        codec=CodecConfig(
            transforms=Minnen(width=48, channels=64), context=variant(CONTEXTS, context)
        ),
        # With 8 latents across a crop, a 7x7 window would fit at only 4 positions.
        loss=LossConfig(window=5),
        sweep=SweepConfig(distortion_weight=0.0067, correlation_weight=0.1),
        optimizer=OptimizerConfig(learning_rate=1e-3, warmup_steps=100),
        data=DataConfig(
            source="folder:photographs",
            batch_size=4,
            crop_size=128,
            # Evaluations compare with those of the committed results, which had crops.
            held_out_images=0,
            held_out_crops=64,
        ),
        intervals=IntervalConfig(log_every=50, eval_every=300, checkpoint_every=1500),
    )
