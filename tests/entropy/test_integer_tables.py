"""Integer probability tables: counts, escapes, classes of scales and channels."""

import math

import numpy as np
import pytest

from jaxcorr.entropy import tables

pytestmark = pytest.mark.fast

TOTAL = 2**tables.TOTAL_BITS


def exact_gaussian(scale, symbols):
    """Computes the probability of each symbol from the upper tail of a Gaussian."""

    def tail(x):
        return 0.5 * math.erfc(x / (scale * math.sqrt(2)))

    return np.array([tail(abs(k) - 0.5) - tail(abs(k) + 0.5) for k in symbols])


def test_dyadic_probabilities_become_exact_counts():
    built = tables.from_probabilities([-7], [np.array([0.5, 0.25])])
    assert built.lowest.tolist() == [-7]
    assert built.length.tolist() == [3]
    assert built.counts.tolist() == [[2**23, 2**22, 2**22]]
    assert built.escape.tolist() == [2]


def test_symbols_of_probability_0_get_one_count():
    built = tables.from_probabilities([0], [np.array([0.0, 1.0, 0.0, 1e-300])])
    assert built.counts[0, [0, 2, 3]].tolist() == [1, 1, 1]
    assert built.counts.sum() == TOTAL


def test_escape_is_reserved_when_the_symbols_have_all_the_probability():
    built = tables.from_probabilities([0], [np.array([0.5, 0.5])])
    assert built.counts[0, 2] == TOTAL * tables.ESCAPE_PROBABILITY + 1


def test_shorter_rows_are_padded_with_zeros():
    built = tables.from_probabilities([0, 5], [np.ones(1), np.full(3, 0.25)])
    assert built.length.tolist() == [2, 4]
    assert built.counts[0, 2:].tolist() == [0, 0]
    assert built.counts.sum(axis=1).tolist() == [TOTAL, TOTAL]


@pytest.mark.parametrize("seed", range(20))
def test_counts_differ_from_their_shares_by_less_than_one(seed):
    rng = np.random.default_rng(seed)
    exact = rng.dirichlet(np.full(rng.integers(1, 500), 0.05))
    counts = tables.from_probabilities([0], [exact]).counts[0].astype(float)
    entries = np.append(exact, tables.ESCAPE_PROBABILITY)
    share = entries / entries.sum() * (TOTAL - entries.size)
    assert np.all(np.abs(counts - share - 1) <= 1)


@pytest.mark.parametrize("bad", [[0.5, -0.1], [np.nan, 1.0], [np.inf], [0.0, 0.0]])
def test_invalid_probabilities_are_refused(bad):
    with pytest.raises(ValueError, match="those of table 1 are not"):
        tables.from_probabilities([0, 0], [np.ones(1), np.array(bad)])


@pytest.mark.parametrize(
    ("rule", "changes"),
    [
        ("sum to", {"counts": [[TOTAL - 2, 1]]}),
        ("count at least 1", {"counts": [[TOTAL, 0]]}),
        ("2 entries or more", {"counts": [[TOTAL, 0]], "length": [1]}),
        ("2 entries or more", {"length": [3]}),
        ("symbols of 32 bits", {"lowest": [2**31 - 1]}),
    ],
)
def test_tables_that_the_range_coder_cannot_use_are_refused(rule, changes):
    values = {"lowest": [0], "length": [2], "counts": [[TOTAL - 1, 1]]} | changes
    with pytest.raises(ValueError, match=rule):
        tables.IntegerTables(
            lowest=np.array(values["lowest"], np.int32),
            length=np.array(values["length"], np.int32),
            counts=np.array(values["counts"], np.uint32),
        )


def test_gaussian_tables_hold_the_probabilities_of_rounded_gaussians():
    built = tables.gaussian_tables()
    for index, scale in enumerate(tables.SCALES):
        reach = -built.lowest[index]
        assert built.length[index] == 2 * reach + 2
        exact = exact_gaussian(scale, range(-reach, reach + 1))
        counts = built.counts[index, : built.escape[index]] / TOTAL
        # An entry loses its share of the reserved counts (one per entry, and 16 for
        # the escape). It gains one count and is rounded by less than one.
        share = exact * (built.length[index] + 16) / TOTAL
        np.testing.assert_array_less(np.abs(counts - exact), share + 2 / TOTAL)


