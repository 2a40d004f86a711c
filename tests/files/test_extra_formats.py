"""HEIC and JPEG XL, where their packages are installed, and messages where not."""

import sys

import numpy as np
import pytest
from PIL import Image
from support.codecs import blocks

from jaxcorr import images
from jaxcorr.errors import UserError

pytestmark = pytest.mark.fast

RGB = blocks(32, 48)
HEIC = b"\0\0\0\x18ftypheic\0\0\0\0mif1heic"
"""Start of a HEIC file."""
JPEG_XL = b"\0\0\0\x0cJXL \r\n\x87\n"
"""Start of a JPEG XL file."""


@pytest.mark.parametrize(
    ("data", "module", "message"),
    [
        (HEIC, "pillow_heif", "a is a HEIC image: reading it needs pillow_heif"),
        (JPEG_XL, "imagecodecs", "a is a JPEG XL image: reading it needs imagecodecs"),
    ],
)
def test_an_image_without_its_reader_is_named_as_what_it_is(
    monkeypatch, data, module, message
):
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(UserError, match=rf"^{message}.*: pip install 'jaxcorr\["):
        images.decode(data, name="a")


@pytest.mark.parametrize("start", [HEIC, JPEG_XL, b"\xff\x0a"])
def test_a_damaged_file_is_refused_or_its_reader_is_missing(start):
    with pytest.raises(UserError, match=r"^a (is |cannot be read as an image)"):
        images.decode(start + bytes(100), name="a")


def test_heic_is_read(tmp_path):
    heif = pytest.importorskip("pillow_heif")
    heif.register_heif_opener()
    alpha = np.tile(np.arange(48, dtype=np.uint8) * 5, (32, 1))
    path = tmp_path / "a.heic"
    image = Image.fromarray(np.dstack([RGB, alpha]))
    image.save(path, quality=-1, chroma=444, matrix_coefficients=0)
    picture = images.read(path)
    assert np.abs(picture.rgb[:, 1:].astype(int) - RGB[:, 1:]).max() <= 2
    assert picture.alpha is not None
    np.testing.assert_array_equal(picture.alpha, alpha)
    assert images.read_size(path) == (48, 32)
    assert images.find_images(tmp_path) == [path]


def test_jpeg_2000_of_12_bits_has_its_white(tmp_path):
    imagecodecs = pytest.importorskip("imagecodecs")
    levels = np.tile(np.linspace(0, 4095, 64).astype(np.uint16), (48, 1))
    path = tmp_path / "a.jp2"
    path.write_bytes(imagecodecs.jpeg2k_encode(levels, bitspersample=12, level=0))
    picture = images.read(path)
    assert np.abs(picture.rgb[..., 0] - levels / 4095 * 255).max() <= 1
    assert picture.is_gray and picture.rgb[0, -1, 0] == 255


@pytest.mark.parametrize("kind", ["RGB", "RGBA", "L", "LA"])
def test_jpeg_xl_holds_what_was_decoded(tmp_path, kind):
    pytest.importorskip("imagecodecs")
    image = Image.fromarray(RGB).convert(kind)
    if "A" in kind:
        image.putalpha(Image.fromarray(RGB[..., 0]))
    given = images.to_picture(image)
    images.write_picture(tmp_path / "a.jxl", given)
    found = images.read(tmp_path / "a.jxl")
    np.testing.assert_array_equal(found.rgb, given.rgb)
    assert found.is_gray == given.is_gray == kind.startswith("L")
    if given.alpha is not None:
        np.testing.assert_array_equal(found.alpha, given.alpha)
    assert images.read_size(tmp_path / "a.jxl") == (48, 32)
