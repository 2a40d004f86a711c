"""As cheng_checkerboard.py, trained with the correlation loss.

Loss of Ali et al., NeurIPS 2023, https://openreview.net/forum?id=1ihGy9vAIg.

    python train.py configs/cheng_checkerboard_corr.py --data.source folder:PHOTOGRAPHS

Cost and result: not run yet.
"""

import cheng_checkerboard
import minnen_hyperprior

from jaxcorr.config import Config


def get_config() -> Config:
    """Settings of the run."""
    return cheng_checkerboard.get_config(
        correlation_weight=minnen_hyperprior.CORRELATION_WEIGHT
    )
