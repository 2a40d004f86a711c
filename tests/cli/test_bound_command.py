"""The command `jaxcorr bound`."""

import json

import numpy as np
import pytest
from PIL import Image
from support import codecs
from support.codecs import blocks

from jaxcorr import images, model, saved_model
from jaxcorr.cli import bound
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
    with Image.open(folder / "3.png") as image:
        image.convert("L").save(folder / "3.png")
    small = codecs.make_combination("minnen", "autoregressive")
    saved_model.write_model(tmp_path / "model", small)
    status, out, err = jaxcorr(
        "bound", folder, "-m", "model", "-o", "bound.png", "--json", "bound.json"
    )
    assert status == 0, err
    assert err == ""
    assert "+ one filter for all channels" in out
    assert "4 images, 5,808 latents in 12 channels" in out
    height, width, _ = images.read_image(tmp_path / "bound.png")[0].shape
    assert width > 3 * height
    values = json.loads((tmp_path / "bound.json").read_text())
    assert list(values)[:3] == ["model", "environment", "files"]
    assert values["files"] == ["0.png", "1.png", "2.png", "3.png"]
    # Bits of the codec itself, by another way.
    bits = [
        float(small.analyze(folder / name).latent_bits.sum())
        for name in values["files"]
    ]
    assert values["image_bits"] == pytest.approx(bits, rel=1e-4)


@pytest.mark.fast
def test_images_of_other_kinds_are_converted_and_it_is_said(folder, capsys):
    deep = np.arange(SIDE**2, dtype=np.uint16).reshape(SIDE, SIDE)
    Image.fromarray(deep).save(folder / "1.png")
    with Image.open(folder / "2.png") as image:
        image.putalpha(100)
        image.save(folder / "2.png")
    pixels = bound._read({path.name: path for path in sorted(folder.iterdir())})
    assert all(image.shape == (SIDE, SIDE, 3) for image in pixels)
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 2
    assert "1.png" in said[0] and "16 bits rounded to 8" in said[0]
    assert "2.png" in said[1] and "white" in said[1]


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


@pytest.mark.fast
@pytest.mark.parametrize(
    ("side", "last", "message"),
    [
        (100, b"", "latents at 400 positions at least, but the 4 images have 364"),
        (96, b"", "0.png is too small: its latents must be at least 7 high and wide"),
        (SIDE, b"cut", "3.png cannot be read as an image"),
        (SIDE, b"none", "3.png is not an image"),
    ],
)
def test_images_without_enough_latents_are_refused_before_any_is_computed(
    jaxcorr, model_path, tmp_path, monkeypatch, side, last, message
):
    for seed in range(4):
        Image.fromarray(blocks(side, 200, seed)).save(tmp_path / f"{seed}.png")
    if last:
        data = (tmp_path / "3.png").read_bytes()
        kept = data[: len(data) // 2] if last == b"cut" else last
        (tmp_path / "3.png").write_bytes(kept)
    monkeypatch.setattr(model.Model, "analyze", None)
    status, out, err = jaxcorr("bound", tmp_path, "-m", model_path)
    assert (status, out) == (2, "")
    assert message in err and err.count("\n") == 1
