"""Code lengths of our tables against those of TensorFlow Compression (TFC).

Expected lengths are in bits a symbol beyond the entropy: what a table costs.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from references.entropy import PRIORS, group
from scipy import special

from jaxcorr.bitstream.range_coder import RangeEncoder
from jaxcorr.entropy import tables
from jaxcorr.interop import tensorflow_compression

SYMBOLS = np.arange(-2570, 2571)
"""All that a Gaussian of the widest table can give, 10 scales far."""


def tables_there(name):
    """Lowest symbol of each of TFC's tables, with the probabilities of its entries."""
    cdf, lowest = group(name)["cdf"], group(name)["cdf_offset"]
    # Each begins with the negative precision in bits; the rest rises from 0.
    rows = np.split(cdf, np.flatnonzero(cdf < 0)[1:])
    probabilities = [np.diff(row[1:]) / 2.0 ** -row[0] for row in rows]
    return list(zip(lowest, probabilities, strict=True))


def bits_there(table, symbols):
    """Ideal code length by a table of TFC."""
    lowest, probabilities = table
    escape = probabilities.size - 1
    entry = symbols - lowest
    inside = (entry >= 0) & (entry < escape)
    bits = -np.log2(probabilities[np.where(inside, entry, escape)])
    # Then Elias gamma of the distance from the table, from 1 on, and one for the side.
    distance = np.where(entry < 0, -entry, entry - escape + 1)
    gamma = 2 * np.floor(np.log2(np.where(inside, 1, distance))) + 1
    return bits + np.where(inside, 0, gamma + 1)


def bits_here(built, index, symbols):
    """Ideal code length by one of our tables."""
    entry = symbols - built.lowest[index]
    escape = built.escape[index]
    inside = (entry >= 0) & (entry < escape)
    bits = -np.log2(built.counts[index, np.where(inside, entry, escape)] / 2**24)
    # Then one of 33 widths, and as many bits of the zigzag.
    zigzag = np.where(symbols >= 0, 2 * symbols, -2 * symbols - 1)
    return bits + np.where(inside, 0, np.log2(33) + np.ceil(np.log2(zigzag + 1)))


def excess(probabilities, bits):
    """Expected bits beyond the entropy."""
    positive = probabilities[probabilities > 0]
    return np.sum(probabilities * bits) + np.sum(positive * np.log2(positive))


def gaussian(scale):
    """Probabilities of SYMBOLS."""
    distance = np.abs(SYMBOLS)
    upper = special.ndtr((0.5 - distance) / scale)
    return upper - special.ndtr((-0.5 - distance) / scale)


def test_scales_are_those_of_its_models():
    found = group("location_scale")["scales"]
    np.testing.assert_allclose(tables.SCALES, found, rtol=1e-6)


def test_it_rounds_an_index_down_where_we_take_the_nearest():
    found = group("location_scale")
    index = found["probed_indexes"]
    assert found["probed_tables"].tolist() == np.floor(index).clip(0, 63).tolist()
    ours = tables.position_class(index)
    assert ours.tolist() == np.rint(index).clip(0, 63).tolist()
    assert ours.tolist() != found["probed_tables"].tolist()


def test_its_strings_have_the_lengths_that_its_tables_say():
    found, there = group("location_scale"), tables_there("location_scale")
    coded = [found[f"coded_{name}"] for name in ("scales", "symbols", "lengths")]
    for index, symbols, length in zip(*coded, strict=True):
        bits = bits_there(there[index], symbols.astype(np.int64)).sum()
        assert 0 <= 8 * length - bits < 9


def test_our_streams_are_not_longer_than_its_strings():
    found, built = group("location_scale"), tables.gaussian_tables()
    coded = [found[f"coded_{name}"] for name in ("scales", "symbols", "lengths")]
    for index, symbols, length in zip(*coded, strict=True):
        encoder = RangeEncoder()
        classes = np.full(symbols.size, index, np.uint8)
        encoder.encode(symbols.astype(np.int32), classes, built)
        # A stream ends with whole words of 4 bytes, two at least.
        assert len(encoder.get_bytes()) <= length + 7


def test_tables_of_scales_cost_next_to_nothing_here_and_little_there():
    built, there = tables.gaussian_tables(), tables_there("location_scale")
    for index, scale in enumerate(tables.SCALES):
        probabilities = gaussian(scale)
        ours = excess(probabilities, bits_here(built, index, SYMBOLS))
        theirs = excess(probabilities, bits_there(there[index], SYMBOLS))
        assert 0 <= ours < 1e-4
        # 12 bits of precision make few digits of a wide table's many probabilities.
        assert ours < theirs < (0.004 if scale < 20 else 0.08)


def test_scales_between_tables_cost_less_by_the_nearest_than_by_the_one_below():
    built, there = tables.gaussian_tables(), tables_there("location_scale")
    costs = []
    for index in np.linspace(0, 63, 316):
        scale = np.exp(np.interp(index, np.arange(64), np.log(tables.SCALES)))
        probabilities = gaussian(scale)
        nearest = int(tables.position_class(np.array([index]))[0])
        ours = excess(probabilities, bits_here(built, nearest, SYMBOLS))
        theirs = excess(probabilities, bits_there(there[int(index)], SYMBOLS))
        costs.append((ours, theirs))
    ours, theirs = np.mean(costs, axis=0)
    assert 0.001 < ours < 0.002
    assert 0.011 < theirs < 0.014


@pytest.mark.parametrize("name", PRIORS)
def test_tables_of_channels_cost_next_to_nothing_here_and_little_there(name):
    prior = tensorflow_compression.factorized_prior(
        group(f"factorized/{name}/variables")
    )
    with jax.enable_x64(True):
        median = np.asarray(prior.median(), np.float64)
        values = jnp.asarray(SYMBOLS[:, None] + median)
        probabilities = np.asarray(jnp.exp2(-prior.bits(values))).T
    built = tables.channel_tables(probabilities, lowest=int(SYMBOLS[0]))
    for channel, table in enumerate(tables_there(f"factorized/{name}")):
        ours = excess(probabilities[channel], bits_here(built, channel, SYMBOLS))
        # Its symbols count from the integer next to 0 in the median's grid.
        symbols = SYMBOLS + int(np.round(median[channel]))
        theirs = excess(probabilities[channel], bits_there(table, symbols))
        assert 0 <= ours < 1e-4
        assert ours < theirs < 0.03
