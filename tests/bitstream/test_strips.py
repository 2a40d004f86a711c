"""Coding in strips and windows gives what coding the whole image at once gives."""

import dataclasses
import itertools

import numpy as np
import pytest
from support import codecs

import jaxcorr
from jaxcorr.bitstream import coding, memory, planes
from jaxcorr.bitstream.container import VERSION, Arithmetic
from jaxcorr.bitstream.grid import ReproducibleGrid, UnsafeRounding
from jaxcorr.context import strips
from jaxcorr.context.strips import CodingLayout, Rows
from jaxcorr.errors import UserError
from jaxcorr.transforms.cheng import Cheng
from jaxcorr.transforms.swin import Swin

HEIGHT, WIDTH = 330, 150
QUICK = [
    ("minnen", "checkerboard"),
    ("minnen", "autoregressive"),
    ("cheng", "channelwise"),
]
COMBINATIONS = [
    pytest.param(pair, marks=[] if pair in QUICK else pytest.mark.slow)
    for pair in itertools.product(codecs.TRANSFORMS, codecs.CONTEXTS)
]


def in_strips(monkeypatch, *, strip=8, pixels=128 * 160):
    monkeypatch.setattr(planes, "STRIP", strip)
    for module in (strips, planes):
        monkeypatch.setattr(module, "COLUMNS", 8)
    monkeypatch.setattr(memory, "LARGEST_WINDOW", pixels)


@pytest.mark.parametrize("combination", COMBINATIONS, ids="-".join)
def test_strips_and_windows_change_neither_latents_nor_the_picture(
    monkeypatch, combination
):
    model = codecs.make_combination(*combination)
    image = codecs.blocks(HEIGHT, WIDTH)
    whole, latents = coding.encode(model, image)
    expected, _ = coding.decode(model, whole)
    in_strips(monkeypatch)
    container, in_parts = coding.encode(model, image)
    picture, decoded = coding.decode(model, container)
    np.testing.assert_array_equal(decoded.latent_hat, in_parts.latent_hat)
    # The float32 analysis may round a latent in a thousand otherwise.
    changed = np.mean(in_parts.symbols != latents.symbols)
    assert changed < 1e-3 and np.unique(latents.symbols).size > 4
    difference = np.abs(picture.astype(int) - expected)
    assert np.mean(difference > 1) < 0.01 and expected.std() > 1
    payloads = len(container.y_payload), len(whole.y_payload)
    assert payloads[0] - payloads[1] <= 16


def test_a_last_strip_may_have_rows_of_later_passes_alone(monkeypatch):
    in_strips(monkeypatch)
    model = codecs.make_combination("minnen", "checkerboard")
    image = codecs.blocks(23 * 16, WIDTH)
    container, latents = coding.encode(model, image)
    assert len(container.y_payload) > 3 and latents.symbols.shape[0] == 23
    _, decoded = coding.decode(model, container)
    np.testing.assert_array_equal(decoded.latent_hat, latents.latent_hat)
    monkeypatch.undo()
    _, whole = coding.encode(model, image)
    assert np.mean(whole.symbols != latents.symbols) < 1e-3


@pytest.mark.parametrize(
    "transforms", ["minnen", pytest.param("swin", marks=pytest.mark.slow)]
)
def test_side_information_in_windows_of_columns_gives_the_same_features(
    monkeypatch, transforms
):
    model = codecs.make_combination(transforms, "none")
    image = codecs.blocks(140, 700)
    in_strips(monkeypatch)
    container, latents = coding.encode(model, image)
    monkeypatch.setattr(planes, "COLUMNS", 2**10)
    _, decoded = coding.decode(model, container)
    np.testing.assert_array_equal(decoded.latent_hat, latents.latent_hat)


def test_a_file_decodes_alike_with_windows_of_any_size(monkeypatch, tiny_model):
    image = codecs.blocks(HEIGHT, WIDTH)
    for arithmetic in Arithmetic:
        in_strips(monkeypatch)
        container, latents = coding.encode(tiny_model, image, arithmetic=arithmetic)
        pictures = []
        for pixels in (128 * 160, 256 * 256, 2**20):
            in_strips(monkeypatch, pixels=pixels)
            picture, decoded = coding.decode(tiny_model, container)
            np.testing.assert_array_equal(decoded.latent_hat, latents.latent_hat)
            pictures.append(picture.astype(int))
        for picture in pictures[1:]:
            assert np.abs(picture - pictures[0]).max() <= 1


def test_a_strip_that_is_not_safe_is_coded_again_with_another_offset(
    monkeypatch, tiny_model
):
    class UnsafeInSecondPass(ReproducibleGrid):
        def round_means(self, mean):
            passes.append(mean)
            if len(passes) == 2:
                raise UnsafeRounding
            return super().round_means(mean)

    class Unlucky(coding.SymbolEncoder):
        def grids(self, strip):
            for grid in super().grids(strip):
                is_unsafe = strip == 1 and grid.offset == 0
                yield UnsafeInSecondPass() if is_unsafe else grid

    passes = []
    in_strips(monkeypatch)
    model = codecs.make_combination("minnen", "checkerboard")
    image = codecs.blocks(HEIGHT, WIDTH)
    safe, _ = coding.encode(model, image)
    assert list(safe.y_payload[:2]) == [0, 0]
    monkeypatch.setattr(coding, "SymbolEncoder", Unlucky)
    container, latents = coding.encode(model, image)
    assert list(container.y_payload[:2]) == [1, 0] and len(passes) == 2
    _, decoded = coding.decode(model, container)
    np.testing.assert_array_equal(decoded.latent_hat, latents.latent_hat)


