"""Mean-scale hyperprior on SwinT transforms, without the correlation loss.

Transforms of Zhu et al., ICLR 2022, https://openreview.net/forum?id=IDwN6xjHnK8, at
their size M; everything else as in minnen_hyperprior.py.

    python train.py configs/swint_hyperprior.py --data.source folder:PHOTOGRAPHS

Cost and result: not run yet; compare with swint_hyperprior_corr.py.
"""

import minnen_hyperprior

from jaxcorr.config import Config
from jaxcorr.transforms import swin


def get_config(*, correlation_weight: float = 0.0) -> Config:
    """Settings of the run, and of its variant."""
    return minnen_hyperprior.get_config(
        transforms=swin.SIZES["M"], correlation_weight=correlation_weight
    )
