"""Offsets at which a context model sees latents, for masks of the loss."""

import itertools
from typing import Any

import numpy as np

from jaxcorr.context.autoregressive import CAUSAL_TAPS, Autoregressive
from jaxcorr.context.channelwise import Channelwise
from jaxcorr.context.checkerboard import ODD_TAPS, Checkerboard
from jaxcorr.context.space_channel import SpaceChannel


def seen_offsets(context: Any) -> tuple[tuple[int, int], ...]:
    """Returns the offsets at which one of two latents of a channel sees the other.

    Args:
      context: Settings of a context model.
    """
    if isinstance(context, Checkerboard | SpaceChannel):
        return ODD_TAPS
    return CAUSAL_TAPS if isinstance(context, Autoregressive) else ()


def channel_groups(context: Any, channels: int) -> tuple[tuple[int, int], ...]:
    """Returns first channel and end of each group that a context model codes together.

    Args:
      context: Settings of a context model.
      channels: Channels of the latents.
    """
    if isinstance(context, Channelwise):
        sizes = [len(x) for x in np.array_split(range(channels), context.slices)]
    elif isinstance(context, SpaceChannel):
        sizes = [*context.groups, channels - sum(context.groups)]
    else:
        sizes = [channels]
    return tuple(itertools.pairwise(itertools.accumulate(sizes, initial=0)))
