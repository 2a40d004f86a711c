"""Formats of decoded images: what they keep of a picture, and how well."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from support.codecs import blocks
from support.image_folders import write

from jaxcorr.bitstream import compression

pytestmark = pytest.mark.fast

RGB = blocks(17, 33)


def test_transparency_and_gray_come_back(jaxcorr, model_path):
    alpha = np.tile(np.arange(33, dtype=np.uint8) * 7, (17, 1))
    write(Path("clear.png"), np.dstack([RGB, alpha]))
    write(Path("gray.jpg"), RGB[..., 0])
    assert jaxcorr("compress", "clear.png", "gray.jpg", "-m", model_path)[0] == 0
    _, out, _ = jaxcorr("info", "clear.jxc", "gray.jxc", "--json", "-")
    sections = [header["sections"] for header in json.loads(out)]
    assert sections[1] == {"gray": 0, "model": len("tiny")}
    assert list(sections[0]) == ["alpha", "model"]
    options = "-m", model_path, "-o", "decoded"
    assert jaxcorr("decompress", "clear.jxc", "gray.jxc", *options)[0] == 0
    with Image.open("decoded/clear.png") as image:
        assert np.array_equal(np.asarray(image)[..., 3], alpha)
    with Image.open("decoded/gray.png") as image:
        assert image.mode == "L"
    _, _, err = jaxcorr("compress", "clear.png", *options, "--background", "red")
    assert err == "jaxcorr: clear.png: transparency laid over #ff0000\n"


@pytest.mark.parametrize("kind", ["png", "tif", "bmp", "webp", "ppm", "jp2"])
def test_formats_without_loss_hold_what_was_decoded(
    jaxcorr, tiny_model, model_path, kind
):
    Path("a.jxc").write_bytes(compression.compress(RGB, tiny_model))
    expected = compression.decompress("a.jxc", tiny_model)
    status, _, err = jaxcorr("decompress", "a.jxc", "-m", model_path, "-o", f"a.{kind}")
    assert (status, err) == (0, "")
    with Image.open(f"a.{kind}") as image:
        np.testing.assert_array_equal(np.asarray(image), expected)


@pytest.mark.parametrize(("kind", "levels"), [("jpg", 8), ("avif", 8), ("gif", 160)])
def test_formats_with_loss_are_at_their_best_and_it_is_said(
    jaxcorr, tiny_model, model_path, kind, levels
):
    Path("a.jxc").write_bytes(compression.compress(RGB, tiny_model))
    expected = compression.decompress("a.jxc", tiny_model).astype(int)
    status, _, err = jaxcorr("decompress", "a.jxc", "-m", model_path, "-o", f"a.{kind}")
    assert status == 0 and err.startswith(f"jaxcorr: a.{kind}: written as ")
    with Image.open(f"a.{kind}") as image:
        found = np.asarray(image.convert("RGB"))
    assert np.abs(found - expected).max() <= levels
