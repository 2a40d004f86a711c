import dataclasses
import multiprocessing
from typing import Any

import numpy as np
import pytest
from support.image_folders import SIZE, coordinates, settings, take_batches, write

from jaxcorr.data import pipeline
from jaxcorr.data.augmentation import AugmentationConfig

SOURCE: Any = [coordinates(number) for number in range(3)]


@pytest.mark.fast
def test_a_batch_depends_only_on_seed_and_number():
    first = take_batches(6, settings(), SOURCE)
    np.testing.assert_array_equal(
        take_batches(2, settings(), SOURCE, start=4), first[4:]
    )
    assert not np.array_equal(take_batches(1, settings(seed=1), SOURCE)[0], first[0])


def test_workers_read_the_same_batches():
    changes = AugmentationConfig(scale=0.8, hue=90.0, synthetic=0.3)
    data = settings(augmentation=changes, crops_per_image=2)
    expected = take_batches(5, data, SOURCE, start=2)
    for workers in (1, 2):
        own = dataclasses.replace(data, workers=workers)
        iterator = pipeline.batches(SOURCE, own, start=2)
        batches = [next(iterator) for _ in range(5)]
        assert len(multiprocessing.active_children()) == workers
        iterator.close()
        assert not multiprocessing.active_children()
        np.testing.assert_array_equal(batches, expected)


@pytest.mark.fast
@pytest.mark.parametrize("rows", [[0, 1], [1, 3], [2]])
def test_a_process_reads_its_rows_of_each_batch(rows):
    batches = np.array(take_batches(3, settings(batch_size=4), SOURCE))
    own = take_batches(3, settings(batch_size=4), SOURCE, rows=rows)
    np.testing.assert_array_equal(own, batches[:, rows])


@pytest.mark.fast
def test_batches_hold_one_crop():
    batches = take_batches(4, settings(batch_size=1), SOURCE)
    pairs = np.reshape(batches, (2, 2, *np.shape(batches)[2:]))
    np.testing.assert_array_equal(
        pairs, take_batches(2, settings(batch_size=2), SOURCE)
    )


class CountedReads(list):
    reads = 0

    def __getitem__(self, index):
        self.reads += 1
        return super().__getitem__(index)


@pytest.mark.fast
def test_several_crops_of_an_image_are_in_consecutive_batches():
    source: Any = CountedReads(coordinates(number) for number in range(8))
    data = settings(crops_per_image=3)
    batches = np.array(take_batches(6, data, source))
    numbers = batches[:, :, 0, 0, 2]
    np.testing.assert_array_equal(numbers[:3], numbers[[0] * 3])
    np.testing.assert_array_equal(numbers[3:], numbers[[3] * 3])
    # One epoch: two groups of three batches show each of eight images.
    np.testing.assert_array_equal(np.sort(numbers[[0, 3]].ravel()), range(8))
    crops = batches.reshape(24, -1)
    assert len(np.unique(crops, axis=0)) > 20
    with_one = take_batches(2, settings(), source)
    np.testing.assert_array_equal(batches[[0, 3]], with_one)


@pytest.mark.fast
def test_several_crops_of_an_image_read_it_once(monkeypatch):
    monkeypatch.setattr(pipeline.runtime, "usable_threads", lambda: 1)
    source: Any = CountedReads(coordinates(number) for number in range(8))
    take_batches(10, settings(crops_per_image=5), source)
    # Two groups of four images, and some of one that is read ahead.
    assert 8 <= source.reads <= 12


@pytest.mark.fast
@pytest.mark.parametrize("start", [1, 3, 5])
def test_a_batch_of_several_crops_of_images_depends_only_on_its_number(start):
    data = settings(crops_per_image=3)
    expected = np.array(take_batches(7, data, SOURCE))
    resumed = take_batches(2, data, SOURCE, start=start)
    np.testing.assert_array_equal(resumed, expected[start : start + 2])
    rows = take_batches(2, data, SOURCE, start=start, rows=[1, 2])
    np.testing.assert_array_equal(rows, expected[start : start + 2, 1:3])


