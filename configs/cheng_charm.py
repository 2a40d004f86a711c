"""Channel-wise context on Cheng's transforms: CH + ChARM of the paper's table.

Context model of Minnen and Singh, ICIP 2020, https://arxiv.org/abs/2007.08739, with the
light networks of Zhu et al., ICLR 2022: the reference's 5x5 ones would cost more than
all transforms. Ten slices of 128 channels have 12 or 13 channels each. How the paper
slices is not known. Everything else as in cheng_hyperprior.py.

    python train.py configs/cheng_charm.py --data.source folder:PHOTOGRAPHS

Cost and result: not run yet; compare with cheng_charm_corr.py.
"""

import cheng_hyperprior

from jaxcorr.config import Config
from jaxcorr.context.channelwise import Channelwise


def get_config(*, correlation_weight: float = 0.0) -> Config:
    """Settings of the run, and of its variant."""
    return cheng_hyperprior.get_config(
        context=Channelwise(slices=10, support=10, networks="light"),
        correlation_weight=correlation_weight,
    )
