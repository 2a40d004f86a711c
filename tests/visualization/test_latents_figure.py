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