@pytest.mark.fast
def test_a_stage_goes_on_after_the_images_of_the_stage_before_it():
    data = settings(crops_per_image=3, batch_size=2)
    assert data.num_images(7, batch_size=2) == 6
    source: Any = [coordinates(number) for number in range(12)]
    skipped = take_batches(1, data, source, skipped_images=6)
    np.testing.assert_array_equal(skipped, take_batches(10, data, source)[9:])


@pytest.mark.parametrize("flip", [False, True])
def test_crops_are_parts_of_images_and_half_are_mirrored_with_flip(flip):
    crops = np.concatenate(take_batches(25, settings(flip=flip), SOURCE))
    mirrored = crops[:, 0, 0, 1] > crops[:, 0, 1, 1]
    upright = np.where(mirrored[:, None, None, None], crops[:, :, ::-1], crops)
    for crop in upright:
        top, left, number = crop[0, 0].astype(int)
        image = coordinates(number)
        expected = image[top : top + SIZE, left : left + SIZE]
        np.testing.assert_array_equal(crop, expected)
    # 100 fair coins: 30 to 70 heads but once in 20,000 seeds, and the seed is fixed.
    assert 30 <= mirrored.sum() <= 70 if flip else mirrored.sum() == 0
    assert {0, 16} <= set(upright[:, 0, 0, 0]), "both edges are reached"


def test_an_epoch_has_a_new_crop_of_every_image():
    crops = np.concatenate(take_batches(6, settings(batch_size=3), SOURCE))
    numbers = crops[:, 0, 0, 2].reshape(6, 3)
    np.testing.assert_array_equal(np.sort(numbers), [[0, 1, 2]] * 6)
    assert len(np.unique(numbers, axis=0)) > 1
    places = {tuple(crop[0, 0]) for crop in crops}
    assert len(places) > 12


def test_held_out_crops_are_centered_then_spread_over_images(tmp_path):
    for number in range(5):
        write(tmp_path / f"{number}.png", coordinates(number))
    data = settings(held_out=f"folder:{tmp_path}", held_out_images=0, held_out_crops=3)
    crops, whole = pipeline.read_held_out(data)
    np.testing.assert_array_equal(crops[:, 0, 0], [[8, 16, 0], [8, 16, 2], [8, 16, 4]])
    assert not whole
    more, _ = pipeline.read_held_out(dataclasses.replace(data, held_out_crops=20))
    np.testing.assert_array_equal(more[:, 0, 0, 2], [0, 1, 2, 3, 4] * 4)
    assert len({tuple(crop[0, 0]) for crop in more}) == 20


@pytest.mark.fast
def test_held_out_images_are_whole_and_spread_but_cut_if_they_are_large(
    tmp_path, monkeypatch
):
    for number in range(5):
        write(tmp_path / f"{number}.png", coordinates(number))
    data = settings(held_out=f"folder:{tmp_path}", held_out_images=2, held_out_crops=3)
    crops, whole = pipeline.read_held_out(data)
    expected = [coordinates(0), coordinates(4)]
    np.testing.assert_array_equal(whole, expected)
    np.testing.assert_array_equal(crops[:, 0, 0, 2], [0, 4, 0])
    all_images = pipeline.read_held_out(dataclasses.replace(data, held_out_images=9))[1]
    assert len(all_images) == 5

    height, width = expected[0].shape[:2]
    monkeypatch.setattr(pipeline, "LARGEST_SIDE", height + 2)
    left = (width - height - 2) // 2
    _, cut = pipeline.read_held_out(data)
    np.testing.assert_array_equal(cut[0], expected[0][:, left : left + height + 2])
    monkeypatch.setattr(pipeline, "LARGEST_SIDE", 1)  # A crop still fits.
    np.testing.assert_array_equal(pipeline.read_held_out(data)[1][0], crops[0])
