"""Mixtures: which source and image each position takes, by counts and by hand."""

from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from support.image_folders import coordinates, settings, take_batches, write

from jaxcorr.data import mixture, sources
from jaxcorr.data.mixture import Mixture
from jaxcorr.errors import UserError

pytestmark = pytest.mark.fast

FIVE: Any = [coordinates(number) for number in range(5)]
THREE: Any = [coordinates(number) for number in range(100, 103)]


def mixed(weights="0.7 0.3") -> Mixture:
    return Mixture([FIVE, THREE], [Fraction(weight) for weight in weights.split()])


def numbers(count: int, **options) -> np.ndarray:
    """Returns the numbers of the images of the first batches of ten crops."""
    data = settings(batch_size=10, **options.pop("changes", {}))
    batches = take_batches(count, data, mixed(), **options)
    return np.array(batches)[:, :, 0, 0, 2]


def test_the_turns_of_sources_are_known():
    assert mixture.turns((7, 3)) == [0, 1, 0, 0, 0, 1, 0, 0, 1, 0]
    assert mixture.turns((1, 1)) == [0, 1]
    assert mixture.turns((1, 2, 1)) == [1, 0, 2, 1]
    places = [mixed().place(position) for position in range(12)]
    assert places[:4] == [(0, 0), (1, 0), (0, 1), (0, 2)]
    assert places[9:] == [(0, 6), (0, 7), (1, 3)]


@pytest.mark.parametrize("counts", [(7, 3), (1, 999), (13, 8, 5), (1, 1, 1, 1)])
def test_weights_hold_exactly_in_every_window_of_a_period(counts):
    source = Mixture([FIVE] * len(counts), [Fraction(count) for count in counts])
    places = [source.place(position) for position in range(3 * sum(counts))]
    for start in (0, 1, sum(counts) // 3, 2 * sum(counts)):
        window = [place[0] for place in places[start : start + sum(counts)]]
        assert [window.count(number) for number in range(len(counts))] == list(counts)
    for number, count in enumerate(counts):
        own = [place[1] for place in places if place[0] == number]
        assert own == list(range(3 * count))


@pytest.mark.parametrize("counts", [(7, 3), (13, 8, 5), (2, 97)])
def test_no_source_is_a_turn_or_more_ahead_of_its_share(counts):
    turns = np.array(mixture.turns(counts))
    for number, count in enumerate(counts):
        taken = np.cumsum(turns == number)
        share = np.arange(1, len(turns) + 1) * count / len(turns)
        assert np.abs(taken - share).max() < 1.5


def test_each_source_has_epochs_of_its_own():
    found = numbers(10).ravel()
    for source, low, high in ((FIVE, 0, 5), (THREE, 100, 103)):
        own = found[(found >= low) & (found < high)]
        epochs = own[: len(own) // len(source) * len(source)].reshape(-1, len(source))
        np.testing.assert_array_equal(np.sort(epochs), [range(low, high)] * len(epochs))
        assert len(np.unique(epochs, axis=0)) > 1, "they are shuffled anew"
    np.testing.assert_array_equal((found.reshape(-1, 10) < 100).sum(1), [7] * 10)


def test_equal_sources_of_a_mixture_are_shuffled_differently():
    seeds = mixture.source_seeds(0, 3)
    assert len({*seeds, *mixture.source_seeds(1, 3)}) == 6
    assert mixture.source_seeds(0, 2) == seeds[:2]


def test_a_resumed_run_and_the_rows_of_processes_see_the_same_mixture():
    data = settings(batch_size=4, crops_per_image=2)
    batches = np.array(take_batches(9, data, mixed()))
    resumed = take_batches(3, data, mixed(), start=6)
    np.testing.assert_array_equal(resumed, batches[6:])
    for rows in ([0, 1], [2, 3], [3]):
        own = take_batches(3, data, mixed(), start=5, rows=rows)
        np.testing.assert_array_equal(own, batches[5:8, rows])
    assert not np.array_equal(numbers(2), numbers(2, changes={"seed": 1}))


def test_a_stage_goes_on_with_the_mixture():
    np.testing.assert_array_equal(numbers(2, skipped_images=30), numbers(5)[3:])


def test_a_mixture_of_folders_is_read(tmp_path):
    for name, number in (("a", 3), ("b+c", 9)):
        write(tmp_path / name / "x.png", coordinates(number))
    source = f"mix:1*folder:{tmp_path}/a+3*folder:{tmp_path}/b+c"
    data = settings(source=source)
    batches = np.array(take_batches(3, data, sources.training_source(data)))
    values, counts = np.unique(batches[..., 2], return_counts=True)
    assert values.tolist() == [3, 9] and counts[1] == 3 * counts[0]
    held = sources.training_source(data)
    assert (len(held), held[0][0, 0, 2], held[1][0, 0, 2]) == (2, 3, 9)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("mix:", "'' is not WEIGHT"),
        ("mix:folder:a+0.5*folder:b", "'folder:a' is not WEIGHT"),
        ("mix:1*folder:a", "a mixture needs two sources or more"),
        ("mix:0*folder:a+1*folder:b", "the weight of folder:a must be above 0"),
        ("mix:-1*folder:a+1*folder:b", "'-1.folder:a' is not WEIGHT"),
        ("mix:1*mix:1*builtin+1*builtin", "cannot hold another one, mix:1.builtin"),
        ("mix:1*folder:+1*builtin", "DataConfig.source must be builtin, folder:DIR"),
        ("mix:1*imagenet+1*builtin", "DataConfig.source must be builtin, folder:DIR"),
        ("mix:0.12345*builtin+0.87655*builtin", "repeat after 20,000 images, which"),
    ],
)
def test_a_mixture_of_another_form_is_refused_in_one_line(source, message):
    with pytest.raises(UserError, match=message) as refusal:
        settings(source=source)
    assert "\n" not in str(refusal.value)
    assert str(refusal.value).startswith("DataConfig.source must be ")


def test_a_mixture_is_no_held_out_source():
    with pytest.raises(UserError, match=r"DataConfig\.held_out must be builtin"):
        settings(held_out="mix:1*builtin+1*builtin")


def test_weights_become_the_smallest_integers():
    assert mixture.period_counts([Fraction("0.7"), Fraction("0.3")]) == (7, 3)
    assert mixture.period_counts([Fraction(2), Fraction(4)]) == (1, 2)
    assert mixture.parse(".5*tfds:a+1.5*folder:b*c+d") == [
        (Fraction(1, 2), "tfds:a"),
        (Fraction(3, 2), "folder:b*c+d"),
    ]
