"""The systems in the table of Ali et al. at the scale of the literature.

Ali et al., "Towards Efficient Image Compression Without Autoregressive Models",
NeurIPS 2023, https://openreview.net/forum?id=1ihGy9vAIg. Each system is a pair of
transforms and context model, trained without the correlation loss and with it:

    jaxcorr train ali2023:cheng_charm --sweep.correlation-weight 0 0.1

reads the folder `photographs`; `--data.source folder:DIR` names another. The paper
states neither data, batch, schedule and widths nor the weight of the loss. Schedule and
λ are those of CompressAI's mbt2018-mean at quality 4, with twice its batch and a fixed
drop of the learning rate. A rate-distortion curve is a sweep, too:
`--sweep.distortion-weight 0.0018 0.0035 0.0067 0.013 0.025 0.0483`. CompressAI makes
transforms wider at high rates: Minnen's from λ = 0.025 on
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
from jaxcorr.training.step import StepConfig
from jaxcorr.training.sweep import SweepConfig
from jaxcorr.transforms import cheng, minnen, swin

SYSTEMS = {
    # Minnen et al., NeurIPS 2018, https://arxiv.org/abs/1809.02736.
    "minnen_hyperprior": CodecConfig(transforms=minnen.SIZES["128-192"]),
    # Cheng et al., CVPR 2020, https://arxiv.org/abs/2001.01568, without attention and
    # with a single Gaussian: the anchor of the table.
    "cheng_hyperprior": CodecConfig(transforms=cheng.SIZES["128"]),
    # He et al., CVPR 2021, https://arxiv.org/abs/2103.15306.
    "cheng_checkerboard": CodecConfig(
        transforms=cheng.SIZES["128"], context=Checkerboard()
    ),
    # Minnen and Singh, ICIP 2020, https://arxiv.org/abs/2007.08739, with the light
    # networks of Zhu et al. that see all earlier slices: the 5x5 networks of the
    # reference would make 62 million parameters of 13. Rounding errors are predicted,
    # as the reference does and Zhu et al. do not. Each of ten slices has 12 or 13 of
    # the 128 channels; how the paper slices is not known.
    "cheng_charm": CodecConfig(
        transforms=cheng.SIZES["128"], context=channelwise.LIGHT
    ),
    # The codec of CompressAI's cheng2020-anchor, whose weights `jaxcorr
    # import-compressai` turns into a model for `--init-from`. The paper trains it
    # without the loss only.
    "cheng_autoregressive": CodecConfig(
        transforms=cheng.SIZES["128"], context=Autoregressive()
    ),
    # Zhu et al., ICLR 2022, https://openreview.net/forum?id=IDwN6xjHnK8, at size M.
    "swint_hyperprior": CodecConfig(transforms=swin.SIZES["M"]),
}


def get_config(system: str = "minnen_hyperprior") -> TrainConfig:
    """Settings of the run that trains a system."""
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
