"""Random changes of crops, compared with other ways to compute the same pixels."""

import itertools
import re
from typing import Any

import numpy as np
import pytest
from PIL import Image
from support.image_folders import SIZE, settings, take_batches

from jaxcorr.data import augmentation
from jaxcorr.data.augmentation import AugmentationConfig
from jaxcorr.errors import UserError

pytestmark = pytest.mark.fast

EVERYTHING = AugmentationConfig(
    scale=0.5,
    hue=180.0,
    saturation=1.0,
    gamma=1.0,
    channel_permutation=0.5,
    blur=0.5,
    synthetic=0.3,
)


def noise(height=SIZE, width=SIZE, seed=0) -> np.ndarray:
    values = np.random.default_rng(seed).integers(0, 256, (height, width, 3))
    return values.astype(np.uint8)


def augmented(count: int, crop: np.ndarray, **changes) -> np.ndarray:
    rng, config = np.random.default_rng(0), AugmentationConfig(**changes)
    return np.array(
        [
            augmentation.random_crop(
                crop, rng, size=len(crop), flip=False, config=config
            )
            for _ in range(count)
        ]
    )


@pytest.mark.parametrize("flip", [False, True])
def test_without_augmentation_pixels_and_random_numbers_are_those_of_0_2(flip):
    image = noise(100, 90)
    rng, expected_rng = np.random.default_rng(7), np.random.default_rng(7)
    for _ in range(20):
        crop = augmentation.random_crop(
            image, rng, size=SIZE, flip=flip, config=AugmentationConfig()
        )
        top, left = expected_rng.integers(37), expected_rng.integers(27)
        expected = image[top : top + SIZE, left : left + SIZE]
        if flip and expected_rng.integers(2):
            expected = np.fliplr(expected)
        np.testing.assert_array_equal(crop, expected)
    assert rng.bit_generator.state == expected_rng.bit_generator.state


def test_a_batch_with_every_change_depends_only_on_seed_and_number():
    source: Any = [noise(80, 96), noise(96, 80, seed=1), noise(200, 150, seed=2)]
    data = settings(augmentation=EVERYTHING)
    first = take_batches(6, data, source)
    resumed = take_batches(2, data, source, start=4)
    np.testing.assert_array_equal(resumed, first[4:])
    rows = take_batches(6, data, source, rows=[1, 3])
    np.testing.assert_array_equal(rows, np.array(first)[:, [1, 3]])
    assert not np.array_equal(first, take_batches(6, settings(), source))


def test_changes_of_color_keep_the_place_of_a_crop():
    source: Any = [noise(80, 96)]
    plain = take_batches(4, settings(), source)
    config = AugmentationConfig(channel_permutation=1.0)
    permuted = take_batches(4, settings(augmentation=config), source)
    np.testing.assert_array_equal(np.sort(permuted, -1), np.sort(plain, -1))
    assert not np.array_equal(permuted, plain)


def test_gamma_of_a_known_pixel():
    pixel = Image.new("RGB", (1, 1), (0, 64, 255))
    # 255 * (64 / 255)**2 = 16.06 and 255 * (64 / 255)**0.5 = 127.75
    for exponent, expected in [(2.0, (0, 16, 255)), (0.5, (0, 128, 255))]:
        changed = augmentation.apply_gamma(pixel, exponent=exponent)
        assert changed.getpixel((0, 0)) == expected


def test_gamma_is_uniform_in_octaves():
    values = augmented(2000, np.full((1, 1, 3), 128, np.uint8), gamma=1.0)[:, 0, 0, 0]
    octaves = np.log2(np.log(values / 255) / np.log(128 / 255))
    assert np.abs(octaves).max() < 1.02
    # The mean of 2000 numbers with standard deviation 0.58 is within 4 of its 0.013.
    assert abs(octaves.mean()) < 0.052
    assert octaves.std() == pytest.approx(1 / np.sqrt(3), rel=0.05)


def test_gray_stays_gray_under_hue_and_saturation():
    gray = np.repeat(np.arange(256, dtype=np.uint8), 3).reshape(16, 16, 3)
    for changed in augmented(20, gray, hue=180.0, saturation=1.0):
        np.testing.assert_array_equal(changed, gray)


@pytest.mark.parametrize(
    ("degrees", "factor"), [(0.0, 1.0), (120.0, 1.0), (-77.0, 0.4), (30.0, 1.3)]
)
def test_hue_is_a_rotation_of_the_color_differences_of_jpeg(degrees, factor):
    colors = np.random.default_rng(0).integers(96, 160, (40, 40, 3)).astype(np.uint8)
    matrix = augmentation.chroma_matrix(degrees=degrees, factor=factor)
    picture = Image.fromarray(colors)
    before, after = (
        np.asarray(x.convert("YCbCr")).astype(float)
        for x in (picture, augmentation.mix_channels(picture, matrix))
    )
    turn = factor * np.exp(1j * np.radians(degrees))
    complex_before = before[..., 1] - 128 + 1j * (before[..., 2] - 128)
    complex_after = after[..., 1] - 128 + 1j * (after[..., 2] - 128)
    # Pillow and the change each round all three channels.
    assert np.abs(after[..., 0] - before[..., 0]).max() <= 1.5
    assert np.abs(complex_after - turn * complex_before).max() <= 3


