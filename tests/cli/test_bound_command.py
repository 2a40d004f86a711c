"""The command `jaxcorr bound`."""

import json

import pytest
from PIL import Image
from support import codecs
from support.codecs import blocks

from jaxcorr import images, saved_model
from jaxcorr.neighbors import network

SIDE = 176
"""Side of images with latents at 121 positions."""


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "images").mkdir()
    for seed in range(4):
        Image.fromarray(blocks(SIDE, SIDE, seed)).save(tmp_path / f"images/{seed}.png")
    return tmp_path / "images"


def test_bound_prints_a_table_and_writes_a_picture_and_json(
    jaxcorr, folder, tmp_path, monkeypatch
):
    monkeypatch.setattr(network, "STEPS", 2)
    model = codecs.make_combination("minnen", "autoregressive")
    saved_model.write_model(tmp_path / "model", model)
    status, out, err = jaxcorr(
        "bound", folder, "-m", "model", "-o", "bound.png", "--json", "bound.json"
    )
    assert status == 0, err
    assert "+ one filter for all channels" in out
    assert "4 images, 5,808 latents in 12 channels" in out
    height, width, _ = images.read_image(tmp_path / "bound.png")[0].shape
    assert width > 3 * height
    values = json.loads((tmp_path / "bound.json").read_text())
    assert list(values)[:3] == ["model", "environment", "files"]
    assert values["files"] == ["0.png", "1.png", "2.png", "3.png"]
    # Bits of the codec itself, by another way.
    bits = [
        float(model.analyze(folder / name).latent_bits.sum())
        for name in values["files"]
    ]
    assert values["image_bits"] == pytest.approx(bits, rel=1e-4)


@pytest.mark.fast
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["images/0.png", "-m", "MODEL"], "at least 4 images, but 1 is given"),
        (["nowhere", "-m", "MODEL"], "nowhere does not exist"),
        (["images", "-m", "MODEL", "-o", "x.jpg"], "x.jpg must end in .png"),
        (["images", "-m", "nowhere"], "nowhere is not a directory"),
        (["images", "text.png", "-m", "MODEL"], "text.png is not an image"),
    ],
)
def test_impossible_arguments_are_refused(
    jaxcorr, model_path, folder, tmp_path, arguments, message
):
    (tmp_path / "text.png").write_text("no image")
    given = [model_path if value == "MODEL" else value for value in arguments]
    status, out, err = jaxcorr("bound", *given)
    assert (status, out) == (2, "")
    assert message in err and err.count("\n") == 1


def test_images_whose_latents_are_too_few_are_refused(jaxcorr, model_path, tmp_path):
    for seed in range(4):
        Image.fromarray(blocks(100, 200, seed)).save(tmp_path / f"{seed}.png")
    status, _, err = jaxcorr("bound", tmp_path, "-m", model_path)
    assert status == 2
    assert "0.png: its latents must be" in err or "400 positions at least" in err
    assert err.count("\n") == 1
