"""The command `jaxcorr evaluate`."""

import dataclasses
import io
import itertools
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from support.codecs import blocks

from jaxcorr.cli import measurements
from jaxcorr.evaluation import measure
from jaxcorr.evaluation.classical import ClassicalCodec
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
    assert out.splitlines()[-1] == "1 result in out/table.json"
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
def test_the_model_is_checked_before_the_images_and_the_output(
    jaxcorr, model_path, folder
):
    wrong = ["--json", folder], ["--json", "table.json"]
    for images, output in itertools.product(("nowhere", folder), wrong):
        status, out, err = jaxcorr("evaluate", images, "-m", "none", *output)
        assert (status, out) == (2, "")
        assert err == (
            "jaxcorr: error: none is not a directory: give a run, a model folder or "
            "demo, or the name of a stored model\n"
        )
        status, out, err = jaxcorr("evaluate", images, "--codec", "bpg", *output)
        assert status == 2 and "codec must be one of" in err
    checkpoint = ["-m", model_path.parent, "--checkpoint", "newest"]
    _, _, err = jaxcorr("evaluate", folder, *checkpoint, "--json", folder)
    assert "holds neither a model nor checkpoints" in err


@pytest.mark.fast
def test_a_table_that_cannot_be_written_is_refused_before_any_work(
    jaxcorr, model_path, folder
):
    status, out, err = jaxcorr("evaluate", folder, "-m", model_path, "--json", folder)
    assert (status, out) == (2, "")
    assert err == f"jaxcorr: error: cannot write {folder}: it is a directory\n"


@pytest.mark.fast
@pytest.mark.parametrize(
    ("paths", "message"),
    [
        (["nowhere"], "nowhere does not exist: no image or folder is there"),
        (["."], ". holds no image (looked for "),
        ([], "no image is given"),
    ],
)
def test_paths_without_images_are_refused(jaxcorr, model_path, paths, message):
    status, out, err = jaxcorr("evaluate", *paths, "-m", model_path)
    assert (status, out) == (2, "")
    assert message in err and err.count("\n") == 1


@pytest.mark.fast
def test_images_are_given_one_by_one_or_in_folders(jaxcorr, folder):
    Image.fromarray(GREY).save(folder.parent / "single.png")
    codec = "--codec", "jpeg", "--quality", 50, "--json", "t.json"
    for paths, names in {
        ("single.png",): ["single.png"],
        ("photos/large.png", "single.png"): ["large.png", "single.png"],
        ("single.png", "photos"): ["single.png", "below/small.png", "large.png"],
    }.items():
        status, out, err = jaxcorr("evaluate", *paths, *codec)
        assert (status, err) == (0, "")
        rows = json.loads(Path("t.json").read_text())["images"]
        assert [row["file"] for row in rows] == names
        assert f"mean of {len(names)}" in out


@pytest.mark.fast
def test_results_for_standard_output_are_all_that_is_there(jaxcorr, folder):
    status, out, err = jaxcorr(
        "evaluate", folder, "--codec", "webp", "--quality", 20, 80, "--json", "-"
    )
    assert status == 0
    low, high = json.loads(out)
    assert low["mean"]["bpp"] < high["mean"]["bpp"]
    assert "mean of 2" in err and "WebP" in err
    assert not Path("-").exists()


@pytest.mark.fast
def test_a_file_holds_the_results_of_all_qualities_and_a_report_takes_it(
    jaxcorr, tmp_path
):
    Image.fromarray(GREY).save(tmp_path / "a.png")
    codec = "--codec", "webp", "--quality", 10, 90, "--json", "webp.json"
    status, out, err = jaxcorr("evaluate", "a.png", *codec)
    assert status == 0, err
    assert "WebP, method 6 at 10" in out and "WebP, method 6 at 90" in out
    assert out.splitlines()[-1] == "2 results in webp.json"
    assert {path.name for path in tmp_path.iterdir()} == {"a.png", "webp.json"}
    low, high = json.loads(Path("webp.json").read_text())
    assert (low["model"]["codec"], low["model"]["quality"]) == ("webp", 10)
    assert low["mean"]["bpp"] < high["mean"]["bpp"]
    assert np.isfinite(high["mean"]["psnr_db"])
    status, _, err = jaxcorr("report", "webp.json", "-o", "report")
    assert status == 0, err
    assert "2 evaluations on 1 images" in Path("report/report.md").read_text()


@pytest.mark.fast
def test_a_broken_image_is_reported_once_and_the_others_are_measured(
    jaxcorr, folder, tmp_path
):
    (folder / "bad.png").write_text("hello")
    Image.fromarray(GREY).convert("CMYK").save(folder / "inks.tif")
    codec = "--codec", "jpeg", "--quality", 20, 80, "--json", "t.json"
    status, out, err = jaxcorr("evaluate", folder, *codec)
    assert status == 2
    assert [line.split(": ")[1] for line in err.splitlines()] == [
        "error",
        str(folder / "inks.tif"),
    ]
    assert "bad.png is not an image" in err
    results = json.loads(Path("t.json").read_text())
    assert [len(result["images"]) for result in results] == [3, 3]
    status, out, err = jaxcorr("evaluate", folder / "bad.png", *codec)
    assert (status, out) == (2, "")
    assert err == f"jaxcorr: error: {folder / 'bad.png'} is not an image\n"


@pytest.mark.fast
def test_the_table_is_as_wide_as_the_terminal_and_whole_in_a_pipe(monkeypatch):
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    monkeypatch.setenv("COLUMNS", "80")
    codec = ClassicalCodec("jpeg", 50.0)
    rows = [measure.measure_image(codec, GREY, "a.png").metrics]
    for file, is_narrow in ((Terminal(), True), (io.StringIO(), False)):
        measurements.print_table(codec, rows, with_title=False, file=file)
        width = max(map(len, file.getvalue().splitlines()))
        assert (width <= 80) == is_narrow


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
        (
            ["--codec", "webp", "--quality", "50", "101"],
            "quality of webp must be a whole number from 0 to 100, but is 101",
        ),
        (["--codec", "bpg"], "codec must be one of jpeg, jpeg2000, webp, avif, jpegxl"),
        (["--codec", "WebPP"], "but is WebPP (did you mean webp?)"),
        (["-m", "x", "--quality", "3"], "--quality applies to classical codecs"),
    ],
)
def test_evaluate_takes_a_model_or_a_codec(jaxcorr, tmp_path, arguments, message):
    Image.fromarray(GREY).save(tmp_path / "a.png")
    status, out, err = jaxcorr("evaluate", tmp_path, *arguments)
    assert (status, out) == (2, "")
    assert message in err and err.count("\n") == 1
