"""The command `jaxcorr report`, and the files that it writes."""

import re
import shutil
from pathlib import Path

import pytest
from PIL import Image
from support.codecs import blocks
from support.evaluations import model_metadata, write_result

pytestmark = pytest.mark.fast


def test_the_report_evaluates_runs_first_with_a_folder_of_images(
    jaxcorr, model_path, tmp_path
):
    (tmp_path / "photos").mkdir()
    Image.fromarray(blocks(32, 48)).save(tmp_path / "photos/a.png")
    shutil.copytree(model_path, tmp_path / "model")
    arguments = ["report", "model", "--images", "photos", "-o"]
    status, _, err = jaxcorr(*arguments, "photos/a.png/x")
    assert status == 2 and "a.png is not a directory" in err
    assert not (tmp_path / "model/evaluation.json").exists()
    status, _, err = jaxcorr(*arguments, "report")
    assert status == 0, err
    assert (tmp_path / "model/evaluation.json").exists()
    assert "## Points" in (tmp_path / "report/report.md").read_text()
    status, _, err = jaxcorr("report", "demo", "--images", "photos", "-o", "report")
    assert status == 2 and "demo has no folder for results" in err


def test_a_report_holds_curves_tables_and_pictures_in_one_file(jaxcorr, runs):
    status, out, err = jaxcorr("report", runs, "-o", "report", "--anchor", "α = 0.1")
    assert status == 0, err
    page = Path("report/report.html").read_text()
    text = Path("report/report.md").read_text()
    assert "report/report.html" in out
    for title in ("Rate and PSNR", "BD-rate", "Points", "Rate saved", "While training"):
        assert f"## {title}" in text
    pictures = re.findall(r"!\[.*\]\((.*)\)", text)
    assert len(pictures) == 4
    for picture in pictures:
        assert (Path("report") / picture).read_bytes().startswith(b"\x89PNG")
    assert page.count("data:image/png;base64,") == len(pictures)
    assert not re.search(r'(src|href)="(?!data:)', page)
    # The models with the loss need 10 and 12 percent fewer bits.
    assert "| Minnen 128/192, α = 0 | +12.4 (+11.1 to +13.6) |" in text


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "no run is given"),
        (["none"], "none does not exist: no run, folder or file is there"),
        (["empty"], "empty holds no evaluation: name the images with --images"),
        (["bad.json"], "bad.json is not a table of results of `jaxcorr evaluate`"),
        (["runs", "--anchor", "α ="], "anchor 'α =' names 2 curves"),
        (["runs", "--anchor", "H.266"], "anchor 'H.266' names no curves; there are"),
        (["runs", "other.json"], "other.json is of other images than"),
        (
            ["short.json", "--anchor", "Minnen 128"],
            "anchor Minnen 128/192, α = 0 has 1 points",
        ),
    ],
)
def test_an_impossible_report_is_refused_in_one_line(
    jaxcorr, runs, tmp_path, arguments, message
):
    (tmp_path / "empty").mkdir()
    (tmp_path / "bad.json").write_text('{"model": {}, "images": [], "mean": {}}')
    model = model_metadata(0.1, 0.0)
    write_result(tmp_path / "other.json", model, bpp=1.0, psnr=30.0, images=["a.png"])
    write_result(tmp_path / "short.json", model, bpp=1.0, psnr=30.0)
    status, out, err = jaxcorr("report", *arguments, "-o", "report")
    assert (status, out) == (2, "")
    assert re.search(message, err) and err.count("\n") == 1
    assert err.startswith("jaxcorr: error: ")
    assert not Path("report").exists()
