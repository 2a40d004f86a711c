"""The file format: a header of 44 bytes, the payloads of z and y, and side sections.

Integers are unsigned and little-endian.

| byte | size | holds                                                                 |
| ---- | ---- | --------------------------------------------------------------------- |
|    0 |    4 | magic: C8 4A 58 43, `JXC` after a byte that no text starts with       |
|    4 |    1 | version: 2, or 1 for networks that see the whole canvas                |
|    5 |    1 | arithmetic of what feeds the range coder: 0 float64, 1 float32        |
|    6 |    1 | offset: how far the encoder shifted the rounding grids                |
|    7 |    1 | number of side sections; 0 in version 1                                |
|    8 |    8 | fingerprint of the model                                              |
|   16 |    4 | width of the image in pixels, not 0                                   |
|   20 |    4 | height of the image in pixels, not 0                                  |
|   24 |    4 | length of the payload of z in bytes                                   |
|   28 |    4 | length of the payload of y in bytes                                   |
|   32 |    4 | CRC-32 of what the payloads decode to: the symbols and y_hat          |
|   36 |    4 | CRC-32 of all that follows the header                                 |
|   40 |    4 | CRC-32 of bytes 0 to 39                                               |
|   44 |    … | payload of z, then of y, then the side sections; nothing after them   |

A later version keeps bytes 0 to 4 and may change everything after them. The CRC-32 is
that of `zlib`. `sections` describes the side sections.
"""

import dataclasses
import enum
import struct
import zlib
from collections.abc import Mapping
from typing import NamedTuple

from jaxcorr.bitstream import sections
from jaxcorr.errors import UserError

MAGIC = b"\xc8JXC"
VERSION = 2
"""Version of the files that are written; earlier ones are read."""
UNMASKED_VERSION = 1
"""Last version in whose files the networks see the whole canvas."""
FINGERPRINT_BYTES = 8
HEADER_BYTES = 44

_FIELDS = struct.Struct("<4sBBBB8sIIIIII")
_CHECKSUM = struct.Struct("<I")

_OTHER_FORMATS = {
    b"\x89PNG": "a PNG image",
    b"\xff\xd8\xff": "a JPEG image",
    b"GIF8": "a GIF image",
    b"RIFF": "a WebP image",
    b"BM": "a BMP image",
    b"II*\0": "a TIFF image",
    b"MM\0*": "a TIFF image",
    b"%PDF": "a PDF document",
    b"PK": "a ZIP archive",
    b"\x1f\x8b": "a gzip archive",
}


class Arithmetic(enum.IntEnum):
    """Arithmetic of the networks that feed the range coder.

    Encoder and decoder must agree to the last bit.
    """

    PORTABLE = 0
    """float64, rounded to guarded grids: decodes on any machine."""
    FAST = 1
    """float32: decodes on a similar machine only."""


class Header(NamedTuple):
    """Fields of the header of a file; see `Container`.

    Attributes:
      version: Version of the format.
      arithmetic: Arithmetic of the networks.
      offset: Shift of the rounding grids.
      num_sections: Number of side sections.
      fingerprint: Fingerprint of the model.
      width: Width of the image in pixels.
      height: Height of the image in pixels.
      z_length: Length of the side information in bytes.
      y_length: Length of the latents in bytes.
      symbols_checksum: Checksum of what the payloads decode to.
      payload_checksum: Checksum of all that follows the header.
    """

    version: int
    arithmetic: Arithmetic
    offset: int
    num_sections: int
    fingerprint: bytes
    width: int
    height: int
    z_length: int
    y_length: int
    symbols_checksum: int
    payload_checksum: int

    @property
    def sections_start(self) -> int:
        """Position of the first side section, after the payloads."""
        return HEADER_BYTES + self.z_length + self.y_length


