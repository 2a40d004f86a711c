"""Mean-scale hyperprior on Cheng's transforms: CH, the anchor of the paper's table.

Transforms of Cheng et al., CVPR 2020, https://arxiv.org/abs/2001.01568, without
attention and with a single Gaussian; everything else as in minnen_hyperprior.py.

    python train.py configs/cheng_hyperprior.py --data.source folder:PHOTOGRAPHS

128 channels are CompressAI's at λ = 0.0067 and below, and those of our table of
complexity; for λ = 0.0130 and above it has 192: `--codec.transforms.width 192`.

Cost and result: not run yet; compare with cheng_hyperprior_corr.py.
"""

import minnen_hyperprior

from jaxcorr.codec import ContextSettings
from jaxcorr.config import Config
from jaxcorr.context.independent import Independent
from jaxcorr.transforms import cheng


def get_config(
    *, context: ContextSettings = Independent(), correlation_weight: float = 0.0
) -> Config:
    """Settings of the run, and of its variants."""
    return minnen_hyperprior.get_config(
        transforms=cheng.SIZES["128"],
        context=context,
        correlation_weight=correlation_weight,
    )
