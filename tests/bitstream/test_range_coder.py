import numpy as np
import pytest

from jaxcorr.bitstream import range_coder
from jaxcorr.entropy import tables
from jaxcorr.errors import UserError

pytestmark = pytest.mark.fast

GAUSSIAN = tables.gaussian_tables()
COIN = tables.from_probabilities([0], [np.array([0.5, 0.5])])
EXTREMES = np.array([-(2**31), 2**31 - 1, -(2**31) + 1, 2**31 - 2, 0, -1], np.int32)


def draw(seed, count):
    """Returns random residuals, with the class of each."""
    rng = np.random.default_rng(seed)
    classes = rng.integers(0, 64, count).astype(np.uint8)
    symbols = np.rint(rng.normal(0, tables.SCALES[classes]))
    return symbols.astype(np.int32), classes


def encode(*passes):
    encoder = range_coder.RangeEncoder()
    for symbols, classes, table in passes:
        encoder.encode(symbols, classes, table)
    return encoder.get_bytes()


def test_symbols_survive_coding():
    symbols, classes = draw(0, 20_000)
    decoder = range_coder.RangeDecoder(encode((symbols, classes, GAUSSIAN)))
    np.testing.assert_array_equal(decoder.decode(classes, GAUSSIAN), symbols)


def test_the_rate_is_the_information_content_under_the_counts():
    symbols, classes = draw(1, 50_000)
    entry = symbols - GAUSSIAN.lowest[classes]
    assert np.all((entry >= 0) & (entry < GAUSSIAN.escape[classes]))
    bits = -np.log2(GAUSSIAN.counts[classes, entry] / 2**24).sum()
    data = encode((symbols, classes, GAUSSIAN))
    assert bits / 8 <= len(data) <= bits / 8 + 8


def test_symbols_are_coded_by_class_and_within_a_class_in_order():
    symbols, classes = draw(6, 5_000)
    order = sorted(range(5_000), key=lambda index: classes[index])  # Stable.
    by_hand = [(symbols[[i]], classes[[i]], GAUSSIAN) for i in order]
    assert encode((symbols, classes, GAUSSIAN)) == encode(*by_hand)


def test_any_symbol_of_any_class_survives_coding():
    rng = np.random.default_rng(2)
    classes = rng.integers(0, 64, 2_000)
    symbols = rng.integers(-(2**31), 2**31, 2_000).astype(np.int32)
    symbols >>= rng.integers(0, 32, 2_000).astype(np.int32)
    symbols[:384], classes[:384] = np.tile(EXTREMES, 64), np.repeat(np.arange(64), 6)
    decoder = range_coder.RangeDecoder(encode((symbols, classes, GAUSSIAN)))
    np.testing.assert_array_equal(decoder.decode(classes, GAUSSIAN), symbols)


def test_symbols_at_the_edges_of_a_table_survive_coding():
    last = GAUSSIAN.lowest + GAUSSIAN.escape - 1
    symbols = np.stack([GAUSSIAN.lowest - 1, GAUSSIAN.lowest, last, last + 1]).ravel()
    classes = np.tile(np.arange(64), 4)
    decoder = range_coder.RangeDecoder(encode((symbols, classes, GAUSSIAN)))
    np.testing.assert_array_equal(decoder.decode(classes, GAUSSIAN), symbols)


@pytest.mark.parametrize("lowest", [-(2**31), 2**31 - 3])
def test_tables_at_the_ends_of_32_bits_code_any_symbol(lowest):
    table = tables.from_probabilities([lowest], [np.array([0.5, 0.5])])
    symbols = np.append(EXTREMES, [lowest, lowest + 1]).astype(np.int32)
    classes = np.zeros(symbols.size, int)
    decoder = range_coder.RangeDecoder(encode((symbols, classes, table)))
    np.testing.assert_array_equal(decoder.decode(classes, table), symbols)


