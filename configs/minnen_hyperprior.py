"""Mean-scale hyperprior with the correlation loss, at the scale of the literature.

Transforms of Minnen et al., NeurIPS 2018, https://arxiv.org/abs/1809.02736, with the
loss of Ali et al., NeurIPS 2023, https://openreview.net/forum?id=1ihGy9vAIg. Ali et al.
do not state data, batch, schedule or widths; these are those of CompressAI's
mbt2018-mean at quality 4 (128 and 192 channels, λ = 0.013), with twice its batch and a
fixed drop of the learning rate.

    python train.py configs/minnen_hyperprior.py --data.source folder:PHOTOGRAPHS

The baseline is the same with `--objective.correlation-weight 0`. At λ = 0.025 and above
CompressAI is wider: `--codec.transforms.width 192 --codec.transforms.channels 320`.

Cost and result: not run yet.
"""

from jaxcorr.codec import CodecSettings
from jaxcorr.config import Config
from jaxcorr.data.sources import Data
from jaxcorr.training.checkpoints import Cadence
from jaxcorr.training.objective import Objective
from jaxcorr.training.optimizer import Optimizer
from jaxcorr.training.step import Step
from jaxcorr.transforms.minnen import Minnen


def get_config() -> Config:
    """Settings of the run."""
    return Config(
        steps=2_000_000,
        codec=CodecSettings(transforms=Minnen(width=128, channels=192)),
        objective=Objective(
            distortion_weight=0.0130,
            correlation_weight=0.1,
            window=7,
        ),
        optimizer=Optimizer(learning_rate=1e-4, warmup_steps=1000, drop_at=0.9),
        step=Step(transform_dtype="bfloat16"),
        data=Data(source="folder:photographs", batch_size=32, crop_size=256, workers=4),
        cadence=Cadence(log=100, evaluate=5000, checkpoint=5000),
    )
