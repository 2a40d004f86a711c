import math
import time

import numpy as np
import pytest
from support.codecs import blocks

from jaxcorr import correlation
from jaxcorr.bitstream import compression
from jaxcorr.errors import UserError
from jaxcorr.evaluation import measure
from jaxcorr.evaluation.learned import LearnedCodec
from jaxcorr.evaluation.measure import FileDetails
from jaxcorr.evaluation.metadata import ClassicalMetadata
from jaxcorr.visualization import reconstructions

SIZES = {"large.png": (170, 180), "below/small.png": (30, 40)}


@pytest.fixture(scope="module")
def coded(tiny_model):
    """The coded images, by name."""
    codec = LearnedCodec(tiny_model)
    return {
        name: measure.measure_image(codec, blocks(*size), name)
        for name, size in SIZES.items()
    }


def test_metrics_describe_the_file(coded, tiny_model):
    for name, (height, width) in SIZES.items():
        image, result = blocks(height, width), coded[name]
        metrics, pixels = result.metrics, height * width
        assert result.data == compression.compress(image, tiny_model)
        decoded = compression.decompress(result.data, tiny_model)
        assert np.array_equal(result.reconstruction, decoded)
        assert (metrics.file, metrics.width, metrics.height) == (name, width, height)
        assert metrics.bytes == len(result.data)
        assert metrics.bpp == pytest.approx(8 * metrics.bytes / pixels)
        assert metrics.bpp_header == pytest.approx(8 * 44 / pixels)
        parts = metrics.bpp_y + metrics.bpp_z + metrics.bpp_header
        assert metrics.bpp == pytest.approx(parts)
        mse = np.mean((image.astype(float) - result.reconstruction) ** 2)
        assert metrics.psnr_db == pytest.approx(10 * math.log10(255**2 / mse), rel=1e-6)
        assert metrics.encode_seconds > 0 and metrics.decode_seconds > 0


def test_the_correlation_is_the_loss_of_the_decoded_latents(coded):
    result = coded["large.png"]
    latents = result.latents
    loss = correlation.correlation_loss(
        *(x[None] for x in (latents.latent_hat, latents.mean, latents.scale))
    )
    assert result.metrics.correlation == pytest.approx(float(loss), rel=1e-4)
    values = reconstructions.correlation_map(result)
    assert values.shape == (7, 7)
    values[3, 3] = 0
    assert np.sum(values**2) == pytest.approx(float(loss), rel=1e-4)


class RawCodec:
    """A codec whose files are the pixels, for images of one size."""

    title = "raw"

    def __init__(self):
        self.prepared = []

    def metadata(self):
        return ClassicalMetadata(codec="raw", title="Raw")

    def prepare(self, image):
        self.prepared.append(image.shape)
        time.sleep(0.3)

    def encode(self, image):
        if image.shape != (8, 8, 3):
            raise UserError("only images of 8 x 8 pixels")
        return image.tobytes()

    def decode(self, data):
        return np.frombuffer(data, np.uint8).reshape(8, 8, 3), None

    def details(self, image, data, latents):
        return FileDetails(y_bytes=len(data) - 64, z_bytes=16)


@pytest.mark.fast
def test_any_codec_can_be_measured_and_preparation_is_not_timed():
    codec, image = RawCodec(), blocks(8, 8)
    coded = measure.measure_image(codec, image, "a.png")
    metrics = coded.metrics
    assert codec.prepared == [(8, 8, 3)]
    assert coded.latents is None and np.array_equal(coded.reconstruction, image)
    assert (metrics.file, metrics.bytes, metrics.bpp) == ("a.png", 192, 24)
    assert metrics.psnr_db > 100
    assert (metrics.bpp_y, metrics.bpp_z, metrics.bpp_header) == (16, 2, 6)
    assert (metrics.bpp_estimated, metrics.correlation) == (None, None)
    assert (metrics.encode_seconds or 0) + (metrics.decode_seconds or 0) < 0.3


@pytest.mark.fast
def test_the_error_names_an_image_that_a_codec_refuses():
    with pytest.raises(UserError, match=r"^b\.png: only images of 8 x 8 pixels$"):
        measure.measure_image(RawCodec(), blocks(8, 16), "b.png")


@pytest.mark.fast
def test_a_canvas_is_prepared_once(tiny_model, monkeypatch):
    canvases = []
    monkeypatch.setattr(LearnedCodec, "decode", lambda codec, data: None)
    monkeypatch.setattr(
        LearnedCodec, "encode", lambda codec, image: canvases.append(image.shape)
    )
    codec = LearnedCodec(tiny_model)
    for size in ((8, 8), (100, 128), (129, 8), (200, 100)):
        codec.prepare(blocks(*size))
    assert canvases == [(8, 8, 3), (129, 8, 3)]


@pytest.mark.fast
def test_an_error_of_one_level_has_the_known_psnr():
    image = blocks(8, 8) // 2
    assert measure.psnr_db(image, image + 1) == pytest.approx(20 * math.log10(255))


@pytest.mark.fast
def test_ms_ssim_of_equal_images_is_1_and_of_small_images_none():
    image = blocks(161, 161)
    assert measure.ms_ssim(image, image) == pytest.approx(1.0)
    assert measure.ms_ssim(image, 255 - image) == pytest.approx(0.0, abs=0.1)
    assert measure.ms_ssim(image[:160], image[:160]) is None
