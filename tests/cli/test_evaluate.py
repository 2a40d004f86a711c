"""The command `jaxcorr evaluate`."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from support.codecs import blocks

from jaxcorr.evaluation import measure
from jaxcorr.evaluation.learned import LearnedCodec
from jaxcorr.evaluation.measure import ImageMetrics

KEYS = [field.name for field in dataclasses.fields(ImageMetrics)]
SIZES = {"large.png": (170, 180), "below/small.png": (30, 40)}
GREY = blocks(64, 96)[..., :1].repeat(3, axis=-1)


@pytest.fixture
def folder(tmp_path):
    """The images in a folder."""
    for name, size in SIZES.items():
        path = tmp_path / "photos" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(blocks(*size)).save(path)
    return tmp_path / "photos"


def test_evaluate_prints_the_table_and_writes_it(
    jaxcorr, model_path, folder, tiny_model
):
    codec = LearnedCodec(tiny_model)
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
        image = blocks(*SIZES[row["file"]])
        coded = measure.measure_image(codec, image, row["file"])
        expected = dataclasses.asdict(coded.metrics)
        assert [row[key] for key in timeless] == [expected[key] for key in timeless]
    small, large = read["images"]
    assert (small["ms_ssim"], small["correlation"]) == (None, None)
    assert None not in large.values()
    assert read["mean"]["bytes"] == (small["bytes"] + large["bytes"]) / 2


@pytest.mark.fast
def test_evaluate_writes_no_table_without_measurements(jaxcorr, model_path, folder):
    for name in SIZES:
        (folder / name).write_text("hello")
    status, out, err = jaxcorr(
        "evaluate", folder, "-m", model_path, "--json", "table.json"
    )
    assert (status, out) == (2, "")
    assert err.splitlines()[-1].endswith("none of 2 images can be measured")
    assert not Path("table.json").exists()


@pytest.mark.fast
def test_a_table_that_cannot_be_written_is_refused_before_any_work(jaxcorr, folder):
    status, out, err = jaxcorr("evaluate", folder, "-m", "none", "--json", folder)
    assert (status, out) == (2, "")
    assert err == f"jaxcorr: error: cannot write {folder}: it is a directory\n"


@pytest.mark.fast
def test_evaluate_writes_one_table_per_quality(jaxcorr, tmp_path):
    (tmp_path / "photos").mkdir()
    Image.fromarray(GREY).save(tmp_path / "photos/a.png")
    status, out, err = jaxcorr(
        "evaluate",
        "photos",
        "--codec",
        "jpeg",
        "--json",
        "t.json",
        "--quality",
        10,
        90,
    )
    assert status == 0, err
    assert "JPEG, 4:2:0 at 10" in out and "JPEG, 4:2:0 at 90" in out
    low, high = (json.loads((tmp_path / f"t@{q}.json").read_text()) for q in (10, 90))
    assert (low["model"]["codec"], low["model"]["quality"]) == ("jpeg", 10)
    assert low["mean"]["bpp"] < high["mean"]["bpp"]
    assert np.isfinite(high["mean"]["psnr_db"])


@pytest.mark.fast
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
        (["-m", "x", "--quality", "3"], "--quality applies to classical codecs"),
    ],
)
def test_evaluate_takes_a_model_or_a_codec(jaxcorr, tmp_path, arguments, message):
    Image.fromarray(GREY).save(tmp_path / "a.png")
    status, out, err = jaxcorr("evaluate", tmp_path, *arguments)
    assert (status, out) == (2, "")
    assert message in err and err.count("\n") == 1
