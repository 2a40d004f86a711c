"""Reads and writes PNG files in bands of rows, so that memory is bounded.

Pillow decodes and encodes a PNG file as a whole. But each row of one is coded by
itself, given the row above, so a band of rows can be made a small file, which Pillow
then reads as it would read the whole: with the same palette, profile and transparency.
Likewise bands that Pillow writes are joined to a file, whose bytes are those that it
would write at once, but for the sizes of chunks.
"""

import io
import struct
import zlib
from collections.abc import Iterator
from io import BufferedIOBase
from typing import Any

import numpy as np
from jaxtyping import UInt8
from PIL import Image

START = b"\x89PNG\r\n\x1a\n"
CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
"""Samples of a pixel, by the type of color in the header."""
OF_8_BITS = {1: 0, 2: 4, 3: 2, 4: 6}
"""Type of color whose pixels of 8-bit samples have some bytes."""
METADATA = {b"eXIf", b"iTXt", b"tEXt", b"zTXt"}
"""Chunks of metadata, which bands need not have."""
READ = 2**16
"""Bytes that are read at once."""

_HEADER = struct.Struct(">IIBBBBB")
_CHUNK = struct.Struct(">I4s")


def read_bands(file: BufferedIOBase, rows: int) -> Iterator[bytes] | None:
    """Cuts a PNG file into bands, each of which is a PNG file of its own.

    Args:
      file: The file, at its start.
      rows: Rows of a band.

    Returns:
      The bands from top to bottom; None for a file that is not cut: one with several
      frames, with metadata after the pixels, interlaced, or with 16 bits of color.
    """
    before, start, after = _scan(file)
    width, height, bits, color, *_, interlaced = _HEADER.unpack(before[0][1])
    samples = bits * CHANNELS[color]
    if interlaced or max(1, samples // 8) not in OF_8_BITS or METADATA & after:
        return None
    if b"acTL" in {kind for kind, _ in before}:
        return None
    kept = [chunk for chunk in before[1:] if chunk[0] not in METADATA]
    settings = before[0][1][8:]

    def make_band(raw: UInt8[np.ndarray, "rows stride"]) -> bytes:
        header = struct.pack(">II", width, len(raw)) + settings
        return _make_file(header, kept, np.pad(raw, [(0, 0), (1, 0)]).tobytes())

    def bands() -> Iterator[bytes]:
        stride, pixel = -(-width * samples // 8), max(1, samples // 8)
        stream = _Inflated(file, start)
        above = bytes(stride)
        for first in range(0, height, rows):
            count = min(rows, height - first)
            filtered = stream.read(count * (stride + 1))
            raw = _unfilter(above, filtered, pixel)
            above = raw[-1].tobytes()
            yield make_band(raw)

    return bands()


class PngWriter:
    """Writes a PNG file in bands of rows.

    Args:
      file: File to write to.
      height: Rows of the image.
      level: Level of deflate.
      options: Arguments of `Image.save`, such as metadata.
    """

    def __init__(self, file: BufferedIOBase, height: int, level: int, options: Any):
        self._file = file
        self._height = height
        self._options = {**options, "compress_level": 0}
        # The settings with which Pillow compresses filtered rows.
        self._stream = zlib.compressobj(level, zlib.DEFLATED, 15, 9, zlib.Z_FILTERED)
        self._last: Image.Image | None = None
        self._after: list[tuple[bytes, bytes]] = []

    def write(self, band: Image.Image) -> None:
        """Writes the next rows, an image of mode L, LA, RGB or RGBA."""
        width, rows = band.size
        above = self._last
        if above is not None:
            joined = Image.new(band.mode, (width, rows + 1))
            joined.paste(above, (0, 0))
            joined.paste(band, (0, 1))
        else:
            joined = band
        buffer = io.BytesIO()
        joined.save(buffer, format="PNG", **self._options)
        filtered = self._write_header(buffer)
        stride = width * len(band.getbands()) + 1
        rest = memoryview(filtered)[0 if above is None else stride :]
        self._write_data(self._stream.compress(rest))
        self._last = band.crop((0, rows - 1, width, rows))

    def close(self) -> None:
        """Writes the end of the file, after its last rows."""
        self._write_data(self._stream.flush())
        for kind, content in self._after:
            self._file.write(_make_chunk(kind, content))

    def _write_header(self, band: io.BytesIO) -> bytes:
        """Returns the filtered rows of a band; writes what precedes the first ones."""
        band.seek(0)
        before, start, _ = _scan(band)
        stream = _Inflated(band, start)
        if self._last is None:
            header = bytearray(before[0][1])
            struct.pack_into(">I", header, 4, self._height)
            self._file.write(START + _make_chunk(b"IHDR", bytes(header)))
            for kind, content in before[1:]:
                self._file.write(_make_chunk(kind, content))
        filtered = stream.read_all()
        if self._last is None:
            band.seek(stream.end)
            self._after = list(_read_chunks(band))
        return filtered

    def _write_data(self, data: bytes) -> None:
        if data:
            self._file.write(_make_chunk(b"IDAT", data))


class _Inflated:
    """The filtered rows in the chunks IDAT of a file.

    Args:
      file: The file.
      position: Position of the first of the chunks.

    Attributes:
      end: Position after the last chunk that was read.
    """

    def __init__(self, file: BufferedIOBase, position: int):
        self.end = position
        self._file = file
        self._stream = zlib.decompressobj()
        self._left = 0

    def read(self, count: int) -> bytes:
        """Returns the next bytes.

        Raises:
          OSError: If the file ends early.
        """
        parts = []
        while count:
            data = self._stream.unconsumed_tail or self._read_input()
            part = self._stream.decompress(data, count)
            if not data and not part:
                raise OSError("image file is truncated")
            count -= len(part)
            parts.append(part)
        return b"".join(parts)

    def read_all(self) -> bytes:
        """Returns all bytes that are left."""
        parts = []
        while data := self._read_input():
            parts.append(self._stream.decompress(data))
        return b"".join(parts)

    def _read_input(self) -> bytes:
        """Returns compressed bytes; none at the end."""
        while not self._left:
            self._file.seek(self.end)
            start = self._file.read(_CHUNK.size)
            if len(start) < _CHUNK.size:
                return b""
            length, kind = _CHUNK.unpack(start)
            if kind != b"IDAT":
                return b""
            self._left = length
            self.end += _CHUNK.size + length + 4
        self._file.seek(self.end - 4 - self._left)
        data = self._file.read(min(READ, self._left))
        self._left -= len(data)
        return data


def _unfilter(
    above: bytes, filtered: bytes, pixel: int
) -> UInt8[np.ndarray, "rows stride"]:
    """Returns the bytes of rows, by an image of 8-bit samples with the same pixels.

    Args:
      above: Bytes of the row above.
      filtered: Rows with their filters.
      pixel: Bytes of a pixel, from which filters predict the next.
    """
    stride = len(above)
    rows = len(filtered) // (stride + 1)
    settings = bytes([8, OF_8_BITS[pixel], 0, 0, 0])
    header = struct.pack(">II", stride // pixel, rows + 1) + settings
    data = _make_file(header, [], b"\0" + above + filtered)
    with Image.open(io.BytesIO(data)) as image:
        return np.asarray(image)[1:].reshape(rows, stride)


def _scan(file: BufferedIOBase) -> tuple[list[tuple[bytes, bytes]], int, set[bytes]]:
    """Returns the chunks before the pixels, where these start, and the types after."""
    file.read(len(START))
    before, start, after = [], 0, set()
    while len(header := file.read(_CHUNK.size)) == _CHUNK.size:
        length, kind = _CHUNK.unpack(header)
        if kind == b"IDAT":
            start = start or file.tell() - _CHUNK.size
        elif start:
            after.add(kind)
        else:
            before.append((kind, file.read(length)))
            length = 0
        file.seek(length + 4, io.SEEK_CUR)
    return before, start, after


def _read_chunks(file: BufferedIOBase) -> Iterator[tuple[bytes, bytes]]:
    while len(header := file.read(_CHUNK.size)) == _CHUNK.size:
        length, kind = _CHUNK.unpack(header)
        yield kind, file.read(length)
        file.seek(4, io.SEEK_CUR)


def _make_file(header: bytes, kept: list[tuple[bytes, bytes]], rows: bytes) -> bytes:
    chunks = [
        (b"IHDR", header),
        *kept,
        (b"IDAT", zlib.compress(rows, 0)),
        (b"IEND", b""),
    ]
    return START + b"".join(_make_chunk(*chunk) for chunk in chunks)


def _make_chunk(kind: bytes, content: bytes) -> bytes:
    checksum = zlib.crc32(content, zlib.crc32(kind))
    return _CHUNK.pack(len(content), kind) + content + struct.pack(">I", checksum)
