import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from jaxcorr.codec import Codec, CodecConfig
from jaxcorr.transforms import windows
from jaxcorr.transforms.cheng import Cheng
from jaxcorr.transforms.minnen import Minnen
from jaxcorr.transforms.swin import Swin

SMALL = {
    "minnen": Minnen(width=2, channels=2),
    "cheng": Cheng(width=2),
    "cheng with attention": Cheng(width=2, attention=True),
    "swin": Swin(
        widths=(2, 2, 2, 2),
        side_widths=(2, 2),
        depths=(2, 1, 2, 2),
        side_depths=(3, 1),
        window=4,
        side_window=2,
        head_width=2,
    ),
}
UNITS = {
    "analysis": (16, 1),
    "synthesis": (1, 16),
    "hyper_analysis": (4, 1),
    "hyper_synthesis": (1, 4),
}


@pytest.mark.fast
@pytest.mark.parametrize(("size", "reach"), [(4, 1), (7, 2), (16, 0), (30, 4)])
def test_windows_keep_every_position_once_and_see_its_reach(size, reach):
    for extent in range(1, 60):
        cuts = windows.cut(extent, size=size, reach=reach)
        kept = list(itertools.chain(*(range(*window.keep) for window in cuts)))
        assert kept == list(range(extent))
        for window in cuts:
            first, end = window.keep
            assert window.size == size if len(cuts) > 1 else size >= extent
            assert window.start <= max(0, first - reach)
            assert window.start + window.size >= min(extent, end + reach)


def test_the_best_sizes_compute_least_within_the_limit():
    assert windows.best_sizes((40, 40), reach=2, align=8, limit=1600) == (40, 40)
    # No window is larger than an array that is shorter than the smallest window.
    assert windows.best_sizes((72, 300), reach=32, align=16, limit=0) == (80, 144)
    rows, columns = windows.best_sizes((250, 375), reach=2, align=8, limit=4096)
    assert rows * columns <= 4096
    counts = [
        len(windows.cut(extent, size=size, reach=2))
        for extent, size in ((250, rows), (375, columns))
    ]
    assert counts[0] * rows * counts[1] * columns <= 1.25 * 250 * 375


@pytest.mark.parametrize("name", UNITS)
@pytest.mark.parametrize("transforms", SMALL)
def test_outputs_depend_on_inputs_within_the_reach_alone(transforms, name):
    """NaN in an input reaches exactly the outputs that depend on it."""
    settings = SMALL[transforms]
    reach, unit = getattr(settings.reach, name), UNITS[name]
    align = settings.reach.side_align if "hyper" in name else settings.reach.align
    codec = Codec(CodecConfig(transforms=settings), rngs=nnx.Rngs(0))
    channels = {
        "analysis": 3,
        "synthesis": settings.channels,
        "hyper_analysis": settings.channels,
        "hyper_synthesis": settings.side_channels,
    }
    network = jax.jit(getattr(codec.transforms, name))
    height, middle = 2 * reach + 2 * align + 2, (reach // align + 1) * align
    shape = (1, unit[0] * height, unit[0] * 2 * align, channels[name])
    spread = 0
    for position in range(middle * unit[0], (middle + align) * unit[0]):
        array = np.zeros(shape, np.float32)
        array[0, position] = np.nan
        is_nan = np.isnan(np.asarray(network(jnp.asarray(array)))[0]).any(axis=(1, 2))
        reached = np.nonzero(is_nan)[0] // unit[1]
        distance = np.abs(reached - position // unit[0])
        assert distance.max() <= reach
        spread = max(spread, distance.max())
    assert spread >= reach / 2
