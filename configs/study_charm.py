"""As study.py, with a channel-wise context of eight slices.

    python train.py configs/study_charm.py --data.source folder:BSDS

Result: see results/README.md.
"""

import study

from jaxcorr.config import Config
from jaxcorr.context.channelwise import Channelwise


def get_config() -> Config:
    """Settings of the run."""
    return study.get_config(context=Channelwise(slices=8, networks="light"))
