"""Parameter counts and shapes of the published models, and checks of the configs."""

import functools
import itertools
import math
import re
from dataclasses import replace

import jax
import pytest

from jaxcorr import codec
from jaxcorr.codec import CodecConfig
from jaxcorr.context.autoregressive import Autoregressive
from jaxcorr.context.channelwise import Channelwise
from jaxcorr.context.checkerboard import Checkerboard
from jaxcorr.context.no_context import NoContext
from jaxcorr.errors import UserError
from jaxcorr.layers.swin import SwinBlock
from jaxcorr.transforms import cheng, minnen, swin
from jaxcorr.transforms.cheng import Cheng
from jaxcorr.transforms.minnen import Minnen
from jaxcorr.transforms.swin import Swin

pytestmark = pytest.mark.fast


@functools.cache
def shapes(transforms, context):
    config = CodecConfig(transforms=transforms, context=context)
    return codec.abstract_parameters(config)


def count(transforms, context, *, prefix=""):
    """Counts the parameters whose names begin with `prefix`."""
    return sum(
        math.prod(array.shape)
        for name, array in shapes(transforms, context).items()
        if name.startswith(prefix)
    )


@pytest.mark.parametrize(
    ("transforms", "context", "expected"),
    [
        (Minnen(width=192, channels=192), Autoregressive(), 14_129_891),
        (Cheng(width=128), Autoregressive(), 11_832_765),
        (Cheng(width=192), Autoregressive(), 26_598_380),
        (Cheng(width=128, attention=True), Autoregressive(), 13_182_909),
        # CompressAI has no Cheng model without a context model. These are the counts of
        # its models without the layers of the context model.
        (Cheng(width=128), NoContext(), 10_561_612),
        (Cheng(width=192), NoContext(), 23_737_452),
        # As many as with the autoregressive context model: the checkerboard uses other
        # taps of the same kernel.
        (Cheng(width=128), Checkerboard(), 11_832_765),
        (Cheng(width=192), Checkerboard(), 26_598_380),
    ],
)
def test_parameter_counts_equal_those_of_compressai(transforms, context, expected):
    # Counted in CompressAI 1.2.8, without the quantiles that it stores.
    assert count(transforms, context) == expected


def test_a_narrow_hyper_synthesis_has_the_other_parameters_unchanged():
    wide = Minnen(width=4, channels=8)
    assert shapes(replace(wide, hyper_width=8), NoContext()).keys() == (
        shapes(wide, NoContext()).keys()
    )
    # 25 taps of 4x6 and 6x6, 9 taps of 6x16, and a bias for each output.
    narrow = replace(wide, hyper_width=6)
    assert count(narrow, NoContext(), prefix="transforms/hyper_synthesis") == (
        25 * (4 * 6 + 6 * 6) + 9 * 6 * 16 + 6 + 6 + 16
    )
    for name, array in shapes(narrow, NoContext()).items():
        if "hyper_synthesis" not in name:
            assert array.shape == shapes(wide, NoContext())[name].shape
    with pytest.raises(UserError, match="hyper_width"):
        replace(wide, hyper_width=0)


def test_swin_parameter_counts_equal_those_of_zhu_et_al():
    # Their table of complexity states 24.7 M, and 32.4 M with ChARM.
    assert count(Swin(), NoContext()) == 24_669_764
    context = Channelwise(
        slices=10, support=10, networks="light", residual_prediction=False
    )
    assert round(count(Swin(), context) / 1e6, 1) == 32.4
    in_context_model = count(Swin(), context, prefix="context/")
    assert round(in_context_model / 1e6, 1) == 7.7


def test_charm_parameter_count_equals_that_of_minnen_and_singh():
    # ICIP 2020: three networks for each of ten slices of 32 channels.
    def count_network(inputs):
        widths, sizes = (inputs, 224, 128, 32), (5, 5, 3)
        return sum(
            size**2 * before * after + after
            for (before, after), size in zip(
                itertools.pairwise(widths), sizes, strict=True
            )
        )

    expected = sum(
        2 * count_network(320 + 32 * index) + count_network(352 + 32 * index)
        for index in range(10)
    )
    assert round(expected / 1e6) == 102
    transforms = Minnen(width=8, channels=320)
    assert count(transforms, Channelwise(support=10), prefix="context/") == expected