def test_saturation_of_zero_leaves_the_luma():
    image = noise()
    matrix = augmentation.chroma_matrix(degrees=90.0, factor=0.0)
    gray = np.asarray(augmentation.mix_channels(Image.fromarray(image), matrix))
    luma = image @ np.array([0.299, 0.587, 0.114])
    assert np.abs(gray - luma[..., None]).max() <= 0.501
    assert np.ptp(gray, axis=-1).max() == 0


def test_the_permutation_is_one_of_six_equally_often():
    pixel = np.array([[[10, 20, 30]]], np.uint8)
    pixels = augmented(1200, pixel, channel_permutation=1.0)[:, 0, 0]
    colors, counts = np.unique(pixels, axis=0, return_counts=True)
    expected = sorted(itertools.permutations([10, 20, 30]))
    np.testing.assert_array_equal(colors, expected)
    # 200 each, with a standard deviation of 13.
    assert counts.min() > 148 and counts.max() < 252


@pytest.mark.parametrize("kind", ["channel_permutation", "blur", "synthetic"])
def test_a_probability_is_the_share_of_changed_crops(kind):
    crop = np.indices((64, 64))[1][..., None] * np.array([1, 2, 4])
    crop = crop.astype(np.uint8)
    share = {"channel_permutation": 5 / 6}.get(kind, 1) * 0.25
    changed = augmented(400, crop, **{kind: 0.25, "blur_sigma": 8.0})
    count = np.any(changed != crop, axis=(1, 2, 3)).sum()
    assert abs(count - 400 * share) < 4 * np.sqrt(400 * share * (1 - share))


def test_a_blur_spreads_a_line_by_at_most_its_sigma():
    line = np.zeros((65, 65, 3), np.uint8)
    line[:, 32] = 255
    profiles = augmented(100, line, blur=1.0, blur_sigma=3.0)[:, 32, :, 0].astype(float)
    total = profiles.sum(1)
    offsets = np.arange(65) - 32
    sigma = np.sqrt((profiles * offsets**2).sum(1) / total)
    np.testing.assert_allclose(total, 255, atol=12)
    assert sigma.max() < 3.1 and sigma.min() < 0.5
    assert sigma.mean() == pytest.approx(1.5, abs=0.35)


def test_a_resampled_cut_is_a_part_of_the_whole_resampled_image():
    image = noise(300, 400)
    whole = np.asarray(
        Image.fromarray(image).resize((200, 150), Image.Resampling.LANCZOS)
    )
    for top, left in [(0, 0), (40, 100), (172, 272)]:
        cut = np.asarray(
            augmentation.resample(image, top=top, left=left, side=128, size=64)
        )
        row, column = top // 2, left // 2
        expected = whole[row : row + 64, column : column + 64].astype(int)
        assert np.abs(cut - expected).max() <= 1  # The order of roundings differs.


def sides(scale: float, height: int, width: int, count: int = 1000) -> np.ndarray:
    """Returns how many columns of a ramp random cuts of 64 pixels span."""
    ramp = np.zeros((height, width, 3), np.uint8)
    ramp[..., 0] = np.arange(width) * (255 / width)
    rng = np.random.default_rng(0)
    config = AugmentationConfig(scale=scale)
    cuts = [
        augmentation.random_crop(ramp, rng, size=64, flip=False, config=config)
        for _ in range(count)
    ]
    red = np.array(cuts)[:, 32, :, 0].astype(float)
    return (red[:, 60] - red[:, 3]) / 57 * 64 * width / 255


def test_the_factor_of_the_scale_is_uniform():
    factors = 64 / sides(0.3, 256, 256)
    assert 0.29 < factors.min() < 0.32 and 0.97 < factors.max() < 1.04
    # Uniform on [0.3, 1]: mean 0.65 and standard deviation 0.202.
    assert factors.mean() == pytest.approx(0.65, abs=0.026)
    assert factors.std() == pytest.approx(0.202, rel=0.06)


def test_no_photograph_becomes_smaller_than_a_crop():
    factors = 64 / sides(0.3, 80, 255, count=300)
    assert 0.78 < factors.min() < 0.83  # 64 / 80
    crop = augmented(1, noise(), scale=0.1)[0]
    np.testing.assert_array_equal(crop, noise())


@pytest.mark.parametrize(
    ("name", "value", "rule"),
    [
        ("scale", 0.0, "above 0 and up to 1, but is 0"),
        ("scale", 1.5, "above 0 and up to 1, but is 1.5"),
        ("hue", -1.0, "from 0 to 180, but is -1"),
        ("saturation", 1.1, "from 0 to 1, but is 1.1"),
        ("gamma", float("nan"), "from 0 to 3, but is nan"),
        ("channel_permutation", 2.0, "from 0 to 1, but is 2"),
        ("blur", -0.1, "from 0 to 1, but is -0.1"),
        ("blur_sigma", 0.0, "above 0 and up to 16, but is 0"),
        ("synthetic", 1.01, "from 0 to 1, but is 1.01"),
    ],
)
def test_a_strength_or_probability_out_of_range_is_refused(name, value, rule):
    message = re.escape(f"AugmentationConfig.{name} must be {rule}")
    with pytest.raises(UserError, match=f"^{message}$"):
        AugmentationConfig(**{name: value})