def test_gaussian_tables_are_symmetric():
    built = tables.gaussian_tables()
    for row, escape in zip(built.counts, built.escape, strict=True):
        symbols = row[:escape].astype(int)
        assert np.abs(symbols - symbols[::-1]).max() <= 1


def test_coding_with_the_right_table_costs_the_entropy():
    built = tables.gaussian_tables()
    for index, scale in enumerate(tables.SCALES):
        # A symbol outside the table costs an escape and at most 5 + 32 more bits.
        symbols = np.arange(-10 * 257, 10 * 257 + 1)
        exact = exact_gaussian(scale, symbols)
        entry = symbols - built.lowest[index]
        outside = (entry < 0) | (entry >= built.escape[index])
        entry[outside] = built.escape[index]
        cost = -np.log2(built.counts[index, entry] / TOTAL) + 37 * outside
        entropy = -np.sum(exact[exact > 0] * np.log2(exact[exact > 0]))
        assert 0 <= np.sum(exact * cost) - entropy < 3e-4


def test_a_scale_between_two_tables_costs_less_than_0_0058_bits_more():
    # Coding a Gaussian with exp(d) times its scale costs d**2 nats more, and terms of
    # d**3: 0.0055 bits at half a step.
    built = tables.gaussian_tables()
    for index in range(63):
        scale = math.sqrt(tables.SCALES[index] * tables.SCALES[index + 1])
        symbols = np.arange(built.lowest[index], -built.lowest[index] + 1)
        exact = exact_gaussian(scale, symbols)
        cost = -np.log2(built.counts[index, : symbols.size] / TOTAL)
        entropy = -np.sum(exact[exact > 0] * np.log2(exact[exact > 0]))
        assert np.sum(exact * cost) - entropy < 0.0058


def test_positions_of_the_table_scales_are_their_indices():
    position = tables.scale_position(tables.SCALES)
    np.testing.assert_allclose(position, np.arange(64), rtol=0, atol=1e-12)
    assert tables.SCALES[0] == 0.11
    assert tables.SCALES[-1] == 256.0


def test_boundary_of_two_classes_is_their_geometric_mean():
    middle = np.sqrt(tables.SCALES[:-1] * tables.SCALES[1:])
    for factor, expected in [(1 - 1e-9, np.arange(63)), (1 + 1e-9, np.arange(1, 64))]:
        position = tables.scale_position(middle * factor)
        assert tables.position_class(position).tolist() == expected.tolist()


def test_scales_beyond_the_tables_have_the_first_or_last_class():
    position = tables.scale_position(np.array([[1e-9, 0.11], [256.0, 1e9]]))
    assert tables.position_class(position).tolist() == [[0, 0], [63, 63]]


def test_positions_of_float32_scales_are_computed_in_float64():
    scale = np.array([0.3], np.float32)
    expected = tables.scale_position(scale.astype(np.float64))
    assert tables.scale_position(scale).tolist() == expected.tolist()


def test_channel_tables_omit_the_tails():
    probabilities = np.zeros((3, 9))
    probabilities[0, 4] = 1.0
    probabilities[1, [0, 8]] = 0.5
    probabilities[2, 1:5] = [1e-12, 0.75, 0.25, 1e-12]
    built = tables.channel_tables(probabilities, lowest=-4)
    assert built.lowest.tolist() == [0, -4, -2]
    assert built.length.tolist() == [2, 10, 3]


def test_missing_probability_goes_to_the_escape():
    built = tables.channel_tables(np.array([[0.25, 0.5]]), lowest=0)
    assert built.counts.tolist() == [[2**22, 2**23, 2**22]]


def test_a_channel_without_probability_is_refused():
    with pytest.raises(ValueError, match="table 1"):
        tables.channel_tables(np.array([[0.5, 0.5], [0.0, 0.0]]), lowest=0)
