import numpy as np
import pytest

from jaxcorr.bitstream.grid import MEAN_STEPS, OFFSETS, ReproducibleGrid, UnsafeRounding
from jaxcorr.entropy import tables

pytestmark = pytest.mark.fast

MIDDLES = np.sqrt(tables.SCALES[1:] * tables.SCALES[:-1])
"""Boundaries between scale classes."""


def random_means(rng):
    return rng.normal(0, 1, 20_000) * 10.0 ** rng.integers(-3, 4, 20_000)


def random_scales(rng):
    return np.exp(rng.uniform(np.log(0.11), np.log(2000), 20_000))


@pytest.mark.parametrize("offset", [0, 1, 100, 255])
def test_a_mean_is_rounded_to_the_nearest_point_of_the_shifted_grid(offset):
    mean = random_means(np.random.default_rng(0))
    rounded = ReproducibleGrid(offset=offset).round_means(mean)
    points = rounded * MEAN_STEPS - offset / OFFSETS
    assert np.array_equal(points, np.rint(points))
    assert np.abs(rounded - mean).max() <= 0.5 / MEAN_STEPS


def test_sums_of_rounded_means_and_symbols_are_exact_in_float64():
    mean = random_means(np.random.default_rng(1))
    y_hat = ReproducibleGrid(offset=37).round_means(mean) + np.arange(mean.size)
    units = y_hat * MEAN_STEPS * OFFSETS
    assert np.array_equal(units, np.rint(units))


def test_without_offset_the_class_is_that_of_the_nearest_scale():
    scale = random_scales(np.random.default_rng(2))
    distance = np.abs(np.log(scale)[:, None] - np.log(tables.SCALES))
    assert np.array_equal(ReproducibleGrid().classes(scale), distance.argmin(axis=1))


@pytest.mark.parametrize("mean", [0.5 / 64, -1.5 / 64, 100.5 / 64, 1000 + 2.5 / 64])
def test_a_mean_between_two_points_is_refused_until_the_grid_moves(mean):
    mean = np.array([0.3, mean])
    with pytest.raises(UnsafeRounding):
        ReproducibleGrid(guarded=True).round_means(mean)
    ReproducibleGrid(guarded=True, offset=1).round_means(mean)


@pytest.mark.parametrize("value", [0.01, 1.0, 1000.0])
def test_the_margin_is_absolute_below_1_and_relative_above(value):
    scale = MIDDLES[np.argmin(np.abs(MIDDLES - value))]
    for read, boundary in [
        (ReproducibleGrid(guarded=True).round_means, (np.rint(value * 64) + 0.5) / 64),
        (ReproducibleGrid(guarded=True).classes, scale),
    ]:
        read(np.array([boundary + 3e-10 * max(1.0, boundary)]))
        with pytest.raises(UnsafeRounding):
            read(np.array([boundary + 6e-11 * max(1.0, boundary)]))


@pytest.mark.parametrize("boundary", [0, 30, 62])
def test_a_scale_between_two_classes_is_refused_until_the_grid_moves(boundary):
    scale = np.array([1.0, MIDDLES[boundary]])
    with pytest.raises(UnsafeRounding):
        ReproducibleGrid(guarded=True).classes(scale)
    ReproducibleGrid(guarded=True, offset=1).classes(scale)


@pytest.mark.parametrize("offset", range(0, OFFSETS, 64))
def test_scales_outside_the_table_are_not_on_a_boundary(offset):
    scale = np.array([0.11, 300.0, 1e6])
    classes = ReproducibleGrid(guarded=True, offset=offset).classes(scale)
    assert classes.tolist() == [0, 63, 63]


def test_an_unguarded_grid_accepts_values_on_a_boundary():
    ReproducibleGrid().round_means(np.array([0.5 / 64]))
    ReproducibleGrid().classes(MIDDLES)


@pytest.mark.parametrize("offset", [0, 91])
@pytest.mark.parametrize("error", [-3e-11, 3e-11])
def test_guarded_values_round_the_same_despite_errors_of_another_machine(offset, error):
    """Errors are absolute below 1 and relative above, like the errors of networks."""
    rng = np.random.default_rng(3)
    mean = np.append(random_means(rng), (np.arange(500) + 0.5) / 64 + 1e-9)
    scale = np.append(random_scales(rng), MIDDLES * (1 + 1e-8))

    def disturb(x):
        return x + error * np.maximum(1, np.abs(x))

    encoder = ReproducibleGrid(guarded=True, offset=offset)
    decoder = ReproducibleGrid(offset=offset)
    means = encoder.round_means(mean)
    assert np.array_equal(means, decoder.round_means(disturb(mean)))
    assert np.array_equal(encoder.classes(scale), decoder.classes(disturb(scale)))


def test_tiny_errors_at_a_boundary_change_the_result_without_a_guard():
    mean = np.array([0.5 / 64])
    below, above = (
        ReproducibleGrid().round_means(mean - 1e-13),
        ReproducibleGrid().round_means(mean + 1e-13),
    )
    assert above - below == 1 / 64
    assert ReproducibleGrid().classes(MIDDLES[3:4] * (1 - 1e-13)) == 3
    assert ReproducibleGrid().classes(MIDDLES[3:4] * (1 + 1e-13)) == 4
