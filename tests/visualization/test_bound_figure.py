"""The picture of a bound shows its numbers."""

import numpy as np
import pytest
from matplotlib.patches import Rectangle

from jaxcorr.neighbors.bound import Bound
from jaxcorr.neighbors.closed_forms import loss_of
from jaxcorr.visualization import bound_figure

pytestmark = pytest.mark.fast


def make_bound(channels: int) -> Bound:
    rng = np.random.default_rng(0)
    map, centered = rng.normal(scale=0.1, size=(2, 7, 7))
    savings = np.cumsum(rng.random((len(bound_figure.STEPS), channels)), axis=0)
    return Bound(
        latents=channels,
        bits_per_latent=1.0,
        savings=(),
        closed_forms=(),
        image_bits=np.ones(4),
        image_savings={},
        channel_bits=rng.random(channels),
        channel_savings=dict(zip(bound_figure.STEPS, savings, strict=True)),
        loss=loss_of(map),
        map=map,
        centered_map=centered,
    )


def test_both_maps_are_drawn_with_their_losses_on_one_scale():
    bound = make_bound(channels=3)
    _, middle, right = bound_figure.draw_bound(bound, title="demo").axes[:3]
    for axis, map in ((middle, bound.map), (right, bound.centered_map)):
        drawn = np.asarray(axis.images[0].get_array())
        beside = ~np.eye(49, dtype=bool)[24].reshape(7, 7)
        np.testing.assert_allclose(drawn[beside], map[beside])
        assert axis.get_title().endswith(f"loss {loss_of(map):.4f}")
    assert middle.images[0].get_clim() == right.images[0].get_clim()


@pytest.mark.parametrize("channels", [3, bound_figure.MAX_CHANNELS + 2])
def test_bars_sum_to_the_savings_with_those_of_the_last_channels_in_one(channels):
    bound = make_bound(channels)
    axis, *_ = bound_figure.draw_bound(bound, title="demo").axes
    bars = [patch for patch in axis.patches if isinstance(patch, Rectangle)]
    height = sum(bar.get_height() for bar in bars)
    last = bound.channel_savings[bound_figure.STEPS[-1]]
    assert height == pytest.approx(last.sum())
    count = min(channels, bound_figure.MAX_CHANNELS + 1)
    assert len(bars) == count * len(bound_figure.STEPS)
    strongest = str(np.argmax(bound.channel_bits))
    assert axis.get_xticklabels()[0].get_text() == strongest
