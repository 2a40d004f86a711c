"""The definition of the range coder in `docs/range_coding.md` holds."""

import ctypes
import re
import shutil
import subprocess

import numpy as np
import pytest
from support.paths import ROOT

from jaxcorr.bitstream import coder_implementations, range_coder
from jaxcorr.entropy import tables

pytestmark = pytest.mark.fast

PAGE = (ROOT / "docs" / "range_coding.md").read_text()
COMPILER = shutil.which("cc")


class CDecoder(ctypes.Structure):
    _fields_ = (
        ("words", ctypes.c_void_p),
        ("size", ctypes.c_size_t),
        ("read", ctypes.c_size_t),
        ("distance", ctypes.c_uint64),
        ("width", ctypes.c_uint64),
    )


@pytest.fixture(scope="module")
def decode_in_c(tmp_path_factory):
    """Returns a function that decodes a stream with the C of the page."""
    if COMPILER is None:
        pytest.skip("no C compiler")
    folder = tmp_path_factory.mktemp("c")
    (source,) = re.findall(r"```c\n(.*?)```", PAGE, re.DOTALL)
    (folder / "decoder.c").write_text(source)
    library = folder / "decoder.so"
    flags = ["-std=c99", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC"]
    subprocess.run(
        [COMPILER, *flags, "decoder.c", "-o", library], cwd=folder, check=True
    )
    functions = ctypes.CDLL(str(library))
    functions.range_decode.restype = ctypes.c_int32

    def decode(words, counts, number):
        decoder = CDecoder()
        edges = np.append(0, np.cumsum(counts)).astype(np.uint32)
        size = ctypes.c_size_t(words.size)
        functions.range_begin(
            ctypes.byref(decoder), ctypes.c_void_p(words.ctypes.data), size
        )
        pointer, length = (
            ctypes.c_void_p(edges.ctypes.data),
            ctypes.c_int32(len(counts)),
        )
        return [
            functions.range_decode(ctypes.byref(decoder), pointer, length)
            for _ in range(number)
        ]

    return decode


@pytest.mark.parametrize("seed", range(5))
def test_the_decoder_in_c_decodes_the_stream(seed, decode_in_c):
    rng = np.random.default_rng(seed)
    table = tables.from_probabilities([0], [rng.dirichlet(np.full(40, 0.1))])
    entries = rng.integers(0, 41, 2_000).astype(np.int32)
    implementation = coder_implementations.choose()
    encoder = implementation.encoder()
    encoder.encode(entries, implementation.categorical(table.counts[0]))
    words = encoder.get_compressed()
    decoded = decode_in_c(words, table.counts[0], 2_000)
    assert decoded == entries.tolist()


def test_the_decoder_in_c_refuses_what_no_encoder_writes(decode_in_c):
    words = np.full(2, 2**32 - 1, np.uint32)
    assert decode_in_c(words, [2**23, 2**23], 1) == [-1]
    assert decode_in_c(words[:1], [2**23, 2**23], 1) == [1]


def test_the_page_states_the_counts_of_the_widths():
    first, last = range_coder.WIDTH_COUNTS[[0, -1]]
    assert f"{first:,} counts each, and {last:,} for the last" in PAGE.replace(
        "\n   ", " "
    )
    assert set(range_coder.WIDTH_COUNTS[:-1]) == {first}


def test_the_page_lists_the_implementations():
    listed = re.findall(r"^\| `(\w+)` \|", PAGE, re.MULTILINE)
    assert listed == list(coder_implementations.LOADERS)
