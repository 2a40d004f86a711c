import importlib.util
import json

import numpy as np
import pytest
from PIL import Image
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
HERE = [name for name, codec in classical.CODECS.items() if codec.library()]


def test_pillow_brings_four_codecs():
    assert set(HERE) >= {"jpeg", "jpeg2000", "webp", "avif"}


@pytest.mark.parametrize("name", HERE)
def test_better_qualities_cost_bits_and_bring_decibels(name):
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


@pytest.mark.parametrize("name", [name for name in HERE if name != "jpeg"])
def test_on_a_photograph_every_other_codec_needs_fewer_bits_than_jpeg(name):
    photograph, _ = images.read_image(REFERENCES / "astronaut.png")
    jpeg, other = (
        [
            measure.measure_image(
                ClassicalCodec(each, quality), photograph, "a.png"
            ).metrics
            for quality in classical.CODECS[each].qualities[::2]
        ]
        for each in ("jpeg", name)
    )
    curve = lambda points: RDSamples(
        name="curve",
        bpp=tuple(row.bpp for row in points),
        quality=tuple(row.psnr_db for row in points),
    )
    assert bjontegaard.bd_rate(curve(jpeg), curve(other)).value < -10


@pytest.mark.skipif(
    importlib.util.find_spec("imagecodecs") is not None, reason="has imagecodecs"
)
def test_a_codec_that_is_not_installed_is_refused_with_those_that_are():
    with pytest.raises(UserError, match=r"jpegxl is not in the libraries.* jpeg, "):
        classical.open_codec("jpegxl")


def test_a_quality_out_of_range_is_refused():
    with pytest.raises(
        UserError, match=r"quality of webp must be a whole number.* is 101"
    ):
        ClassicalCodec("webp", 101.0)


def test_evaluate_writes_a_table_a_quality(jaxcorr, tmp_path):
    (tmp_path / "photos").mkdir()
    Image.fromarray(IMAGE).save(tmp_path / "photos/a.png")
    status, out, err = jaxcorr(
        *("evaluate", "photos", "--codec", "jpeg", "--json", "t.json"),
        *("--quality", 10, 90),
    )
    assert status == 0, err
    assert "JPEG, 4:2:0 at 10" in out and "JPEG, 4:2:0 at 90" in out
    low, high = (json.loads((tmp_path / f"t@{q}.json").read_text()) for q in (10, 90))
    assert (low["model"]["codec"], low["model"]["quality"]) == ("jpeg", 10)
    assert low["mean"]["bpp"] < high["mean"]["bpp"]
    assert np.isfinite(high["mean"]["psnr_db"])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "give either -m MODEL or --codec NAME"),
        (["--codec", "webp", "-m", "x"], "give either -m MODEL or --codec NAME"),
        (
            ["--codec", "jpeg2000", "--quality", "nan"],
            "quality of jpeg2000 must be from",
        ),
        (["--codec", "bpg"], "codec must be one of jpeg, jpeg2000, webp, avif, jpegxl"),
        (["-m", "x", "--quality", "3"], "--quality is of classical codecs"),
    ],
)
def test_evaluate_takes_a_model_or_a_codec(jaxcorr, tmp_path, arguments, message):
    Image.fromarray(IMAGE).save(tmp_path / "a.png")
    status, out, err = jaxcorr("evaluate", tmp_path, *arguments)
    assert (status, out) == (2, "")
    assert message in err and err.count("\n") == 1
