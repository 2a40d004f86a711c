import os
import re
import struct
import zlib

import jax.numpy as jnp
import numpy as np
import pytest
from PIL import ExifTags, Image
from support.codecs import blocks

from jaxcorr import images
from jaxcorr.errors import UserError

pytestmark = pytest.mark.fast

RGB = blocks(24, 40)
GRAY = RGB[:, :, 0]
DEEP = GRAY.astype(np.uint16) * 200 + 3
"""A gray image in 16 bits."""


def saved(path, image, **options):
    """Writes an image (an array or of Pillow), and returns its path."""
    if isinstance(image, np.ndarray):
        image = Image.fromarray(image)
    image.save(path, **options)
    return path


def half_transparent():
    return np.dstack([RGB, np.where(np.arange(40) < 20, 0, 255) + 0 * GRAY]).astype(
        np.uint8
    )


@pytest.mark.parametrize("ending", [".png", ".bmp", ".ppm", ".tiff", ".PNG"])
def test_an_rgb_image_is_read_as_it_is(tmp_path, ending):
    image, note = images.read_image(saved(tmp_path / f"photo{ending}", RGB))
    assert np.array_equal(image, RGB)
    assert note is None


GRAY_RGB = np.dstack([GRAY] * 3)
OVER_WHITE = np.where(np.arange(40)[:, None] < 20, 255, RGB)
BLACK_AND_WHITE = np.where(GRAY_RGB < 128, 0, 255)
CONVERTED = {
    "gray": (GRAY, GRAY_RGB, None),
    "deep": (DEEP, np.dstack([np.rint(DEEP / 257)] * 3), "16 bits rounded to 8"),
    "black": (Image.fromarray(BLACK_AND_WHITE[..., 0] > 0), BLACK_AND_WHITE, None),
    "palette": (Image.fromarray(RGB).quantize(256), RGB, None),
    "clear": (half_transparent(), OVER_WHITE, "transparency laid over white"),
}


@pytest.mark.parametrize("kind", CONVERTED)
def test_other_modes_of_png_are_read_and_what_is_lost_is_said(tmp_path, kind):
    given, expected, change = CONVERTED[kind]
    path = saved(tmp_path / "photo.png", given)
    image, note = images.read_image(path)
    assert np.array_equal(image, expected)
    assert note == (f"{path}: {change}" if change else None)


def test_cmyk_is_converted(tmp_path):
    path = saved(tmp_path / "photo.tiff", Image.fromarray(RGB).convert("CMYK"))
    image, note = images.read_image(path)
    assert np.abs(image.astype(int) - RGB).max() <= 1
    assert note == f"{path}: CMYK without a profile converted to RGB"


def test_16_bit_rgb_is_converted(tmp_path):
    """Pillow reads 16-bit RGB as 8 bits, without a warning, and cannot write it."""
    path = tmp_path / "photo.png"
    path.write_bytes(deep_png(RGB.astype(">u2") * 257))
    image, note = images.read_image(path)
    assert np.array_equal(image, RGB)
    assert note == f"{path}: 16 bits rounded to 8"


def deep_png(image):
    """Returns the bytes of a PNG file of 16-bit RGB."""
    height, width, _ = image.shape

    def chunk(data):
        return (
            struct.pack(">I", len(data) - 4)
            + data
            + struct.pack(">I", zlib.crc32(data))
        )

    header = struct.pack(">4sIIBBBBB", b"IHDR", width, height, 16, 2, 0, 0, 0)
    rows = b"".join(b"\0" + row.tobytes() for row in image)
    chunks = header, b"IDAT" + zlib.compress(rows), b"IEND"
    return b"\x89PNG\r\n\x1a\n" + b"".join(map(chunk, chunks))