@dataclasses.dataclass(frozen=True, kw_only=True)
class Container:
    """Content of a compressed file.

    Attributes:
      version: Version of the format, 1 or 2.
      arithmetic: Arithmetic of the networks that feed the range coder.
      offset: Shift of the rounding grids, 0 to 255.
      fingerprint: Fingerprint of the model, 8 bytes.
      width: Width of the image in pixels, 1 to 2**32 - 1.
      height: Height of the image in pixels, 1 to 2**32 - 1.
      z_payload: Coded side information.
      y_payload: Coded latents.
      symbols_checksum: CRC-32 of the symbols and of y_hat, which lets a decoder check
        that it decoded the encoder's latents.
      sections: Content of the side sections by their type, which may be unknown.

    Raises:
      ValueError: If a value does not fit its field in the file.
    """

    version: int = VERSION
    arithmetic: Arithmetic
    offset: int = 0
    fingerprint: bytes
    width: int
    height: int
    z_payload: bytes
    y_payload: bytes
    symbols_checksum: int
    sections: Mapping[int, bytes] = dataclasses.field(default_factory=dict)

    def __post_init__(self):
        """Checks that every value fits its field in the file."""
        ranges = {
            "version": (1, VERSION),
            "offset": (0, 2**8 - 1),
            "width": (1, 2**32 - 1),
            "height": (1, 2**32 - 1),
            "symbols_checksum": (0, 2**32 - 1),
        }
        for name, (low, high) in ranges.items():
            value = getattr(self, name)
            if not low <= value <= high:
                raise ValueError(f"`{name}` must be {low} to {high}, but is {value}.")
        if len(self.fingerprint) != FINGERPRINT_BYTES:
            raise ValueError(
                f"`fingerprint` must have {FINGERPRINT_BYTES} bytes, but has "
                f"{len(self.fingerprint)}."
            )
        allowed = sections.MAX_SECTIONS if self.version > UNMASKED_VERSION else 0
        if len(self.sections) > allowed:
            raise ValueError(
                f"`sections` must be at most {allowed} in version {self.version}, but "
                f"are {len(self.sections)}."
            )
        sections.check_sections(self.sections)

    def to_bytes(self) -> bytes:
        """Returns the bytes of the file."""
        body = self.z_payload + self.y_payload + sections.pack_sections(self.sections)
        fields = _FIELDS.pack(
            MAGIC,
            self.version,
            self.arithmetic,
            self.offset,
            len(self.sections),
            self.fingerprint,
            self.width,
            self.height,
            len(self.z_payload),
            len(self.y_payload),
            self.symbols_checksum,
            zlib.crc32(body),
        )
        return fields + _CHECKSUM.pack(zlib.crc32(fields)) + body

    @classmethod
    def from_bytes(cls, data: bytes, name: str) -> "Container":
        """Reads the bytes of a file.

        Args:
          data: Bytes of the file.
          name: Name of the file, for messages.

        Raises:
          UserError: If `data` is not a complete and undamaged file of this format.
        """
        header = read_header(data, name)
        body, end = data[HEADER_BYTES:], header.sections_start
        found, expected = sections.find_sections(data, end, header.num_sections)
        if len(data) < expected:
            raise UserError(
                f"{name} is truncated: {len(data)} of {expected} bytes"
                f"{' or more' if len(found) < header.num_sections else ''}"
            )
        if len(data) > expected:
            raise UserError(
                f"{name} is too long: {len(data)} bytes, but its header says {expected}"
            )
        if zlib.crc32(body) != header.payload_checksum:
            raise UserError(f"{name} is damaged: its payload fails its checksum")
        return cls(
            version=header.version,
            arithmetic=header.arithmetic,
            offset=header.offset,
            fingerprint=header.fingerprint,
            width=header.width,
            height=header.height,
            z_payload=body[: header.z_length],
            y_payload=data[HEADER_BYTES + header.z_length : end],
            symbols_checksum=header.symbols_checksum,
            sections=sections.read_sections(data, found, name),
        )


def read_header(data: bytes, name: str) -> Header:
    """Reads the header of a file, whose other bytes may be missing.

    Args:
      data: Bytes of the file, at least `HEADER_BYTES`.
      name: Name of the file, for messages.

    Raises:
      UserError: If they do not start with a header of this format.
    """
    _check_start(data, name)
    header = data[: _FIELDS.size]
    if _CHECKSUM.unpack_from(data, _FIELDS.size) != (zlib.crc32(header),):
        raise UserError(f"{name} is damaged: its header fails its checksum")
    _, version, arithmetic, offset, count, *fields = _FIELDS.unpack(header)
    fingerprint, width, height, *others = fields
    too_many = count > 0 and version <= UNMASKED_VERSION
    if not version or arithmetic not in set(Arithmetic) or too_many:
        raise UserError(
            f"{name} is damaged: its header says version {version}, arithmetic "
            f"{arithmetic}, {count} side sections"
        )
    if 0 in (width, height):
        raise UserError(f"{name} is damaged: its header says {width}x{height}")
    return Header(
        version,
        Arithmetic(arithmetic),
        offset,
        count,
        fingerprint,
        width,
        height,
        *others,
    )


def _check_start(data: bytes, name: str) -> None:
    """Raises if the data is of another format or a later version, or too short."""
    if not data:
        raise UserError(f"{name} is empty")
    if data[: len(MAGIC)] != MAGIC[: len(data)]:
        raise UserError(f"{name} is not a jaxcorr file{_describe_format(data)}")
    # Before any checksum, since a later version may lay out its header otherwise.
    version = data[len(MAGIC)] if len(data) > len(MAGIC) else VERSION
    if version > VERSION:
        raise UserError(
            f"{name} has version {version}, which is newer than {VERSION}, the newest "
            "this jaxcorr reads"
        )
    if len(data) < HEADER_BYTES:
        raise UserError(
            f"{name} is truncated: {len(data)} bytes, but a header has {HEADER_BYTES}"
        )


def _describe_format(data: bytes) -> str:
    """Returns the end of a message, which names a known format."""
    for start, description in _OTHER_FORMATS.items():
        if data.startswith(start):
            return f": it looks like {description}"
    return ""
