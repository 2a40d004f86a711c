import dataclasses
import io
import re
import struct
import zlib

import pytest
from PIL import Image

from jaxcorr.bitstream import container
from jaxcorr.bitstream.container import Arithmetic, Container
from jaxcorr.errors import UserError

pytestmark = pytest.mark.fast

SMALL = Container(
    arithmetic=Arithmetic.FAST,
    offset=7,
    fingerprint=b"\x00\x01\x02\x03\x04\x05\x06\xff",
    width=768,
    height=513,
    z_payload=b"side",
    y_payload=b"latents!",
    symbols_checksum=0xDEADBEEF,
)
DATA = SMALL.to_bytes()


def refused(data, match):
    """Asserts that `data` is refused in one line, which names the file."""
    with pytest.raises(UserError, match=match) as caught:
        Container.from_bytes(data, "photo.jxc")
    assert str(caught.value).startswith("photo.jxc ")
    assert "\n" not in str(caught.value)


def with_checksum(header):
    """Returns a file with the given header and its correct checksum."""
    return header + struct.pack("<I", zlib.crc32(header)) + DATA[44:]


def test_a_file_has_the_documented_bytes():
    fields = bytes.fromhex(
        "c84a5843 02 01 07 00 00010203040506ff 00030000 01020000 04000000 08000000"
        "efbeadde"
    )
    fields += zlib.crc32(b"sidelatents!").to_bytes(4, "little")
    header = fields + zlib.crc32(fields).to_bytes(4, "little")
    assert len(header) == container.HEADER_BYTES == 44
    assert header + b"sidelatents!" == DATA


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"arithmetic": Arithmetic.PORTABLE, "offset": 0},
        {"z_payload": b"", "y_payload": b""},
        {"width": 2**32 - 1, "height": 1, "offset": 255},
        {"version": 1},
    ],
)
def test_a_container_survives_writing_and_reading(changes):
    given = dataclasses.replace(SMALL, **changes)
    read = Container.from_bytes(given.to_bytes(), "photo.jxc")
    assert read == given
    assert isinstance(read.arithmetic, Arithmetic)


def test_every_flipped_bit_is_refused():
    for bit in range(8 * len(DATA)):
        flipped = bytearray(DATA)
        flipped[bit // 8] ^= 1 << bit % 8
        refused(bytes(flipped), "damaged|not a jaxcorr file|newer")


def test_every_truncation_is_refused():
    for length in range(1, len(DATA)):
        refused(DATA[:length], f"is truncated: {length} ")


def test_the_error_for_a_truncated_payload_states_the_bytes():
    refused(DATA[:50], "photo.jxc is truncated: 50 of 56 bytes")


def test_an_empty_file_is_refused():
    refused(b"", "photo.jxc is empty")


def test_a_longer_file_is_refused():
    refused(DATA + b"\n", "is too long: 57 bytes, but its header says 56")


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "GIF", "WebP", "BMP", "TIFF"])
def test_the_error_for_a_renamed_image_states_its_format(kind):
    buffer = io.BytesIO()
    Image.new("RGB", (8, 8)).save(buffer, format=kind)
    refused(buffer.getvalue(), f"is not a jaxcorr file: it looks like a {kind} image")


@pytest.mark.parametrize("data", [b"hello", b"\xc8", bytes(100)])
def test_unknown_and_truncated_files_have_different_errors(data):
    expected = "truncated" if data == b"\xc8" else "is not a jaxcorr file$"
    refused(data, expected)


@pytest.mark.parametrize("rest", [DATA[5:], b"", b"another layout"])
def test_a_newer_version_is_reported_before_any_damage(rest):
    message = "has version 3, which is newer than 2, the newest this jaxcorr reads"
    refused(DATA[:4] + b"\x03" + rest, message)


def test_damaged_headers_and_damaged_payloads_have_different_errors():
    refused(DATA[:20] + b"\xff" + DATA[21:], "its header fails its checksum")
    refused(DATA[:-1] + b"?", "its payload fails its checksum")


@pytest.mark.parametrize(
    ("offset", "value", "match"),
    [
        (4, b"\0", "version 0"),
        (5, b"\2", "arithmetic 2"),
        (7, b"\1", "reserved 1"),
        (16, bytes(4), "0x513"),
        (20, bytes(4), "768x0"),
    ],
)
def test_impossible_headers_are_refused_despite_a_correct_checksum(
    offset, value, match
):
    refused(
        with_checksum(DATA[:offset] + value + DATA[offset + len(value) : 40]), match
    )


@pytest.mark.parametrize(
    ("name", "value", "rule"),
    [
        ("version", 3, "`version` must be 1 to 2, but is 3"),
        ("width", 0, "`width` must be 1 to 4294967295, but is 0"),
        ("height", 2**32, "`height` must be 1 to"),
        ("offset", 256, "`offset` must be 0 to 255, but is 256"),
        ("symbols_checksum", -1, "`symbols_checksum` must be 0 to"),
        ("fingerprint", b"short", "`fingerprint` must have 8 bytes, but has 5"),
    ],
)
def test_values_that_do_not_fit_their_fields_are_refused(name, value, rule):
    with pytest.raises(ValueError, match=re.escape(rule)):
        dataclasses.replace(SMALL, **{name: value})
