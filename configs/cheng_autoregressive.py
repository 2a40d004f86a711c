"""Autoregressive context on Cheng's transforms: CH + AR of the paper's table.

Context model of Minnen et al., NeurIPS 2018, https://arxiv.org/abs/1809.02736. It is
the codec of CompressAI's cheng2020-anchor, whose weights `jaxcorr import-compressai`
turns into a model for `--initialize`. Everything else as in cheng_hyperprior.py.

    python train.py configs/cheng_autoregressive.py --data.source folder:PHOTOGRAPHS

The paper has no such run with the loss; `--objective.correlation-weight 0.1` is one.

Cost and result: not run yet.
"""

import cheng_hyperprior

from jaxcorr.config import Config
from jaxcorr.context.autoregressive import Autoregressive


def get_config() -> Config:
    """Settings of the run."""
    return cheng_hyperprior.get_config(context=Autoregressive())