def test_an_escape_costs_its_probability_a_width_and_the_symbol():
    symbols = np.full(1_000, -300, np.int32)  # 599 after the zigzag: 10 bits.
    data = encode((symbols, np.zeros(1_000, int), COIN))
    bits = 1_000 * (-np.log2(COIN.counts[0, -1] / 2**24) + np.log2(33) + 10)
    assert bits / 8 <= len(data) <= bits / 8 + 8


def test_passes_with_different_tables_share_a_stream():
    y, y_classes = draw(3, 1_000)
    bits = np.random.default_rng(3).integers(0, 2, 500).astype(np.int32)
    bits[::50] = 1_000_000
    zeros = np.zeros(500, int)
    data = encode(
        (bits, zeros, COIN), (y, y_classes, GAUSSIAN), (bits[::-1], zeros, COIN)
    )
    decoder = range_coder.RangeDecoder(data)
    np.testing.assert_array_equal(decoder.decode(zeros, COIN), bits)
    np.testing.assert_array_equal(decoder.decode(y_classes, GAUSSIAN), y)
    np.testing.assert_array_equal(decoder.decode(zeros, COIN), bits[::-1])


def test_more_than_256_classes_are_distinguished():
    lowest = np.arange(1_000) * 7
    table = tables.from_probabilities(lowest, [np.full(3, 0.33)] * 1_000)
    classes = np.random.default_rng(4).permutation(1_000)
    symbols = (lowest[classes] + classes % 3).astype(np.int32)
    data = encode((symbols, classes, table))
    assert len(data) < 1_000 * 1.7 / 8 + 8  # log2(3) bits each: nothing escaped.
    decoder = range_coder.RangeDecoder(data)
    np.testing.assert_array_equal(decoder.decode(classes, table), symbols)


def test_an_empty_stream_has_no_bytes():
    symbols, classes = np.zeros(0, np.int32), np.zeros(0, np.uint8)
    assert encode() == encode((symbols, classes, GAUSSIAN)) == b""
    assert range_coder.RangeDecoder(b"").decode(classes, GAUSSIAN).size == 0


def test_the_format_has_not_changed():
    # Written by constriction 0.5.0. If the bytes change, earlier files cannot be read:
    # raise the version of the container.
    dyadic = [np.array([0.5, 0.25, 0.125]), np.array([0.25, 0.5])]
    table = tables.from_probabilities([-1, 10], dyadic)
    symbols = np.array([-1, 0, 11, 1, 10, 2, -70_000, 11, -1], np.int32)
    classes = np.array([0, 0, 1, 0, 1, 0, 1, 1, 0])
    assert encode((symbols, classes, table)).hex() == "6c9a965b72a2bf41"


@pytest.mark.parametrize("bad", [-1, 64, 2**40])
def test_a_class_without_a_table_is_refused(bad):
    classes = np.array([0, bad])
    with pytest.raises(ValueError, match="`classes` must be from 0 to 63"):
        encode((np.zeros(2, np.int32), classes, GAUSSIAN))
    with pytest.raises(ValueError, match="`classes` must be from 0 to 63"):
        range_coder.RangeDecoder(b"").decode(classes, GAUSSIAN)


def test_part_of_a_word_is_refused():
    with pytest.raises(range_coder.CodingError, match="4-byte words, not 7 bytes"):
        range_coder.RangeDecoder(bytes(7))


def test_damaged_data_gives_symbols_or_a_coding_error():
    symbols, classes = draw(5, 300)
    symbols[::30] = 2**31 - 1
    data = encode((symbols, classes, GAUSSIAN))
    rng = np.random.default_rng(5)
    errors = 0
    for trial in range(600):
        damaged = bytearray(data if trial % 2 else rng.bytes(4 * (trial // 4)))
        for index in rng.integers(0, max(len(damaged), 1), trial % 5):
            damaged[index : index + 1] = rng.bytes(1)
        if trial % 3 == 0:
            del damaged[4 * int(rng.integers(0, 1 + len(damaged) // 4)) :]
        try:
            range_coder.RangeDecoder(bytes(damaged)).decode(classes, GAUSSIAN)
        except range_coder.CodingError:
            errors += 1
    assert errors
    assert issubclass(range_coder.CodingError, UserError)
