"""The range coder in integers writes and reads the streams of constriction."""

import numpy as np
import pytest
from support import coded_streams
from support.coded_streams import IMPLEMENTATIONS, decode, encode, random_calls

from jaxcorr.bitstream import coder_implementations, range_coder
from jaxcorr.entropy import tables

pytestmark = pytest.mark.fast

LOADERS = coder_implementations.LOADERS
OURS = IMPLEMENTATIONS[1:]


@pytest.fixture
def use(monkeypatch):
    """Returns a function that chooses the implementation of the coders after it."""

    def choose(name):
        monkeypatch.setenv(coder_implementations.VARIABLE, name)

    return choose


def with_table(name, counts):
    """Returns an implementation, and its model of a table."""
    implementation = LOADERS[name]()
    return implementation, implementation.categorical(np.array(counts, np.uint32))


def exact_stream(parts):
    """Codes starts and counts with a low end of any number of bits."""
    low, width, words = 0, 2**64 - 1, 0
    for start, count in parts:
        scale = width // 2**24
        low, width = low + scale * start, scale * count
        if width < 2**32:
            low, width, words = low * 2**32, width * 2**32, words + 1
    if not parts:
        return []
    last = (low + 2**32 - 1) // 2**32
    stream = np.frombuffer(last.to_bytes(4 * words + 4, "big"), ">u4").tolist()
    return stream + [0] * ((low + width) // 2**32 == last)


@pytest.mark.parametrize("name", OURS)
def test_400_streams_have_the_bytes_of_constriction(name, use):
    pytest.importorskip("constriction", reason="no wheel for this machine")
    escaped = 0
    for seed in range(400):
        calls = random_calls(seed)
        use("constriction")
        expected = encode(calls)
        use(name)
        assert encode(calls) == expected, seed
        assert decode(expected, calls) == [call.symbols.tolist() for call in calls]
        escaped += sum(int((abs(call.symbols) > 200).sum()) for call in calls)
    assert escaped > 500


@pytest.mark.parametrize("name", OURS)
def test_200_damaged_streams_give_the_symbols_and_errors_of_constriction(name, use):
    pytest.importorskip("constriction", reason="no wheel for this machine")
    outcomes = []
    for seed in range(200):
        calls = random_calls(1_000 + seed)
        use("constriction")
        damaged = coded_streams.damage(encode(calls), seed)
        expected = decode(damaged, calls)
        use(name)
        assert decode(damaged, calls) == expected, seed
        outcomes.append(expected)
    errors = outcomes.count("the coded symbols are damaged")
    assert errors == sum(isinstance(outcome, str) for outcome in outcomes)
    assert 20 < errors < 150


@pytest.mark.parametrize("name", IMPLEMENTATIONS)
@pytest.mark.parametrize("seed", range(20))
def test_the_words_are_those_of_exact_arithmetic(name, seed):
    rng = np.random.default_rng(seed)
    table = tables.from_probabilities([0], [rng.dirichlet(np.full(30, 0.1))])
    counts = table.counts[0].astype(int)
    starts = np.cumsum(counts) - counts
    entries = rng.integers(0, counts.size, 30 * seed).astype(np.int32)
    implementation, model = with_table(name, counts)
    encoder = implementation.encoder()
    encoder.encode(entries, model)
    parts = [(int(starts[entry]), int(counts[entry])) for entry in entries]
    assert encoder.get_compressed().tolist() == exact_stream(parts)


@pytest.mark.parametrize("name", IMPLEMENTATIONS)
@pytest.mark.parametrize("carry", [False, True])
def test_a_carry_crosses_many_words(name, carry):
    # An interval around 1/2 begins with the words 7fffffff ffffffff ffffffff …, until
    # it lies on one side. Zeros after 80000000 decode to the entries around it.
    counts = [5_592_405, 5_592_406, 5_592_405]
    implementation, model = with_table(name, counts)
    decoder = implementation.decoder(np.array([2**31], np.uint32))
    around = decoder.decode(model, 200).astype(np.int32)
    encoder = implementation.encoder()
    for entries in (around[:150], around[150:], np.full(50, 2 * carry, np.int32)):
        encoder.encode(entries, model)
    words = encoder.get_compressed().tolist()
    starts = [0, *np.cumsum(counts).tolist()]
    coded = [*around.tolist(), *[2 * carry] * 50]
    assert words == exact_stream([(starts[entry], counts[entry]) for entry in coded])
    assert words[:9] == ([2**31] + [0] * 8 if carry else [2**31 - 1] + [2**32 - 1] * 8)


@pytest.mark.parametrize("name", IMPLEMENTATIONS)
def test_the_stream_can_be_read_before_it_goes_on(name):
    implementation, model = with_table(name, [2**23, 2**23])
    bits = np.random.default_rng(0).integers(0, 2, 1_000).astype(np.int32)
    encoder, whole = implementation.encoder(), implementation.encoder()
    for begin in range(0, 1_000, 10):
        encoder.encode(bits[begin : begin + 10], model)
        words = encoder.get_compressed()
        decoded = implementation.decoder(words).decode(model, begin + 10)
        np.testing.assert_array_equal(decoded, bits[: begin + 10])
    whole.encode(bits, model)
    np.testing.assert_array_equal(whole.get_compressed(), words)


@pytest.mark.parametrize("name", OURS)
def test_more_symbols_than_a_block_are_one_stream(name, use):
    symbols = np.random.default_rng(1).integers(-2, 3, 150_000).astype(np.int32)
    table = tables.from_probabilities([-2], [np.full(5, 0.2)])
    call = coded_streams.Call(symbols, np.zeros(symbols.size, np.uint8), table)
    use(name)
    data = encode([call])
    assert decode(data, [call]) == [symbols.tolist()]
    bits = -np.log2(table.counts[0, symbols + 2] / 2**24).sum()
    assert bits / 8 <= len(data) <= bits / 8 + 8


@pytest.mark.parametrize("seed", range(3))
def test_constriction_codes_with_exactly_the_counts_of_a_table(seed):
    stream = pytest.importorskip("constriction").stream
    rng = np.random.default_rng(seed)
    table = tables.from_probabilities([0], [rng.dirichlet(np.full(700, 0.1))])
    counts = table.counts[0].astype(int)
    starts = np.cumsum(counts) - counts
    unit = (2**64 - 1) >> tables.TOTAL_BITS
    model = LOADERS["constriction"]().categorical(table.counts[0])
    for entry, (start, count) in enumerate(zip(starts, counts, strict=True)):
        coder = stream.queue.RangeEncoder()
        coder.encode(entry, model)
        _, interval = coder.pos()  # Lower end and width, after one symbol.
        assert interval == (unit * int(start), unit * int(count))


@pytest.mark.parametrize("name", IMPLEMENTATIONS)
def test_equally_likely_numbers_have_the_intervals_of_constriction(name):
    stream = pytest.importorskip("constriction").stream
    widths = np.arange(33, dtype=np.int32)
    sizes = np.repeat(1 << np.arange(1, 17), 20).astype(np.int32)
    halves = np.random.default_rng(0).integers(0, sizes).astype(np.int32)
    expected = stream.queue.RangeEncoder()
    expected.encode(widths, stream.model.Uniform(33))
    expected.encode(halves, stream.model.Uniform(), sizes)

    implementation, model = with_table(name, range_coder.WIDTH_COUNTS)
    encoder = implementation.encoder()
    encoder.encode(widths, model)
    encoder.encode(halves, implementation.uniform, sizes)
    words = encoder.get_compressed()
    assert words.tolist() == expected.get_compressed().tolist()
    decoder = implementation.decoder(words)
    np.testing.assert_array_equal(decoder.decode(model, 33), widths)
    np.testing.assert_array_equal(decoder.decode(implementation.uniform, sizes), halves)