def test_a_payload_that_ends_in_the_offsets_is_refused(monkeypatch, tiny_model):
    in_strips(monkeypatch)
    container, _ = coding.encode(tiny_model, codecs.blocks(HEIGHT, WIDTH))
    damaged = dataclasses.replace(container, y_payload=b"\0")
    with pytest.raises(UserError, match="ends in the offsets of strips"):
        coding.decode(tiny_model, damaged)


def test_large_images_are_coded_in_strips_of_64_latents(tiny_model):
    image = codecs.blocks(1040, 16)
    data = jaxcorr.compress(image, tiny_model)
    container = coding.Container.from_bytes(data, "photo.jxc")
    layout = coding._planes(tiny_model, image.shape[:2], 2, None).layout
    assert layout.num_strips() == 2 and container.y_payload[0] == 0
    np.testing.assert_array_equal(
        jaxcorr.decompress(data, tiny_model).shape, image.shape
    )


@pytest.mark.fast
def test_strips_of_later_passes_are_skewed_and_cover_all_rows():
    layout = CodingLayout(coded=(21, 5), extent=(24, 8), canvas=(24, 8), strip=8)
    assert layout.num_strips() == 3 and layout.num_strips(skew=4) == 4
    assert [layout.rows(strip) for strip in range(3)] == [(0, 8), (8, 16), (16, 21)]
    rows = [layout.rows(strip, skew=3) for strip in range(3)]
    assert rows == [(0, 5), (5, 13), (13, 21)]
    assert layout.window(2, 5) == (3, 12)


@pytest.mark.fast
def test_rows_are_computed_once_and_forgotten():
    array, computed = np.arange(60.0).reshape(20, 3, 1), []

    def compute(index):
        computed.append(index)
        return array[slice((0, 6, 12)[index], (6, 12, 20)[index])]

    rows = Rows([6, 12, 20], compute).map(lambda piece: 2 * piece)
    np.testing.assert_array_equal(rows.window(0, 8), 2 * array[:8])
    np.testing.assert_array_equal(rows.window(4, 10), 2 * array[4:14])
    assert computed == [0, 1, 2]
    rows.forget(12)
    padded = rows.window(15, 8)
    np.testing.assert_array_equal(padded[:5], 2 * array[15:])
    assert not padded[5:].any() and computed == [0, 1, 2]
    rows.window(7, 4)
    assert computed == [0, 1, 2, 1]


def test_memory_bounds_the_windows_and_too_little_is_refused_by_name(tiny_model):
    transforms = tiny_model.config.transforms
    sizes = [
        memory.window_pixels(Cheng(width=128), (4000, 6000), int(budget * 1e9))
        for budget in (1.3, 1.5, 2, 4)
    ]
    assert sizes == sorted(sizes) and sizes[0] < sizes[-1] == memory.LARGEST_WINDOW
    assert memory.window_pixels(transforms, (4000, 6000), None) >= 2**16
    with pytest.raises(UserError, match=r"needs 1\d\.\d GB with this model"):
        memory.window_pixels(Swin(), (4000, 6000), 10**10)  # Its networks reach far.
    image = codecs.blocks(40, 40)
    message = r"image of 40 x 40 pixels needs 0\.6 GB with .* limited to 0\.1 GB"
    with pytest.raises(UserError, match=message):
        jaxcorr.compress(image, tiny_model, memory="100MB")
    data = jaxcorr.compress(image, tiny_model, memory="1GB")
    assert data == jaxcorr.compress(image, tiny_model)
    with pytest.raises(UserError, match=r"a\.jxc of 40 x 40 pixels needs"):
        jaxcorr.decompress(data, tiny_model, memory=10**8, name="a.jxc")


@pytest.mark.parametrize("arithmetic", Arithmetic)
def test_a_file_of_several_strips_decodes_alike_with_three_budgets(
    tiny_model, arithmetic
):
    image = codecs.blocks(1300, 1040)
    transforms = tiny_model.config.transforms
    arrays = memory._arrays(transforms, image.shape[:2])
    budgets = [arrays + megabytes * 10**6 for megabytes in (10, 20, 40)]
    plans = [
        coding._planes(tiny_model, image.shape[:2], VERSION, budget)
        for budget in budgets
    ]
    assert plans[0].layout.num_strips() == 2
    assert len({plan.synthesis for plan in plans}) == 3
    container, latents = coding.encode(
        tiny_model, image, arithmetic=arithmetic, memory=budgets[1]
    )
    pictures = []
    for budget in budgets:
        picture, decoded = coding.decode(tiny_model, container, memory=budget)
        np.testing.assert_array_equal(decoded.latent_hat, latents.latent_hat)
        pictures.append(picture.astype(int))
    for picture in pictures[1:]:
        assert np.abs(picture - pictures[0]).max() <= 1
