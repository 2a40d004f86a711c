import numpy as np
import pytest
from support.codecs import blocks

from jaxcorr.errors import UserError
from jaxcorr.evaluation import measure
from jaxcorr.evaluation.learned import LearnedCodec
from jaxcorr.visualization import latents_figure


@pytest.fixture(scope="module")
def coded(tiny_model):
    return measure.measure_image(LearnedCodec(tiny_model), blocks(130, 170), "a.png")


def test_planes_are_a_channel_of_the_latents(coded):
    planes, latents = latents_figure.latent_planes(coded, 3), coded.latents
    assert np.array_equal(planes["mean"], latents.mean[..., 3])
    assert np.array_equal(planes["scale"], latents.scale[..., 3])
    distance = planes["quantized latent"] - planes["mean"]
    normalized = planes["normalized latent"] * planes["scale"]
    assert distance == pytest.approx(normalized, abs=1e-9)
    assert distance == pytest.approx(np.round(distance), abs=1e-9)


def test_a_missing_channel_is_refused(coded):
    with pytest.raises(UserError, match=r"channel must be from 0 to 11, .* is 12"):
        latents_figure.latent_planes(coded, 12)


def test_a_model_does_not_differ_from_itself(coded):
    metrics = coded.metrics
    text = latents_figure.describe_differences(metrics, metrics)
    assert text.startswith("+0.0 % bits (y +0.0 %, z +0.0 %), +0.00 dB PSNR")


def test_the_bits_of_all_positions_are_the_bits_of_the_latents_in_the_file(coded):
    bits = latents_figure.bits_map(coded.latents)
    assert bits.shape == coded.latents.symbols.shape[:2] and (bits > 0).all()
    metrics = coded.metrics
    expected = metrics.bpp_y * metrics.width * metrics.height
    # The coder's integer tables cost a little more.
    assert bits.sum() * 16**2 == pytest.approx(expected, rel=0.1)


def test_the_error_is_the_mean_difference_in_levels():
    image = np.zeros((2, 2, 3), np.uint8)
    other = image.copy()
    other[0, 1] = 3, 0, 9
    error = latents_figure.error_map(image, other)
    assert error.tolist() == [[0, 4], [0, 0]]
    assert np.array_equal(latents_figure.error_map(other, image), error)


@pytest.mark.parametrize("shape", [(130, 170), (250, 120)])
def test_the_figure_has_a_panel_per_quantity_for_each_model(tiny_model, shape):
    image = blocks(*shape)
    coded = measure.measure_image(LearnedCodec(tiny_model), image, "a.png")
    figure = latents_figure.draw_latents(image, {"first": coded, "second": coded})
    for part in figure.subfigs:
        titles = [axes.get_title() for axes in part.axes if axes.get_title()]
        names = ["original", "reconstruction", "mean absolute error", "bits of y"]
        names += ["quantized latent", "mean (steps)", "scale", "normalized latent"]
        names += ["correlation map"]
        assert len(titles) == len(names)
        for title, name in zip(titles, names, strict=True):
            assert title.startswith(name)
        shown = part.axes[1].images[0].get_array()
        assert shown is not None and np.array_equal(shown, coded.reconstruction)