def test_an_image_is_turned_as_its_exif_data_says(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # Rows are stored as columns, to be turned right by 90 degrees.
    path = saved(tmp_path / "photo.png", np.rot90(RGB).copy(), exif=exif)
    image, note = images.read_image(path)
    assert np.array_equal(image, RGB)
    assert note == f"{path}: turned upright as its EXIF data says"


def test_transparency_of_a_color_is_laid_over_white(tmp_path):
    color = tuple(int(value) for value in RGB[0, 0])
    path = saved(tmp_path / "photo.png", RGB, transparency=color)
    image, note = images.read_image(path)
    is_transparent = np.all(color == RGB, axis=-1, keepdims=True)
    assert np.array_equal(image, np.where(is_transparent, 255, RGB))
    assert note == f"{path}: transparency laid over white"


@pytest.mark.parametrize(
    ("values", "rule"),
    [
        (GRAY.astype(np.float32) / 255, "floating-point numbers of no known range"),
        (GRAY.astype(np.int32), "its values are signed numbers of no known range"),
    ],
)
def test_values_of_no_known_range_are_refused(tmp_path, values, rule):
    path = saved(tmp_path / "photo.tiff", values)
    with pytest.raises(UserError, match=rule):
        images.read_image(path)


def test_files_that_are_not_images_are_refused_by_name(tmp_path):
    (tmp_path / "empty.png").touch()
    (tmp_path / "text.png").write_text("hello")
    intact = saved(tmp_path / "photo.png", RGB).read_bytes()
    (tmp_path / "cut.png").write_bytes(intact[: len(intact) // 2])
    for name, message in {
        "empty.png": " is empty$",
        "text.png": " is not an image$",
        "cut.png": " cannot be read as an image: .*(truncated|broken)",
        "missing.png": " cannot be read as an image: No such file or directory$",
        ".": " cannot be read as an image: Is a directory$",
    }.items():
        path = tmp_path / name
        with pytest.raises(UserError, match=re.escape(str(path)) + message):
            images.read_image(path)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "TIFF", "WebP", "GIF", "BMP", "PPM"])
def test_damaged_images_are_read_or_refused(tmp_path, kind):
    rng = np.random.default_rng(0)
    path = tmp_path / f"photo.{kind.lower()}"
    intact = saved(path, RGB).read_bytes()
    for _ in range(60):
        data = bytearray(intact)
        for index in rng.integers(0, min(len(data), 300), 3):
            data[index] = rng.integers(256)
        path.write_bytes(bytes(data))
        try:
            images.read_image(path)
        except UserError as error:
            assert "\n" not in str(error)
        except Warning:
            pass  # Pillow may warn and read the image anyway.


def test_images_are_found_at_any_depth_in_order(tmp_path):
    for name in ("b.png", "a.JPG", "notes.txt", "below/c.webp", "d.png/e.tif"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    paths = [str(path.relative_to(tmp_path)) for path in images.find_images(tmp_path)]
    assert paths == ["a.JPG", "b.png", "below/c.webp", "d.png/e.tif"]


def test_a_directory_that_is_missing_or_empty_is_refused(tmp_path):
    with pytest.raises(UserError, match=r"nowhere is not a directory"):
        images.find_images(tmp_path / "nowhere")
    with pytest.raises(UserError, match=r"holds no image \(looked for .*\.png"):
        images.find_images(tmp_path)


@pytest.mark.parametrize("ending", [".png", ".jpg", ".webp", ".TIFF"])
def test_an_image_is_written_in_the_format_of_its_name(tmp_path, ending):
    images.write_image(tmp_path / f"photo{ending}", RGB)
    with Image.open(tmp_path / f"photo{ending}") as opened:
        kind = {".jpg": "JPEG", ".tiff": "TIFF"}.get(ending.lower(), ending[1:].upper())
        assert (opened.format, opened.size) == (kind, (40, 24))


@pytest.mark.parametrize("name", ["photo", "photo.jxc", "photo.pdf", "photo.txt"])
def test_a_name_without_an_image_extension_is_refused(tmp_path, name):
    with pytest.raises(UserError, match=f"{name} must end like an image that can be"):
        images.write_image(tmp_path / name, RGB)
    assert os.listdir(tmp_path) == []


def test_an_image_too_large_for_its_format_is_refused(tmp_path):
    with pytest.raises(UserError, match=r"cannot write .*wide\.webp: "):
        images.write_image(tmp_path / "wide.webp", np.zeros((1, 20_000, 3), np.uint8))
    assert os.listdir(tmp_path) == []


def test_gray_arrays_become_rgb_and_transparency_is_laid_over_white():
    gray = np.arange(6, dtype=np.uint8).reshape(2, 3)
    for array in (gray, gray[..., None]):
        np.testing.assert_array_equal(images.to_rgb(array), np.dstack([gray] * 3))
    clear = np.zeros((2, 3, 4), np.uint8)
    np.testing.assert_array_equal(images.to_rgb(clear), np.full((2, 3, 3), 255))
    np.testing.assert_array_equal(images.to_rgb(clear / 1.0), np.full((2, 3, 3), 255))


def test_floating_point_values_are_rounded_to_8_bits():
    values = np.array([[0.0, 1.0, 0.5 / 255 - 1e-6, 0.5 / 255 + 1e-6]])
    np.testing.assert_array_equal(images.to_rgb(values)[..., 0], [[0, 255, 0, 1]])
    half = jnp.asarray(values, jnp.bfloat16)
    np.testing.assert_array_equal(images.to_rgb(half)[..., 0], [[0, 255, 0, 1]])


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (
            np.ones((8, 8, 3)) * 255,
            r"must lie in \[0, 1\], but they lie in \[255, 255\]",
        ),
        (-np.ones((8, 8)), r"in \[-1, -1\]: divide by 255, or clip"),
        (np.full((8, 8), np.nan), r"must lie in \[0, 1\]"),
        (np.zeros((8, 8), np.int64), r"but holds int64: convert it, for example by"),
        (np.zeros((8, 8), bool), "but holds bool: convert it"),
        (np.zeros((3, 8, 8)), r"but has shape \[3, 8, 8\]$"),
        (np.zeros((1, 8, 8, 3)), r"shape \[1, 8, 8, 3\]; give a batch as a list"),
        (np.zeros(8), r"shape \[8\]$"),
        (np.zeros((0, 8, 3)), r"has no pixels: its shape is \[0, 8, 3\]"),
    ],
)
def test_other_arrays_are_refused_with_their_remedy(image, message):
    with pytest.raises(UserError, match=f"^the image .*{message}") as error:
        images.to_rgb(image)
    assert "\n" not in str(error.value)


def test_an_image_of_pillow_is_read_as_its_file_is(tmp_path):
    path = tmp_path / "turned.jpg"
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    Image.fromarray(RGB).save(path, exif=exif)
    expected, note = images.read_image(path)
    assert note is not None and expected.shape[:2] == RGB.shape[1::-1]
    with Image.open(path) as opened:
        np.testing.assert_array_equal(images.to_rgb(opened), expected)
    path.write_bytes(path.read_bytes()[:-60])
    with (
        Image.open(path) as opened,
        pytest.raises(UserError, match=r"^the image cannot be read as an image: "),
    ):
        images.to_rgb(opened)
