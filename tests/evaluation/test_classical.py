import importlib.util

import pytest
from support.codecs import blocks
from support.paths import REFERENCES

from jaxcorr import images
from jaxcorr.errors import UserError
from jaxcorr.evaluation import classical, measure
from jaxcorr.evaluation.classical import ClassicalCodec
from jaxcorr.metrics import bjontegaard
from jaxcorr.metrics.bjontegaard import RDSamples

pytestmark = pytest.mark.fast

IMAGE = blocks(64, 96)[..., :1].repeat(3, axis=-1)  # JPEG halves color.
AVAILABLE = [name for name, codec in classical.CODECS.items() if codec.library()]


def test_pillow_has_four_codecs():
    assert set(AVAILABLE) >= {"jpeg", "jpeg2000", "webp", "avif"}


@pytest.mark.parametrize("name", AVAILABLE)
def test_higher_quality_costs_bits_and_raises_psnr(name):
    qualities = classical.CODECS[name].qualities
    low, high = (
        measure.measure_image(ClassicalCodec(name, quality), IMAGE, "a.png").metrics
        for quality in (qualities[0], qualities[-1])
    )
    assert low.bpp < high.bpp and low.psnr_db < high.psnr_db
    assert high.bpp == pytest.approx(8 * high.bytes / (64 * 96))
    assert high.psnr_db > 30
    assert (high.bpp_y, high.correlation) == (None, None)
    assert high.encode_seconds and high.decode_seconds


@pytest.mark.parametrize("name", [name for name in AVAILABLE if name != "jpeg"])
def test_on_a_photograph_every_other_codec_needs_fewer_bits_than_jpeg(name):
    photograph, _ = images.read_image(REFERENCES / "astronaut.png")

    def curve(codec):
        points = [
            measure.measure_image(
                ClassicalCodec(codec, quality), photograph, "a.png"
            ).metrics
            for quality in classical.CODECS[codec].qualities[::2]
        ]
        return RDSamples(
            name=codec,
            bpp=tuple(point.bpp for point in points),
            quality=tuple(point.psnr_db for point in points),
        )

    assert bjontegaard.bd_rate(curve("jpeg"), curve(name)).value < -10


@pytest.mark.skipif(
    importlib.util.find_spec("imagecodecs") is not None, reason="has imagecodecs"
)
def test_the_error_for_a_missing_codec_lists_the_available_ones():
    with pytest.raises(UserError, match=r"jpegxl is missing from .* jpeg, "):
        classical.open_codec("jpegxl")


def test_a_quality_out_of_range_is_refused():
    with pytest.raises(
        UserError, match=r"quality of webp must be a whole number.* is 101"
    ):
        ClassicalCodec("webp", 101.0)
