"""Code lengths of integer tables compare with those of TensorFlow Compression (TFC).

The cost of a table is its expected code length beyond the entropy, in bits a symbol.
"""

import jax.numpy as jnp
import numpy as np
import pytest
from references.entropy import PRIORS, group
from scipy import special

from jaxcorr import compatibility
from jaxcorr.bitstream.range_coder import RangeEncoder
from jaxcorr.entropy import tables
from jaxcorr.interop import tensorflow_compression

SYMBOLS = np.arange(-2570, 2571)
"""Symbols within 10 scales of a Gaussian of the widest table."""


def read_tfc_tables(name):
    """Returns the lowest symbol and the probabilities of each of TFC's tables."""
    cdf, lowest = group(name)["cdf"], group(name)["cdf_offset"]
    # Each table begins with its negative precision in bits, then rises from 0.
    rows = np.split(cdf, np.flatnonzero(cdf < 0)[1:])
    probabilities = [np.diff(row[1:]) / 2.0 ** -row[0] for row in rows]
    return list(zip(lowest, probabilities, strict=True))


def tfc_bits(table, symbols):
    """Returns the ideal code length by a table of TFC."""
    lowest, probabilities = table
    escape = probabilities.size - 1
    entry = symbols - lowest
    inside = (entry >= 0) & (entry < escape)
    bits = -np.log2(probabilities[np.where(inside, entry, escape)])
    # Then the Elias gamma code of the distance from the table, and a bit for the side.
    distance = np.where(entry < 0, -entry, entry - escape + 1)
    gamma = 2 * np.floor(np.log2(np.where(inside, 1, distance))) + 1
    return bits + np.where(inside, 0, gamma + 1)


def our_bits(our_tables, index, symbols):
    """Returns the ideal code length by one of our tables."""
    entry = symbols - our_tables.lowest[index]
    escape = our_tables.escape[index]
    inside = (entry >= 0) & (entry < escape)
    bits = -np.log2(our_tables.counts[index, np.where(inside, entry, escape)] / 2**24)
    # Then one of 33 widths, and that many bits of the zigzag code.
    zigzag = np.where(symbols >= 0, 2 * symbols, -2 * symbols - 1)
    return bits + np.where(inside, 0, np.log2(33) + np.ceil(np.log2(zigzag + 1)))


def excess(probabilities, bits):
    """Returns the expected bits beyond the entropy."""
    positive = probabilities[probabilities > 0]
    return np.sum(probabilities * bits) + np.sum(positive * np.log2(positive))


def gaussian(scale):
    """Returns the probabilities of SYMBOLS under a Gaussian."""
    distance = np.abs(SYMBOLS)
    upper = special.ndtr((0.5 - distance) / scale)
    return upper - special.ndtr((-0.5 - distance) / scale)


def test_scales_are_those_of_tfc_models():
    expected = group("location_scale")["scales"]
    np.testing.assert_allclose(tables.SCALES, expected, rtol=1e-6)


def test_tfc_rounds_an_index_down_and_we_take_the_nearest():
    arrays = group("location_scale")
    index = arrays["probed_indexes"]
    assert arrays["probed_tables"].tolist() == np.floor(index).clip(0, 63).tolist()
    classes = tables.position_class(index)
    assert classes.tolist() == np.rint(index).clip(0, 63).tolist()
    assert classes.tolist() != arrays["probed_tables"].tolist()


def test_strings_of_tfc_have_the_lengths_of_its_tables():
    arrays, tfc_tables = group("location_scale"), read_tfc_tables("location_scale")
    coded = [arrays[f"coded_{name}"] for name in ("scales", "symbols", "lengths")]
    for index, symbols, length in zip(*coded, strict=True):
        bits = tfc_bits(tfc_tables[index], symbols.astype(np.int64)).sum()
        assert 0 <= 8 * length - bits < 9


def test_our_streams_are_not_longer_than_strings_of_tfc():
    arrays, our_tables = group("location_scale"), tables.gaussian_tables()
    coded = [arrays[f"coded_{name}"] for name in ("scales", "symbols", "lengths")]
    for index, symbols, length in zip(*coded, strict=True):
        encoder = RangeEncoder()
        classes = np.full(symbols.size, index, np.uint8)
        encoder.encode(symbols.astype(np.int32), classes, our_tables)
        # A stream ends with whole words of 4 bytes, at least two.
        assert len(encoder.get_bytes()) <= length + 7


def test_gaussian_tables_cost_almost_nothing_and_those_of_tfc_little():
    our_tables, tfc_tables = tables.gaussian_tables(), read_tfc_tables("location_scale")
    for index, scale in enumerate(tables.SCALES):
        probabilities = gaussian(scale)
        our_cost = excess(probabilities, our_bits(our_tables, index, SYMBOLS))
        tfc_cost = excess(probabilities, tfc_bits(tfc_tables[index], SYMBOLS))
        assert 0 <= our_cost < 1e-4
        # 12 bits of precision make few digits of a wide table's many probabilities.
        assert our_cost < tfc_cost < (0.004 if scale < 20 else 0.08)


def test_nearest_table_costs_less_than_the_table_below():
    our_tables, tfc_tables = tables.gaussian_tables(), read_tfc_tables("location_scale")
    costs = []
    for index in np.linspace(0, 63, 316):
        scale = np.exp(np.interp(index, np.arange(64), np.log(tables.SCALES)))
        probabilities = gaussian(scale)
        nearest = int(tables.position_class(np.array([index]))[0])
        our_cost = excess(probabilities, our_bits(our_tables, nearest, SYMBOLS))
        tfc_cost = excess(probabilities, tfc_bits(tfc_tables[int(index)], SYMBOLS))
        costs.append((our_cost, tfc_cost))
    our_cost, tfc_cost = np.mean(costs, axis=0)
    assert 0.001 < our_cost < 0.002
    assert 0.011 < tfc_cost < 0.014


@pytest.mark.parametrize("name", PRIORS)
def test_channel_tables_cost_almost_nothing_and_those_of_tfc_little(name):
    prior = tensorflow_compression.factorized_prior(
        group(f"factorized/{name}/variables")
    )
    with compatibility.enable_x64(True):
        median = np.asarray(prior.median(), np.float64)
        values = jnp.asarray(SYMBOLS[:, None] + median)
        probabilities = np.asarray(jnp.exp2(-prior.bits(values))).T
    our_tables = tables.channel_tables(probabilities, lowest=int(SYMBOLS[0]))
    for channel, table in enumerate(read_tfc_tables(f"factorized/{name}")):
        our_cost = excess(
            probabilities[channel], our_bits(our_tables, channel, SYMBOLS)
        )
        # TFC counts symbols from the point of the median's grid next to 0.
        symbols = SYMBOLS + int(np.round(median[channel]))
        tfc_cost = excess(probabilities[channel], tfc_bits(table, symbols))
        assert 0 <= our_cost < 1e-4
        assert our_cost < tfc_cost < 0.03
