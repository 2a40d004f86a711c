import dataclasses
import json
import math
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from support.codecs import blocks

from jaxcorr import correlation
from jaxcorr.bitstream import coding
from jaxcorr.errors import UserError
from jaxcorr.evaluation import formatting, measure
from jaxcorr.evaluation.learned import LearnedCodec
from jaxcorr.evaluation.measure import FileDetails, ImageMetrics
from jaxcorr.evaluation.metadata import ClassicalMetadata, ModelMetadata
from jaxcorr.visualization import reconstructions, samples

KEYS = [
    *("file", "width", "height", "bytes", "bpp", "bpp_estimated", "bpp_y", "bpp_z"),
    "bpp_header",
    *("psnr_db", "ms_ssim", "correlation", "encode_seconds", "decode_seconds"),
]
SIZES = {"large.png": (170, 180), "below/small.png": (30, 40)}

FULL = ImageMetrics(
    file="a.png",
    width=100,
    height=50,
    bytes=1000,
    bpp=1.6,
    psnr_db=30.0,
    ms_ssim=0.9,
    correlation=0.5,
    encode_seconds=1.0,
)
EMPTY = ImageMetrics(
    file="b.png", width=300, height=50, bytes=2000, bpp=0.4, psnr_db=32.0
)


@pytest.fixture(scope="module")
def coded(tiny_model):
    """Measurements of each image."""
    codec = LearnedCodec(tiny_model)
    return {
        name: measure.measure_image(codec, blocks(*size), name)
        for name, size in SIZES.items()
    }


@pytest.fixture
def folder(tmp_path):
    """The images on disk."""
    for name, size in SIZES.items():
        path = tmp_path / "photos" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(blocks(*size)).save(path)
    return tmp_path / "photos"


def test_a_row_measures_the_file(coded, tiny_model):
    for name, (height, width) in SIZES.items():
        image, result = blocks(height, width), coded[name]
        row, pixels = result.metrics, height * width
        assert result.data == coding.compress(tiny_model, image)
        decoded = coding.decompress(tiny_model, result.data)
        assert np.array_equal(result.reconstruction, decoded)
        assert (row.file, row.width, row.height) == (name, width, height)
        assert row.bytes == len(result.data)
        assert row.bpp == pytest.approx(8 * row.bytes / pixels)
        assert row.bpp_header == pytest.approx(8 * 44 / pixels)
        parts = row.bpp_y + row.bpp_z + row.bpp_header
        assert row.bpp == pytest.approx(parts)
        mse = np.mean((image.astype(float) - result.reconstruction) ** 2)
        assert row.psnr_db == pytest.approx(10 * math.log10(255**2 / mse), rel=1e-6)
        assert row.encode_seconds > 0 and row.decode_seconds > 0


def test_the_correlation_is_that_of_the_decoded_latents(coded):
    result = coded["large.png"]
    latents = result.latents
    loss = correlation.correlation_loss(
        *(x[None] for x in (latents.latent_hat, latents.mean, latents.scale))
    )
    assert result.metrics.correlation == pytest.approx(float(loss), rel=1e-4)
    values = reconstructions.correlation_of(result)
    assert values.shape == (7, 7)
    values[3, 3] = 0
    assert np.sum(values**2) == pytest.approx(float(loss), rel=1e-4)


class Raw:
    """A codec that writes the pixels themselves, of images of one size."""

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
def test_any_codec_is_measured_and_what_it_prepares_is_not_timed():
    codec, image = Raw(), blocks(8, 8)
    coded = measure.measure_image(codec, image, "a.png")
    row = coded.metrics
    assert codec.prepared == [(8, 8, 3)]
    assert coded.latents is None and np.array_equal(coded.reconstruction, image)
    assert (row.file, row.bytes, row.bpp) == ("a.png", 192, 24)
    assert row.psnr_db > 100
    assert (row.bpp_y, row.bpp_z, row.bpp_header) == (16, 2, 6)
    assert (row.bpp_estimated, row.correlation) == (None, None)
    assert (row.encode_seconds or 0) + (row.decode_seconds or 0) < 0.3


@pytest.mark.fast
def test_an_image_that_a_codec_refuses_is_named():
    with pytest.raises(UserError, match=r"^b\.png: only images of 8 x 8 pixels$"):
        measure.measure_image(Raw(), blocks(8, 16), "b.png")


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
    assert canvases == [(128, 128, 3), (256, 128, 3)]


@pytest.mark.fast
def test_the_psnr_of_an_error_of_one_level_is_known():
    image = blocks(8, 8) // 2
    assert measure.psnr_db(image, image + 1) == pytest.approx(20 * math.log10(255))


