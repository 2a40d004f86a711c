"""The packaged model compresses images right after installation."""

import json
from pathlib import Path

import pytest
from support.paths import REFERENCES

import jaxcorr as package
from jaxcorr import images, run_directory, saved_model
from jaxcorr.evaluation import measure

FOLDER = Path(package.__file__).parent / run_directory.DEMO
PHOTOGRAPH = REFERENCES / "astronaut.png"


def test_the_demo_compresses_a_photograph_to_less_than_a_tenth(jaxcorr, tmp_path):
    status, _, err = jaxcorr("compress", PHOTOGRAPH, "-m", "demo", "-o", "a.jxc")
    assert status == 0, err
    status, _, err = jaxcorr("decompress", "a.jxc", "-m", "demo", "-o", "a.png")
    assert status == 0, err
    image, _ = images.read_image(PHOTOGRAPH)
    decoded, _ = images.read_image(tmp_path / "a.png")
    assert (tmp_path / "a.jxc").stat().st_size < image.size / 10
    assert measure.psnr_db(image, decoded) > 20


@pytest.mark.fast
def test_a_folder_named_demo_takes_precedence(tmp_path, monkeypatch, tiny_model):
    monkeypatch.chdir(tmp_path)
    assert run_directory.load("demo").fingerprint != tiny_model.fingerprint
    saved_model.write_model(tmp_path / "demo", tiny_model)
    assert run_directory.load("demo").fingerprint == tiny_model.fingerprint


@pytest.mark.fast
def test_the_demo_is_small_and_its_card_states_data_and_license():
    card = (FOLDER / "README.md").read_text()
    for word in ("BSDS500", "licence", "non-commercial", "Kodak", "parameters"):
        assert word in card
    assert sum(path.stat().st_size for path in FOLDER.iterdir()) < 5_000_000
    about = json.loads((FOLDER / "config.json").read_text())["about"]
    assert "/" not in json.dumps(about)
