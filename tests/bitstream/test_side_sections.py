"""A file keeps opacity, gray and metadata beside the coded pixels."""

import tracemalloc
import zlib

import numpy as np
import pytest
from PIL import Image
from support.codecs import blocks

from jaxcorr.bitstream import side_sections
from jaxcorr.bitstream.compression import compress, decompress, keeps_metadata
from jaxcorr.bitstream.container import Container
from jaxcorr.bitstream.sections import Section
from jaxcorr.errors import UserError
from jaxcorr.images import Metadata, Picture

pytestmark = pytest.mark.fast

RGB = blocks(17, 33)
DISK = np.hypot(*np.ogrid[-8:9, -16:17]) * 20
ALPHA = np.clip(300 - DISK, 0, 255).astype(np.uint8)
NOISE = np.random.default_rng(0).integers(0, 256, ALPHA.shape, np.uint8)


@pytest.mark.parametrize("alpha", [ALPHA, NOISE, 0 * ALPHA, ALPHA[:1], ALPHA[:, :1]])
def test_opacity_is_kept_without_loss(alpha):
    content = side_sections.compress_alpha(alpha)
    found = side_sections.decompress_alpha(content, alpha.shape, "a.jxc")
    np.testing.assert_array_equal(found, alpha)


def test_a_mask_takes_no_more_bytes_than_in_png(tmp_path):
    distance = np.hypot(*np.ogrid[-128:128, -128:128])
    alpha = np.clip(64 * (100 - distance), 0, 255).astype(np.uint8)
    Image.fromarray(alpha).save(tmp_path / "alpha.png", optimize=True)
    size = (tmp_path / "alpha.png").stat().st_size
    assert len(side_sections.compress_alpha(alpha)) <= size


def test_opacity_that_claims_to_be_large_takes_no_memory():
    content = b"\0" + zlib.compress(bytes(2**26))
    tracemalloc.start()
    with pytest.raises(UserError, match=r"a\.jxc is damaged: its transparency has an"):
        side_sections.decompress_alpha(content, (8, 8), "a.jxc")
    assert tracemalloc.get_traced_memory()[1] < 2**20
    tracemalloc.stop()


@pytest.mark.parametrize(
    "content", [b"", b"\3" + zlib.compress(bytes(64)), b"\0text", b"\0"]
)
def test_damaged_opacity_is_refused(content):
    with pytest.raises(UserError, match=r"^a\.jxc is damaged: its transparency"):
        side_sections.decompress_alpha(content, (8, 8), "a.jxc")


def test_an_opaque_picture_in_color_has_no_sections():
    assert side_sections.pack(Picture(rgb=RGB)) == {}


def test_a_picture_survives_its_sections():
    metadata = Metadata(exif=b"II*\0", xmp=b"<x/>", icc=b"profile")
    given = Picture(rgb=RGB, alpha=ALPHA, metadata=metadata)
    found = side_sections.unpack(side_sections.pack(given), RGB, "a.jxc")
    np.testing.assert_array_equal(found.alpha, ALPHA)
    assert found.metadata == metadata and not found.is_gray


def test_a_gray_array_decodes_to_gray(tiny_model):
    data = compress(RGB[..., 0], tiny_model)
    assert Container.from_bytes(data, "").sections == {Section.GRAY: b""}
    image = decompress(data, tiny_model, as_pillow=True)
    assert image.mode == "L"
    np.testing.assert_array_equal(
        decompress(data, tiny_model), np.dstack([np.asarray(image)] * 3)
    )


def test_opacity_comes_back_and_an_array_is_laid_over_white(tiny_model):
    data = compress(np.dstack([RGB, ALPHA]), tiny_model)
    image = decompress(data, tiny_model, as_pillow=True)
    assert image.mode == "RGBA"
    np.testing.assert_array_equal(np.asarray(image)[..., 3], ALPHA)
    assert (np.asarray(image)[ALPHA == 0] == (255, 255, 255, 0)).all()
    white = Image.new("RGBA", image.size, "white")
    white.alpha_composite(image)
    expected = np.asarray(white.convert("RGB"))
    np.testing.assert_array_equal(decompress(data, tiny_model), expected)


def test_an_opaque_array_with_opacity_is_as_one_without(tiny_model):
    opaque = np.dstack([RGB, 0 * ALPHA + 255])
    assert compress(opaque, tiny_model) == compress(RGB, tiny_model)


def test_a_background_replaces_the_opacity(tiny_model):
    clear = np.zeros((17, 33, 4), np.uint8)
    expected = np.zeros((17, 33, 3), np.uint8) + np.array([255, 0, 16], np.uint8)
    data = compress(clear, tiny_model, background="#ff0010")
    assert data == compress(expected, tiny_model)
    with pytest.raises(UserError, match="background must be a color, as in white or"):
        compress(clear, tiny_model, background="whitish")


def test_a_section_counts_for_a_target_of_the_size(tiny_model):
    noisy = np.dstack([RGB, NOISE])
    data = compress(noisy, tiny_model)
    assert compress(noisy, tiny_model, size=len(data)) == data
    with pytest.raises(UserError, match="no model codes the image in at most"):
        compress(noisy, tiny_model, size=len(data) - 1)


def test_metadata_are_dropped_or_kept_and_nothing_else():
    assert keeps_metadata("keep") and not keeps_metadata("drop")
    with pytest.raises(UserError, match="metadata must be drop or keep, but is 'all'"):
        keeps_metadata("all")
