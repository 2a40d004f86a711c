"""Channel-wise context on Cheng's transforms: CH + ChARM of the paper's table.

Context model of Minnen and Singh, ICIP 2020, https://arxiv.org/abs/2007.08739, with the
light networks of Zhu et al., ICLR 2022, which see all earlier slices: the 5x5 networks
of the reference would make 62 million parameters of 13. Rounding errors are predicted,
as the reference does and Zhu et al. do not. Ten slices of 128 channels have 12 or 13
each; how the paper slices is not known. Everything else as in cheng_hyperprior.py.

    python train.py configs/cheng_charm.py --data.source folder:PHOTOGRAPHS

Cost and result: not run yet; compare with cheng_charm_corr.py.
"""

import cheng_hyperprior

from jaxcorr.config import Config
from jaxcorr.context import channelwise


def get_config(*, correlation_weight: float = 0.0) -> Config:
    """Settings of the run, and of its variant."""
    return cheng_hyperprior.get_config(
        context=channelwise.LIGHT,
        correlation_weight=correlation_weight,
    )
