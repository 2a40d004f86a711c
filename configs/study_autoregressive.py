"""As study.py, with an autoregressive context.

    python train.py configs/study_autoregressive.py --data.source folder:BSDS

Result: see results/README.md.
"""

import study

from jaxcorr.config import Config
from jaxcorr.context.autoregressive import Autoregressive


def get_config() -> Config:
    """Settings of the run."""
    return study.get_config(context=Autoregressive())
