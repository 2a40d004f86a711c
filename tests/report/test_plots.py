import numpy as np
import pytest

from jaxcorr.report import plots

pytestmark = pytest.mark.fast

STEPS = np.array([10, 20])


def series(curve, weight):
    return plots.Series(
        name=f"{curve}, λ = {weight:g}",
        x=STEPS,
        y=np.array([2.0, 1.0]),
        hue=weight,
        style=curve,
    )


def test_lines_of_a_weight_share_a_color_and_lines_of_a_curve_share_dashes():
    costs = [series(curve, weight) for curve in "ab" for weight in (0.1, 0.01)]
    left, right = plots.training(costs, costs[2:]).axes
    # Every line is followed by the marker of its last point.
    lines, changes = left.lines[::2], right.lines[:4:2]
    assert [line.get_label() for line in lines] == [cost.name for cost in costs]
    colors = [line.get_color() for line in lines]
    assert colors == [plots.COLORS[index] for index in (1, 0, 1, 0)]
    dashes = [line.get_linestyle() for line in lines]
    assert dashes == ["-", "-", "--", "--"]
    assert [line.get_color() for line in changes] == colors[2:]
    assert [line.get_linestyle() for line in changes] == dashes[2:]


def test_seeds_of_a_curve_share_an_entry_of_the_legend():
    line = np.array([0.1, 0.2]), np.array([30.0, 33.0])
    figure = plots.rate_distortion(
        {"ours": [line, line]}, {"other": [line], "absent": []}, quality="PSNR (dB)"
    )
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == ["ours", "other"]
