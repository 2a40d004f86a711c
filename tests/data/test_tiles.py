"""Tiles of one image: where it is cut, and how it is made smaller."""

import numpy as np
import pytest
from PIL import Image
from support.image_folders import coordinates

from jaxcorr.data import stored_images, tiles
from jaxcorr.data.tiles import TileConfig
from jaxcorr.errors import UserError

pytestmark = pytest.mark.fast


@pytest.mark.parametrize(
    ("size", "tile", "rows", "columns"),
    [
        ((512, 512), 512, [512], [512]),
        ((513, 200), 512, [256, 257], [200]),
        ((100, 1365), 512, [100], [455, 455, 455]),
        ((300, 130), 64, [60] * 5, [43, 43, 44]),
        ((900, 700), 0, [900], [700]),
    ],
)
def test_sides_are_divided_into_the_fewest_equal_parts(size, tile, rows, columns):
    image = np.random.default_rng(0).integers(256, size=(*size, 3), dtype=np.uint8)
    found = list(tiles.cut(image, tile))
    assert [x.shape[:2] for x in found] == [(r, c) for r in rows for c in columns]
    stitched = [
        np.concatenate(found[start : start + len(columns)], axis=1)
        for start in range(0, len(found), len(columns))
    ]
    np.testing.assert_array_equal(np.concatenate(stitched), image)


@pytest.mark.parametrize("side", [64, 65, 127, 128, 129, 1000, 4096])
def test_no_part_of_a_side_is_shorter_than_half_a_tile(side):
    parts = [tile.shape[0] for tile in tiles.cut(np.zeros((side, 1, 3), np.uint8), 64)]
    assert sum(parts) == side
    assert max(parts) - min(parts) <= 1 and 32 <= min(parts) <= max(parts) <= 64


def test_shrinking_keeps_the_colors_of_areas_and_divides_the_sides():
    image = np.full((90, 120, 3), (10, 200, 30), np.uint8)
    smaller = tiles.shrink(image, 1.5)
    assert smaller.shape == (60, 80, 3) and (smaller == (10, 200, 30)).all()
    assert tiles.shrink(image, 1.0) is image
    ramp = coordinates(7, height=100, width=100)
    expected = np.mean(ramp.reshape(50, 2, 50, 2, 3), (1, 3))[5:-5, 5:-5]
    found = tiles.shrink(ramp, 2.0).astype(float)[5:-5, 5:-5]
    assert np.abs(found - expected).max() <= 1  # A ramp stays the same ramp.


def test_divisors_are_uniform_in_their_range_and_depend_on_number_and_seed():
    config = TileConfig(downscale=(1.5, 3.0))
    divisors = [config.divisor(number) for number in range(400)]
    assert 1.5 <= min(divisors) < 1.55 and 2.95 < max(divisors) <= 3
    assert abs(np.mean(divisors) - 2.25) < 0.1
    assert config.divisor(7) == divisors[7]
    assert TileConfig(downscale=(1.5, 3.0), seed=1).divisor(7) != divisors[7]
    assert TileConfig(downscale=(2.0, 2.0)).divisor(7) == 2
    assert TileConfig().divisor(7) == 1


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"tile": 63}, "--tile must be 0 or from 64, but is 63"),
        ({"min_side": 0}, "--min-side must be at least 1, but is 0"),
        ({"downscale": (0.5, 1.0)}, "--downscale must be from 1 to 64 and ascend, but"),
        ({"downscale": (3.0, 2.0)}, "ascend, but is 3 2"),
        ({"seed": -1}, r"--seed must be in \[0, 2\*\*32\), but is -1"),
        ({"jpeg": 20}, r"--jpeg must be 0 or from 50 to 100, but is 20"),
    ],
)
def test_settings_out_of_range_are_refused(changes, message):
    with pytest.raises(UserError, match=message):
        TileConfig(**changes)


@pytest.mark.parametrize("size", [(1, 1), (65, 64), (2, 16384)])
def test_encoding_loses_nothing(size):
    image = np.random.default_rng(0).integers(256, size=(*size, 3), dtype=np.uint8)
    encoded = stored_images.encode(image)
    np.testing.assert_array_equal(stored_images.decode(encoded, name="x"), image)


def test_an_image_with_few_colors_or_gray_is_encoded_without_loss():
    for image in (coordinates(0), np.full((64, 64, 3), 77, np.uint8)):
        encoded = stored_images.encode(image)
        np.testing.assert_array_equal(stored_images.decode(encoded, name="x"), image)


def test_an_encoded_tile_that_is_damaged_is_named():
    encoded = stored_images.encode(coordinates(0))
    for damaged in (encoded[: len(encoded) // 2], b"", b"text"):
        with pytest.raises(UserError, match=r"^record 7 "):
            stored_images.decode(damaged, name="record 7")


def test_only_portable_files_are_stored_as_they_are(tmp_path):
    image = Image.fromarray(coordinates(3))
    for name, is_kept in {"a.png": True, "b.jpg": True, "c.bmp": False}.items():
        image.save(tmp_path / name)
        pixels, encoded = stored_images.read_file(tmp_path / name)
        assert pixels.shape == (80, 96, 3)
        assert encoded == ((tmp_path / name).read_bytes() if is_kept else None)