SIZES = {
    f"{architecture.__name__.split('.')[-1]} {name}": size
    for architecture in (minnen, cheng, swin)
    for name, size in architecture.SIZES.items()
}


@pytest.mark.parametrize("name", SIZES)
def test_published_sizes_have_the_channels_and_strides_of_their_config(name):
    transforms = SIZES[name]

    def run(parameters, image):
        config = CodecConfig(transforms=transforms)
        modules = codec.with_parameters(config, parameters).transforms
        y = modules.analysis(image)
        z = modules.hyper_analysis(y)
        return y, z, modules.hyper_synthesis(z), modules.synthesis(y)

    image = jax.ShapeDtypeStruct((1, 64, 128, 3), "float32")
    y, z, features, reconstruction = jax.eval_shape(
        run, shapes(transforms, NoContext()), image
    )
    assert y.shape == (1, 4, 8, transforms.channels)
    assert z.shape == (1, 1, 2, transforms.side_channels)
    assert features.shape == (1, 4, 8, 2 * transforms.channels)
    assert reconstruction.shape == image.shape


def test_swin_has_a_head_per_32_channels_and_shifts_every_second_block():
    transforms = swin.SIZES["L"]
    settings = CodecConfig(transforms=transforms, context=NoContext())
    built = codec.abstract_codec(settings).transforms
    main = list(zip(transforms.widths, (2, 2, 6, 2), strict=True))
    side = list(zip(transforms.side_widths, (5, 1), strict=True))
    for transform, stages, window in [
        (built.analysis, main, 8),
        (built.synthesis, main[::-1], 8),
        (built.hyper_analysis, side, 4),
        (built.hyper_synthesis, side[::-1], 4),
    ]:
        blocks = [layer for layer in transform.layers if isinstance(layer, SwinBlock)]
        assert [(block.heads, block.shift, block.window) for block in blocks] == [
            (width // 32, window // 2 * (index % 2), window)
            for width, depth in stages
            for index in range(depth)
        ]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: Channelwise(slices=0),
            "Channelwise.slices must be at least 1, but is 0",
        ),
        (
            lambda: Channelwise(slices=4, support=-1),
            "Channelwise.support must be from 0 to slices (4), but is -1",
        ),
        (
            lambda: Channelwise(slices=4, support=5),
            "Channelwise.support must be from 0 to slices (4), but is 5",
        ),
        (
            lambda: Channelwise(hidden=(224, 0)),
            "Channelwise.hidden must be at least 1 each, but is (224, 0)",
        ),
        (
            lambda: CodecConfig(
                transforms=Minnen(channels=8), context=Channelwise(slices=9)
            ),
            "slices must be at most the channels of the latents (8), but is 9",
        ),
        (lambda: Cheng(width=9), "Cheng.width must be even and at least 2"),
        (lambda: Cheng(width=0), "Cheng.width must be even and at least 2"),
        (lambda: Swin(window=7), "Swin.window must be even and at least 2"),
        (lambda: Swin(window=0), "Swin.window must be even and at least 2"),
        (lambda: Swin(side_window=1), "Swin.side_window must be even and at"),
        (
            lambda: Swin(widths=(128, 192, 250, 320)),
            "Swin.widths must be positive multiples of head_width (32), but is "
            "(128, 192, 250, 320)",
        ),
        (
            lambda: Swin(side_widths=(192, 0)),
            "Swin.side_widths must be positive multiples of head_width (32)",
        ),
        (lambda: Swin(head_width=0), "Swin.head_width must be at least 1"),
        (
            lambda: Swin(depths=(2, -1, 6, 2)),
            "Swin.depths must be 0 or more each, but is (2, -1, 6, 2)",
        ),
        (lambda: Swin(side_depths=(-1, 1)), "Swin.side_depths must be 0 or more"),
    ],
)
def test_invalid_config_is_refused_with_the_name_of_the_field(make, message):
    with pytest.raises(UserError, match=re.escape(message)):
        make()


def test_one_channel_per_slice_and_no_blocks_are_valid():
    transforms = Swin(depths=(0, 0, 0, 0), side_depths=(0, 0))
    assert count(transforms, NoContext()) > 0
    assert count(Minnen(channels=8), Channelwise(slices=8, support=8)) > 0
