"""Minnen's mean-scale hyperprior, without the correlation loss, at full scale.

Transforms of Minnen et al., NeurIPS 2018, https://arxiv.org/abs/1809.02736. The paper
whose loss this is, Ali et al., NeurIPS 2023,
https://openreview.net/forum?id=1ihGy9vAIg, does not state data, batch, schedule or
widths. These are those of CompressAI's mbt2018-mean at quality 4 (128 and 192 channels,
λ = 0.013), with twice its batch and a fixed drop of the learning rate. Configs of the
paper's other systems change transforms, context model and weight of the loss only.

    python train.py configs/minnen_hyperprior.py --data.source folder:PHOTOGRAPHS

At λ = 0.025 and above CompressAI is wider: `--codec.transforms.width 192
--codec.transforms.channels 320`.

Cost and result: not run yet; compare with minnen_hyperprior_corr.py.
"""

from jaxcorr.codec import CodecSettings, ContextSettings, TransformSettings
from jaxcorr.config import Config
from jaxcorr.context.independent import Independent
from jaxcorr.data.sources import Data
from jaxcorr.training.checkpoints import Cadence
from jaxcorr.training.objective import Objective
from jaxcorr.training.optimizer import Optimizer
from jaxcorr.training.step import Step
from jaxcorr.transforms import minnen

CORRELATION_WEIGHT = 0.1
"""α of the variants with the loss; the paper states none."""


def get_config(
    *,
    transforms: TransformSettings = minnen.SIZES["128-192"],
    context: ContextSettings = Independent(),
    correlation_weight: float = 0.0,
) -> Config:
    """Settings of the run, and of its variants."""
    return Config(
        steps=2_000_000,
        codec=CodecSettings(transforms=transforms, context=context),
        objective=Objective(
            distortion_weight=0.0130,
            correlation_weight=correlation_weight,
            window=7,
        ),
        optimizer=Optimizer(learning_rate=1e-4, warmup_steps=1000, drop_at=0.9),
        step=Step(transform_dtype="bfloat16"),
        data=Data(source="folder:photographs", batch_size=32, crop_size=256, workers=4),
        cadence=Cadence(log=100, evaluate=5000, checkpoint=5000),
    )
