"""simplejpeg, where it is installed, reads the pixels that Pillow reads."""

import io
import warnings
from typing import Any

import numpy as np
import pytest
from PIL import Image
from support.image_folders import coordinates

from jaxcorr import images, jpeg_decoder
from jaxcorr.errors import UserError

pytestmark = pytest.mark.fast

PHOTOGRAPH = coordinates(100, height=141, width=173)


class Decoder:
    """Stands in for simplejpeg, and counts the files that it decodes."""

    def __init__(self):
        self.decoded = 0

    def decode_jpeg_header(self, data: bytes) -> tuple[int, int, str, str]:
        with (
            warnings.catch_warnings(action="ignore"),
            Image.open(io.BytesIO(data)) as image,
        ):
            colors = {"RGB": "YCbCr", "L": "Gray"}[image.mode]
            return image.height, image.width, colors, "420"

    def decode_jpeg(self, data: bytes) -> np.ndarray:
        with Image.open(io.BytesIO(data)) as image:
            try:
                array = np.array(image)
            except OSError as error:
                raise ValueError("damaged") from error
        self.decoded += 1
        return array


@pytest.fixture
def decoder(monkeypatch):
    decoder = Decoder()
    monkeypatch.setattr(jpeg_decoder, "simplejpeg", decoder)
    return decoder


def encoded(image: np.ndarray = PHOTOGRAPH, kind: str = "JPEG", **options: Any):
    file = io.BytesIO()
    Image.fromarray(image).save(file, kind, **options)
    return file.getvalue()


def exif(orientation: int) -> Image.Exif:
    data = Image.Exif()
    data[0x0112] = orientation
    return data


def xmp(orientation: int) -> bytes:
    return f'<x tiff:Orientation="{orientation}"/>'.encode()


@pytest.mark.parametrize("progressive", [False, True])
@pytest.mark.parametrize("subsampling", ["4:4:4", "4:2:2", "4:2:0"])
def test_simplejpeg_reads_the_pixels_that_pillow_reads(
    subsampling, progressive, tmp_path, monkeypatch
):
    simplejpeg = pytest.importorskip("simplejpeg")
    path = tmp_path / "image.jpg"
    path.write_bytes(encoded(subsampling=subsampling, progressive=progressive))
    monkeypatch.setattr(jpeg_decoder, "simplejpeg", simplejpeg)
    decoded = jpeg_decoder.decode(path.read_bytes(), lambda _: False)
    monkeypatch.setattr(jpeg_decoder, "simplejpeg", None)
    np.testing.assert_array_equal(decoded, images.read_image(path)[0])


@pytest.mark.parametrize(
    "metadata",
    [{}, {"comment": b"\xff\xe1"}, {"exif": exif(1)}, {"xmp": xmp(1)}],
    ids=["none", "comment", "exif", "xmp"],
)
def test_upright_rgb_jpeg_is_left_to_simplejpeg(metadata, decoder, tmp_path):
    path = tmp_path / "image.jpg"
    path.write_bytes(encoded(**metadata))
    image, note = images.read_image(path)
    assert (decoder.decoded, image.shape, note) == (1, PHOTOGRAPH.shape, None)


@pytest.mark.parametrize(
    "data",
    [
        encoded(kind="PNG"),
        encoded(PHOTOGRAPH[..., 0]),
        encoded(exif=exif(6)),
        encoded(xmp=xmp(6)),
    ],
    ids=["png", "gray", "turned by EXIF", "turned by XMP"],
)
def test_other_images_are_left_to_pillow(data, decoder, tmp_path, monkeypatch):
    path = tmp_path / "image"
    path.write_bytes(data)
    image, note = images.read_image(path)
    assert decoder.decoded == 0
    monkeypatch.setattr(jpeg_decoder, "simplejpeg", None)
    expected, expected_note = images.read_image(path)
    np.testing.assert_array_equal(image, expected)
    assert note == expected_note


def test_very_large_jpeg_is_left_to_pillow(decoder, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", PHOTOGRAPH[..., 0].size - 1)
    assert jpeg_decoder.decode(encoded(), lambda _: True) is None
    assert decoder.decoded == 0


def test_damaged_jpeg_is_refused_in_the_words_of_pillow(decoder, tmp_path, monkeypatch):
    path = tmp_path / "image.jpg"
    path.write_bytes(encoded()[: len(encoded()) // 2])
    with pytest.raises(UserError) as error:
        images.read_image(path)
    monkeypatch.setattr(jpeg_decoder, "simplejpeg", None)
    with pytest.raises(UserError) as expected:
        images.read_image(path)
    assert decoder.decoded == 0
    assert str(error.value) == str(expected.value)
