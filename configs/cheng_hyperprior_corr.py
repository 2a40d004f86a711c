"""As cheng_hyperprior.py, trained with the correlation loss.

Loss of Ali et al., NeurIPS 2023, https://openreview.net/forum?id=1ihGy9vAIg.

    python train.py configs/cheng_hyperprior_corr.py --data.source folder:PHOTOGRAPHS

Cost and result: not run yet.
"""

import cheng_hyperprior
import minnen_hyperprior

from jaxcorr.config import Config


def get_config() -> Config:
    """Settings of the run."""
    return cheng_hyperprior.get_config(
        correlation_weight=minnen_hyperprior.CORRELATION_WEIGHT
    )
