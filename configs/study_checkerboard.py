"""As study.py, with a checkerboard context.

    python train.py configs/study_checkerboard.py --data.source folder:BSDS

Result: see results/README.md.
"""

import study

from jaxcorr.config import Config
from jaxcorr.context.checkerboard import Checkerboard


def get_config() -> Config:
    """Settings of the run."""
    return study.get_config(context=Checkerboard())
