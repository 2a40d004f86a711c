"""`jaxcorr.evaluate` measures models and classical codecs on images in any form."""

import json

import numpy as np
import pytest
from PIL import Image
from support.codecs import blocks

import jaxcorr
from jaxcorr.evaluation import measure, result_files
from jaxcorr.evaluation.learned import LearnedCodec

pytestmark = pytest.mark.fast
SIZES = {"a.png": (40, 50), "below/b.png": (17, 33)}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder of images, with one in a folder below."""
    folder = tmp_path_factory.mktemp("images")
    (folder / "below").mkdir()
    for name, size in SIZES.items():
        Image.fromarray(blocks(*size)).save(folder / name)
    return folder


@pytest.fixture(scope="module")
def evaluation(folder, model_path):
    return jaxcorr.evaluate(folder, model_path)


def test_the_metrics_are_those_of_each_image(evaluation, tiny_model):
    assert [row.file for row in evaluation.images] == [*SIZES]
    codec = LearnedCodec(tiny_model)
    for row in evaluation.images:
        expected = measure.measure_image(codec, blocks(*SIZES[row.file]), row.file)
        assert (row.bytes, row.psnr_db) == (
            expected.metrics.bytes,
            expected.metrics.psnr_db,
        )
    bpp = [row.bpp for row in evaluation.images]
    assert evaluation.mean["bpp"] == pytest.approx(np.mean(bpp))


def test_an_evaluation_prints_as_a_table_and_is_read_by_reports(
    evaluation, tmp_path, model_path
):
    lines = repr(evaluation).splitlines()
    assert lines[0] == str(model_path)
    assert lines[-1].startswith("mean of 2")
    assert lines[-1] in evaluation._repr_html_()
    evaluation.save(tmp_path / "results.json")
    (read,) = result_files.read_results([tmp_path / "results.json"])
    assert read.mean == evaluation.mean
    written = json.loads((tmp_path / "results.json").read_text())
    assert written["model"]["path"] == str(model_path)


def test_images_may_be_in_any_form(tiny_model, folder):
    image = blocks(17, 33)
    forms = [image, Image.fromarray(image), image / 255, str(folder / "below/b.png")]
    rows = jaxcorr.evaluate(forms, tiny_model).images
    assert [row.file for row in rows] == ["image 1", "image 2", "image 3", "b.png"]
    assert len({(row.bytes, row.psnr_db) for row in rows}) == 1
    assert jaxcorr.evaluate(image, tiny_model).images[0].bytes == rows[0].bytes


def test_a_classical_codec_is_measured_at_a_quality(folder):
    low, high = (
        jaxcorr.evaluate(folder, codec="webp", quality=quality) for quality in (5, 95)
    )
    for first, second in zip(low.images, high.images, strict=True):
        assert 1.5 * first.bytes < second.bytes
    assert low.title.endswith("at 5")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"quality": 80}, "quality applies to classical codecs"),
        ({"codec": "webp"}, "codec webp needs a quality, as in quality=80"),
        ({"codec": "gif", "quality": 80}, "codec must be one of .*, but is gif"),
        (
            {"model": "demo", "codec": "webp", "quality": 1},
            "either a model or a classical",
        ),
    ],
)
def test_options_that_do_not_fit_are_refused(options, message):
    with pytest.raises(jaxcorr.UserError, match=message):
        jaxcorr.evaluate(blocks(17, 33), **options)


def test_no_image_is_refused(tiny_model):
    with pytest.raises(jaxcorr.UserError, match="no image is given"):
        jaxcorr.evaluate([], tiny_model)
