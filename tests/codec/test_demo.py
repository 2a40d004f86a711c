"""The packaged model compresses images right after installation."""

import json
from pathlib import Path

import numpy as np
import pytest
import skimage
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
    sizes = [path.stat().st_size for path in FOLDER.rglob("*") if path.is_file()]
    assert max(sizes) < 5_000_000 and sum(sizes) < 20_000_000
    for config in FOLDER.rglob("config.json"):
        assert "/" not in json.dumps(json.loads(config.read_text())["about"])


def test_rate_and_quality_of_the_demo_grow_with_its_number():
    photograph = Path(skimage.__file__).parent / "data" / "chelsea.png"
    image = images.read_image(photograph)[0][:256, :384]
    rates, qualities = [], []
    for path in run_directory.model_paths("demo"):
        output = run_directory.load(path).analyze(image)
        rates.append(output.latent_bits.sum() + output.side_bits.sum())
        decoded = np.rint(255 * output.reconstruction).clip(0, 255).astype(np.uint8)
        qualities.append(measure.psnr_db(image, decoded))
    assert len(rates) == 4
    assert rates == sorted(rates) and qualities == sorted(qualities)
    assert qualities[0] > 27


@pytest.mark.fast
def test_a_file_of_an_earlier_demo_names_its_version(jaxcorr):
    file = REFERENCES / "saved" / "models" / "demo-0.1" / "image.jxc"
    status, _, err = jaxcorr("decompress", file, "-o", "a.png")
    assert status == 2 and "was made with the demo of jaxcorr 0.1" in err
    assert jaxcorr("decompress", file, "-m", file.parent, "-o", "a.png")[0] == 0
