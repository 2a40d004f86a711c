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


SECTIONS = {1: b"opacity", 2: b"", 77: b"of a later version"}
KEPT = dataclasses.replace(SMALL, sections=SECTIONS)


def test_side_sections_follow_the_payloads_as_documented():
    data = KEPT.to_bytes()
    sections = b"\x01\x07\0\0\0opacity\x02\0\0\0\0\x4d\x12\0\0\0of a later version"
    assert data[container.HEADER_BYTES :] == b"sidelatents!" + sections
    assert data[7] == 3
    assert data[36:40] == zlib.crc32(b"sidelatents!" + sections).to_bytes(4, "little")
    assert Container.from_bytes(data, "photo.jxc") == KEPT


def test_damage_to_a_side_section_is_refused():
    data = KEPT.to_bytes()
    for bit in range(8 * len(DATA), 8 * len(data)):
        flipped = bytearray(data)
        flipped[bit // 8] ^= 1 << bit % 8
        refused(bytes(flipped), "damaged|truncated|too long")
    for length in range(len(DATA), len(data)):
        refused(data[:length], f"is truncated: {length} ")


def with_sections(count, body):
    """Returns a file that claims side sections, with correct checksums."""
    body = b"sidelatents!" + body
    fields = DATA[:7] + bytes([count]) + DATA[8:36]
    fields += zlib.crc32(body).to_bytes(4, "little")
    return fields + zlib.crc32(fields).to_bytes(4, "little") + body


@pytest.mark.parametrize(
    ("count", "body", "match"),
    [
        (1, b"", "is truncated: 56 of 61 bytes or more"),
        (1, b"\1\xff\xff\xff\xffx", "is truncated: 62 of 4294967356 bytes or more"),
        (2, 2 * b"\1\1\0\0\0x", "is damaged: it has a side section twice"),
        (1, b"\x80\0\0\0\0", "type 128, which a later version of jaxcorr needs"),
        (0, b"\1\0\0\0\0", "is too long: 61 bytes, but its header says 56"),
    ],
)
def test_impossible_side_sections_are_refused_despite_a_correct_checksum(
    count, body, match
):
    refused(with_sections(count, body), match)


def test_version_1_has_no_side_sections():
    with pytest.raises(ValueError, match="`sections` must be at most 0 in version 1"):
        dataclasses.replace(KEPT, version=1)
    header = dataclasses.replace(SMALL, version=1).to_bytes()[:40]
    refused(with_checksum(header[:7] + b"\1" + header[8:]), "1 side sections")


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
