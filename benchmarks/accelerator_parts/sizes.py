"""Codecs, batch sizes and durations of the measurements, full and tiny."""

import dataclasses
from collections.abc import Mapping

from jaxcorr.codec import CodecConfig, ContextConfig
from jaxcorr.context import channelwise
from jaxcorr.context.autoregressive import Autoregressive
from jaxcorr.context.channelwise import Channelwise
from jaxcorr.context.checkerboard import Checkerboard
from jaxcorr.context.no_context import NoContext
from jaxcorr.context.space_channel import SpaceChannel
from jaxcorr.transforms import cheng, minnen, swin
from jaxcorr.transforms.cheng import Cheng
from jaxcorr.transforms.minnen import Minnen
from jaxcorr.transforms.swin import Swin

FULL_MODELS = {
    "minnen-192-320": CodecConfig(transforms=minnen.SIZES["192-320"]),
    "minnen-128-192": CodecConfig(transforms=minnen.SIZES["128-192"]),
    "cheng-128": CodecConfig(transforms=cheng.SIZES["128"]),
    "swint-m": CodecConfig(transforms=swin.SIZES["M"]),
    "cheng-128-autoregressive": CodecConfig(
        transforms=cheng.SIZES["128"], context=Autoregressive()
    ),
}
FULL_CONTEXTS = {
    "none": NoContext(),
    "checkerboard": Checkerboard(),
    "channelwise": channelwise.LIGHT,
    "space-channel": SpaceChannel(groups=(8, 8, 16, 32)),
    "autoregressive": Autoregressive(),
}
_TINY_SWIN = Swin(
    widths=(4, 4, 8, 8),
    side_widths=(8, 8),
    depths=(1, 2, 1, 2),
    side_depths=(2, 1),
    window=4,
    side_window=2,
    head_width=4,
)
TINY_MODELS = {
    "minnen-192-320": CodecConfig(transforms=Minnen(width=8, channels=12)),
    "minnen-128-192": CodecConfig(transforms=Minnen(width=4, channels=6)),
    "cheng-128": CodecConfig(transforms=Cheng(width=4)),
    "swint-m": CodecConfig(transforms=_TINY_SWIN),
    "cheng-128-autoregressive": CodecConfig(
        transforms=Cheng(width=4), context=Autoregressive()
    ),
}
TINY_CONTEXTS = {
    "none": NoContext(),
    "checkerboard": Checkerboard(),
    "channelwise": Channelwise(slices=3, support=1, networks="light"),
    "space-channel": SpaceChannel(groups=(1, 2), hidden=(6, 5)),
    "autoregressive": Autoregressive(),
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Sizes:
    """Sizes of the measurements.

    Attributes:
      name: Name of these sizes in the results.
      models: Codecs by their names in the results.
      contexts: Context models to code photographs with.
      checked: Codecs whose steps are compared with the CPU.
      modes: Modes of this comparison, from `correct.MODES`.
      checked_batch: Batch size of this comparison.
      measured: Names of the codecs whose steps are timed; the first in most variants.
      torch_variants: Variants of torch, from `speed.PEER_VARIANTS`; None for all.
      form_choices: Number of combinations of implementations; None for all.
      crop: Side of a crop, in pixels.
      batches: Batch sizes, ascending.
      batch: Batch size of measurements at a single one.
      steps: Number of steps to compare with the CPU.
      block_seconds: Length of a timed block.
      rounds: Number of blocks, of which the median counts.
      profiled_steps: Number of traced steps.
      photographs: Number of photographs that each context model codes.
      fast_tests: Arguments of pytest.
      test_processes: Number of test processes, where pytest-xdist is installed.
      train_batch: Batch size of training.
      logged_steps: Steps of training between two checks of the loss and the clock.
      trunk_seconds: Training time of a trunk.
      branch_seconds: Training time of each branch.
      warmup_steps: Steps over which the learning rate of a trunk rises.
    """

    name: str
    models: Mapping[str, CodecConfig]
    contexts: Mapping[str, ContextConfig]
    checked: Mapping[str, CodecConfig]
    modes: tuple[str, ...]
    checked_batch: int
    measured: tuple[str, ...]
    torch_variants: tuple[str, ...] | None
    form_choices: int | None
    crop: int
    batches: tuple[int, ...]
    batch: int
    steps: int
    block_seconds: float
    rounds: int
    profiled_steps: int
    photographs: int
    fast_tests: tuple[str, ...]
    test_processes: int
    train_batch: int
    logged_steps: int
    trunk_seconds: float
    branch_seconds: float
    warmup_steps: int


FULL = Sizes(
    name="full",
    models=FULL_MODELS,
    contexts=FULL_CONTEXTS,
    checked={
        "minnen": CodecConfig(transforms=Minnen(width=64, channels=96)),
        "cheng": CodecConfig(transforms=Cheng(width=32), context=Checkerboard()),
        "swint": CodecConfig(transforms=_TINY_SWIN),
    },
    modes=("float32 highest", "float32", "bfloat16"),
    checked_batch=8,
    measured=tuple(FULL_MODELS),
    torch_variants=None,
    form_choices=None,
    crop=256,
    batches=(16, 32, 64, 128, 256),
    batch=64,
    steps=20,
    block_seconds=0.5,
    rounds=5,
    profiled_steps=5,
    photographs=4,
    fast_tests=("tests",),
    test_processes=8,
    train_batch=32,
    logged_steps=50,
    trunk_seconds=450.0,
    branch_seconds=300.0,
    warmup_steps=500,
)
TINY = Sizes(
    name="tiny",
    models=TINY_MODELS,
    contexts=TINY_CONTEXTS,
    checked={"minnen": TINY_MODELS["minnen-128-192"]},
    modes=("bfloat16",),
    checked_batch=2,
    measured=("minnen-192-320",),
    torch_variants=("float32 channels-last",),
    form_choices=2,
    crop=64,
    batches=(1, 2),
    batch=2,
    steps=2,
    block_seconds=0.0,
    rounds=1,
    profiled_steps=1,
    photographs=1,
    fast_tests=("tests/bitstream/test_container.py",),
    test_processes=1,
    train_batch=2,
    logged_steps=2,
    trunk_seconds=0.0,
    branch_seconds=0.0,
    warmup_steps=1,
)
