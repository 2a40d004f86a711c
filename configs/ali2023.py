r"""The systems in the table of Ali et al., at the size of published models.

Ali et al., "Towards Efficient Image Compression Without Autoregressive Models",
NeurIPS 2023, https://openreview.net/forum?id=1ihGy9vAIg. Each system combines
transforms and a context model, and is trained with and without the correlation loss:

    jaxcorr train ali2023:cheng_charm --sweep.correlation-weight 0 0.1 \
        --data.held-out folder:VALIDATION

Training images are read from the folder `photographs`, or from another one with
`--data.source folder:DIR`. Held-out images must be given: the packaged ones are two. We
do not know the paper's data, batch size, schedule, widths and weight of the loss.
Schedule and λ are those of CompressAI's mbt2018-mean at quality 4, with twice its batch
size and a fixed drop of the learning rate.

A rate-distortion curve is a sweep over λ:
`--sweep.distortion-weight 0.0018 0.0035 0.0067 0.013 0.025 0.0483`. CompressAI uses
wider transforms at high rates: Minnen's from λ = 0.025 on
(`--codec.transforms.width 192 --codec.transforms.channels 320`), Cheng's from λ = 0.013
on (`--codec.transforms.width 192`).

Cost and result: not run.
"""

from jaxcorr.codec import CodecConfig
from jaxcorr.config import TrainConfig, variant
from jaxcorr.context import channelwise
from jaxcorr.context.autoregressive import Autoregressive
from jaxcorr.context.checkerboard import Checkerboard
from jaxcorr.data.sources import DataConfig
from jaxcorr.training.checkpoints import IntervalConfig
from jaxcorr.training.loss import LossConfig
from jaxcorr.training.optimizer import OptimizerConfig
from jaxcorr.training.step_config import StepConfig
from jaxcorr.training.sweep import SweepConfig
from jaxcorr.transforms import cheng, minnen, swin

SYSTEMS = {
    # Minnen et al., NeurIPS 2018, https://arxiv.org/abs/1809.02736.
    "minnen_hyperprior": CodecConfig(transforms=minnen.SIZES["128-192"]),
    # Cheng et al., CVPR 2020, https://arxiv.org/abs/2001.01568, without attention and
    # with a single Gaussian: the baseline of the table.
    "cheng_hyperprior": CodecConfig(transforms=cheng.SIZES["128"]),
    # He et al., CVPR 2021, https://arxiv.org/abs/2103.15306.
    "cheng_checkerboard": CodecConfig(
        transforms=cheng.SIZES["128"], context=Checkerboard()
    ),
    # Minnen and Singh, ICIP 2020, https://arxiv.org/abs/2007.08739, with the light
    # networks of Zhu et al., which see all earlier slices. The 5x5 networks of Minnen
    # and Singh would raise the number of parameters from 13 to 62 million. Rounding
    # errors are predicted as in Minnen and Singh, but not in Zhu et al. Each of ten
    # slices has 12 or 13 of the 128 channels; the paper does not state its slices.
    "cheng_charm": CodecConfig(
        transforms=cheng.SIZES["128"], context=channelwise.LIGHT
    ),
    # The codec of CompressAI's cheng2020-anchor. `jaxcorr import-compressai` converts
    # its weights for `--init-from`. The paper trains it only without the loss.
    "cheng_autoregressive": CodecConfig(
        transforms=cheng.SIZES["128"], context=Autoregressive()
    ),
    # Zhu et al., ICLR 2022, https://openreview.net/forum?id=IDwN6xjHnK8, at size M.
    "swint_hyperprior": CodecConfig(transforms=swin.SIZES["M"]),
}


def get_config(system: str = "minnen_hyperprior") -> TrainConfig:
    """Returns the settings of the run that trains a system."""
    return TrainConfig(
        steps=2_000_000,
        codec=variant(SYSTEMS, system),
        loss=LossConfig(window=7),
        sweep=SweepConfig(distortion_weight=0.0130, correlation_weight=0.0),
        optimizer=OptimizerConfig(learning_rate=1e-4, warmup_steps=1000, drop_at=0.9),
        step=StepConfig(transform_dtype="bfloat16"),
        data=DataConfig(
            source="folder:photographs", batch_size=32, crop_size=256, workers=4
        ),
        intervals=IntervalConfig(log_every=100, eval_every=5000, checkpoint_every=5000),
    )
