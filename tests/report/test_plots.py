import operator

import numpy as np
import pytest

from jaxcorr.report import plots, styles

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
    assert colors == [styles.COLORS[index] for index in (1, 0, 1, 0)]
    dashes = [line.get_linestyle() for line in lines]
    assert dashes == ["-", "-", "--", "--"]
    assert [line.get_color() for line in changes] == colors[2:]
    assert [line.get_linestyle() for line in changes] == dashes[2:]


LINE = np.array([0.1, 0.2]), np.array([30.0, 33.0])


def points_of(*groups):
    return [point for lines in groups for seeds in lines.values() for point in seeds]


def test_seeds_of_a_curve_share_an_entry_of_the_legend():
    figure = plots.rate_distortion(
        {"ours": [LINE, LINE]},
        {"other": [LINE]},
        {"published": [LINE]},
        quality="PSNR (dB)",
    )
    (legend,) = figure.legends
    names = [text.get_text() for text in legend.get_texts()]
    assert sorted(names) == ["other", "ours", "published"]


def test_the_legend_lacks_published_curves_that_are_not_visible():
    far = {
        "better": [(LINE[0], LINE[1] + 9)],
        "higher rates": [(10 * LINE[0], LINE[1])],
        # No point is within the axes, but the line between two points is.
        "across": [(np.array([0.05, 0.5]), np.array([25.0, 39.0]))],
    }
    figure = plots.rate_distortion({"ours": [LINE]}, {}, far, quality="PSNR (dB)")
    (legend,) = figure.legends
    assert {text.get_text() for text in legend.get_texts()} == {"ours", "across"}


CURVES = [
    # A model, and a codec with higher rates and qualities.
    (
        {"ours": [(np.array([0.3]), np.array([30.0]))]},
        {"webp": [(np.array([0.8, 2.2]), np.array([35.0, 41.0]))]},
    ),
    # A codec with one point only, at a lower rate than the models.
    (
        {"ours": [LINE, (np.array([0.15, 0.4]), np.array([31.0, 34.0]))]},
        {"jpeg": [(np.array([0.01]), np.array([12.0]))]},
    ),
    ({"ours": [LINE]}, {}),
    ({}, {"webp": [LINE], "jpeg": [(np.array([4.0]), np.array([45.0]))]}),
]


@pytest.mark.parametrize(("models", "classical"), CURVES)
def test_every_measured_point_is_drawn_within_the_axes(models, classical):
    far = {"vtm": [(np.array([0.001, 1.0, 50.0]), np.array([10.0, 40.0, 70.0]))]}
    axes = plots.rate_distortion(models, classical, far, quality="PSNR (dB)").axes[0]
    (left, right), (bottom, top) = axes.get_xlim(), axes.get_ylim()
    for x, y in points_of(models, classical):
        assert (left < x).all() and (x < right).all()
        assert (bottom < y).all() and (y < top).all()
    drawn = {
        (float(x), float(y))
        for line in axes.lines
        if line.get_marker() not in ("", "None")
        for x, y in np.asarray(line.get_xydata())
    }
    for x, y in points_of(models, classical):
        assert set(zip(x.tolist(), y.tolist(), strict=True)) <= drawn
    assert right < 50  # Published curves do not stretch the axes.


def test_models_in_a_corner_of_the_axes_are_drawn_once_more():
    models, classical = {"ours": [LINE, LINE]}, CURVES[0][1]
    whole, detail = plots.rate_distortion(models, classical, {}, quality="PSNR").axes
    assert detail.get_ylim()[1] < 35 < whole.get_ylim()[1]
    for few, others in ((models, {}), CURVES[0]):
        assert len(plots.rate_distortion(few, others, {}, quality="PSNR").axes) == 1


def style_of(style):
    return style["color"], style["marker"], str(style["linestyle"])


@pytest.mark.parametrize(
    ("style", "count"),
    [
        (styles.model_style, 300),
        (styles.classical_style, 56),
        (styles.published_style, 63),
    ],
)
def test_every_curve_has_a_style_of_its_own(style, count):
    assert len({style_of(style(index)) for index in range(count)}) == count


def test_lines_in_a_grid_of_colors_and_dashes_have_styles_of_their_own():
    pairs = [(hue, dash) for hue in range(14) for dash in range(14)]
    assert len({style_of(styles.grid_style(*pair)) for pair in pairs}) == len(pairs)
    assert {styles.grid_style(hue, 6)["marker"] for hue in range(7)} == {""}


def test_the_gray_curves_of_the_study_are_distinguishable():
    names = [f"codec {number}" for number in range(11)]
    figure = plots.rate_distortion(
        {"ours": [LINE]},
        {name: [LINE] for name in names[:4]},
        {name: [LINE] for name in names[4:]},
        quality="PSNR",
    )
    # Matplotlib has no public name for the dashes: "--" stands for all patterns.
    dashes = operator.attrgetter("_dash_pattern")
    looks = {
        (line.get_color(), line.get_marker(), str(dashes(line)))
        for line in figure.axes[0].lines
    }
    assert len(looks) == 12