@pytest.mark.fast
def test_the_similarity_of_an_image_with_itself_is_1_and_none_where_it_is_small():
    image = blocks(161, 161)
    assert measure.ms_ssim(image, image) == pytest.approx(1.0)
    assert measure.ms_ssim(image, 255 - image) == pytest.approx(0.0, abs=0.1)
    assert measure.ms_ssim(image[:160], image[:160]) is None


@pytest.mark.fast
def test_means_are_over_the_rows_that_have_a_value():
    means = measure.mean_metrics([FULL, EMPTY])
    assert list(means) == KEYS[1:]
    assert means["bpp"] == pytest.approx(1.0)
    assert means["psnr_db"] == pytest.approx(31.0)
    assert means["correlation"] == 0.5
    assert means["decode_seconds"] is None


@pytest.mark.fast
def test_the_table_has_a_line_a_row_and_one_of_means():
    lines = formatting.as_text([FULL, EMPTY]).splitlines()
    assert len(lines) == 6
    assert lines[0].split()[:3] == ["file", "bytes", "bpp"]
    assert lines[2].split()[:4] == ["a.png", "1000", "1.6000", "-"]
    assert lines[5].startswith("mean of 2   1500  1.0000")
    assert len({len(line) for line in lines}) == 1


@pytest.mark.fast
def test_json_names_every_value_and_says_null_where_there_is_none():
    read = json.loads(formatting.as_json([FULL, EMPTY], ModelMetadata(path="run")))
    assert list(read) == ["model", "images", "mean"]
    assert read["model"] == {"path": "run"}
    assert [list(row) for row in read["images"]] == [KEYS, KEYS]
    assert read["images"][0] == dataclasses.asdict(FULL)
    assert read["images"][1]["ms_ssim"] is None
    assert list(read["mean"]) == KEYS[1:]


def test_evaluate_prints_the_table_and_writes_it(jaxcorr, model_path, folder, coded):
    (folder / "bad.png").write_text("hello")
    status, out, err = jaxcorr(
        "evaluate", folder, "-m", model_path, "--json", "out/table.json"
    )
    assert status == 2
    assert err == f"jaxcorr: error: {folder / 'bad.png'} is not an image\n"
    assert [line.split()[0] for line in out.splitlines()[2:4]] == sorted(SIZES)
    read = json.loads(Path("out/table.json").read_text())
    assert read["model"]["path"] == str(model_path)
    assert read["model"]["step"] == 7
    assert len(bytes.fromhex(read["model"]["fingerprint"])) == 8
    timeless = [key for key in KEYS if not key.endswith("seconds")]
    for row in read["images"]:
        assert list(row) == KEYS
        expected = dataclasses.asdict(coded[row["file"]].metrics)
        assert [row[key] for key in timeless] == [expected[key] for key in timeless]
    small, large = read["images"]
    assert (small["ms_ssim"], small["correlation"]) == (None, None)
    assert None not in large.values()
    assert read["mean"]["bytes"] == (small["bytes"] + large["bytes"]) / 2


@pytest.mark.fast
def test_evaluate_writes_no_table_of_nothing(jaxcorr, model_path, folder):
    for name in SIZES:
        (folder / name).write_text("hello")
    status, out, err = jaxcorr(
        "evaluate", folder, "-m", model_path, "--json", "table.json"
    )
    assert (status, out) == (2, "")
    assert err.splitlines()[-1].endswith("none of 2 images can be measured")
    assert not Path("table.json").exists()


@pytest.mark.fast
def test_evaluate_refuses_a_table_that_cannot_be_written_before_any_work(
    jaxcorr, folder
):
    status, out, err = jaxcorr("evaluate", folder, "-m", "none", "--json", folder)
    assert (status, out) == (2, "")
    assert err == f"jaxcorr: error: cannot write {folder}: it is a directory\n"


def test_a_showcase_holds_files_images_table_and_comparison(
    tiny_model, folder, tmp_path, coded
):
    paths = [folder / name for name in SIZES]
    text = samples.write_samples(tiny_model, paths, tmp_path / "shown")
    assert text.splitlines()[2].startswith("large.png")
    names = sorted(path.name for path in (tmp_path / "shown").iterdir())
    images = ["large.jxc", "large.png", "small.jxc", "small.png"]
    assert names == ["comparison.png", *images, "table.json"]
    assert (tmp_path / "shown" / "large.jxc").read_bytes() == coded["large.png"].data
    with Image.open(tmp_path / "shown" / "small.png") as image:
        assert image.size == (40, 30)
    with Image.open(tmp_path / "shown" / "comparison.png") as image:
        assert image.size == (1300, 720)  # Two rows.
        assert len(set(image.convert("L").tobytes())) > 100
    assert len(json.loads((tmp_path / "shown" / "table.json").read_text())["images"])
