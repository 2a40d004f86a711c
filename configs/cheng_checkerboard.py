"""Checkerboard context on Cheng's transforms: CH + checkerboard of the paper's table.

Context model of He et al., CVPR 2021, https://arxiv.org/abs/2103.15306; everything else
as in cheng_hyperprior.py.

    python train.py configs/cheng_checkerboard.py --data.source folder:PHOTOGRAPHS

Cost and result: not run yet; compare with cheng_checkerboard_corr.py.
"""

import cheng_hyperprior

from jaxcorr.config import Config
from jaxcorr.context.checkerboard import Checkerboard


def get_config(*, correlation_weight: float = 0.0) -> Config:
    """Settings of the run, and of its variant."""
    return cheng_hyperprior.get_config(
        context=Checkerboard(), correlation_weight=correlation_weight
    )
