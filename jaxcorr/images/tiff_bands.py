"""Reads TIFF files in bands of rows, so that memory is bounded.

A TIFF file holds strips or tiles, each of which is compressed by itself. So a few of
them, with the entries that say how pixels are stored, are a small TIFF file, which
Pillow reads as it would read the whole.
"""

import dataclasses
import itertools
import struct
from collections.abc import Iterator, Sequence
from io import BufferedIOBase

ORDERS = {b"II*\0": "<", b"MM\0*": ">"}
"""Order of bytes, by the start of a file; others are of another format."""
TYPE_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8}
"""Bytes of a value, by its type."""
UNSIGNED = {1: "B", 3: "H", 4: "I"}

HEIGHT, COMPRESSION, PHOTOMETRIC = 257, 259, 262
ORIENTATION, PLANES = 274, 284
STRIPS = 273, 279, 278
"""Entries with offsets, lengths and rows of strips."""
TILES = 324, 325, 323
"""The same of tiles."""
WIDTH, BITS, SAMPLES, TILE_WIDTH = 256, 258, 277, 322
KEPT = {
    *(WIDTH, BITS, COMPRESSION, PHOTOMETRIC, 266, SAMPLES, PLANES, 292, 293, 317, 320),
    *(TILE_WIDTH, TILES[2], 332, 333, 338, 339, 347, 529, 530, 531, 532, 34675),
}
"""Entries that say how pixels are stored and what their colors are."""
NONE, OLD_JPEG = 1, 6
"""Values of `COMPRESSION`: none, and one whose strips are not files of their own."""
YCBCR = 6
"""Value of `PHOTOMETRIC` whose rows may not be stored one after another."""


def read_bands(file: BufferedIOBase, rows: int, page: int) -> Iterator[bytes] | None:
    """Cuts a page of a TIFF file into bands, each of which is a TIFF file of its own.

    Args:
      file: The file, at its start.
      rows: Rows of a band, about.
      page: Number of the page, from 0.

    Returns:
      The bands from top to bottom; None for a page that is not cut: one that is turned,
      has its colors one after another, is compressed as a whole, or is in BigTIFF.
    """
    order = ORDERS.get(file.read(4))
    entries = _read_page(file, order, page) if order else {}
    is_tiled = TILES[0] in entries
    offsets, lengths, size = TILES if is_tiled else STRIPS
    if not {WIDTH, HEIGHT, offsets, lengths} <= entries.keys():
        return None

    def value(tag: int, default: int) -> int:
        return entries[tag].numbers()[0] if tag in entries else default

    if value(ORIENTATION, 1) != 1 or value(PLANES, 1) != 1:
        return None
    if value(COMPRESSION, NONE) == OLD_JPEG:
        return None
    width, height = value(WIDTH, 0), value(HEIGHT, 0)
    segments = list(
        zip(entries[offsets].numbers(), entries[lengths].numbers(), strict=True)
    )
    step = min(value(size, height), height)
    across = -(-width // value(TILE_WIDTH, width)) if is_tiled else 1
    is_plain = not is_tiled and value(COMPRESSION, NONE) == NONE
    if is_plain and value(PHOTOMETRIC, 0) != YCBCR:
        bits = entries[BITS].numbers() if BITS in entries else [1]
        stride = -(-width * value(SAMPLES, 1) * bits[0] // 8)
        segments, step = _cut_strips(segments, stride, rows, height, step)
    if step > 4 * rows or len(segments) != -(-height // step) * across:
        return None
    kept = {tag: entries[tag] for tag in sorted(KEPT & entries.keys())}

    def bands() -> Iterator[bytes]:
        at_once = max(1, rows // step)
        for first in range(0, -(-height // step), at_once):
            count = min(at_once * step, height - first * step)
            part = segments[first * across : (first + at_once) * across]
            data = [_read(file, *segment) for segment in part]
            numbers = {HEIGHT: [count]}
            if not is_tiled:
                numbers[size] = [min(step, count)]
            yield _make_file(order or "<", kept, numbers, (offsets, lengths), data)

    return bands()


@dataclasses.dataclass(frozen=True)
class _Entry:
    """An entry of a page.

    Attributes:
      order: Order of bytes.
      kind: Type of the values.
      content: Bytes of the values.
    """

    order: str
    kind: int
    content: bytes

    @property
    def count(self) -> int:
        """Number of values."""
        return len(self.content) // TYPE_SIZES[self.kind]

    def numbers(self) -> Sequence[int]:
        """Returns the values, which are unsigned integers."""
        code = UNSIGNED[self.kind]
        return struct.unpack(f"{self.order}{self.count}{code}", self.content)


def _read_page(file: BufferedIOBase, order: str, page: int) -> dict[int, _Entry]:
    """Returns the entries of a page by their tags."""
    found: list[tuple[int, int, int, bytes]] = []
    for _ in range(page + 1):
        (position,) = struct.unpack(f"{order}I", file.read(4))
        file.seek(position)
        (count,) = struct.unpack(f"{order}H", file.read(2))
        found = [struct.unpack(f"{order}HHI4s", file.read(12)) for _ in range(count)]
    entries = {}
    for tag, kind, count, value in found:
        size = count * TYPE_SIZES.get(kind, 0)
        if size > 4:
            (position,) = struct.unpack(f"{order}I", value)
            value = _read(file, position, size)
        if size:
            entries[tag] = _Entry(order, kind, value[:size])
    return entries


def _cut_strips(
    segments: Sequence[tuple[int, int]], stride: int, rows: int, height: int, step: int
) -> tuple[list[tuple[int, int]], int]:
    """Cuts strips that are not compressed, if they have more rows than a band.

    Returns:
      Offsets and lengths of the new strips, and their rows; no strips if the old ones
      are too short.
    """
    if step <= rows:
        return list(segments), step
    starts = [
        offset + row * stride
        for index, (offset, length) in enumerate(segments)
        for row in range(min(step, height - index * step))
        if (row + 1) * stride <= length
    ]
    if len(starts) != height:
        return [], rows
    if len(segments) > 1:  # A band may begin in one strip and end in the next.
        return [(start, stride) for start in starts], 1
    return [
        (starts[row], min(rows, height - row) * stride)
        for row in range(0, height, rows)
    ], rows


def _read(file: BufferedIOBase, position: int, length: int) -> bytes:
    file.seek(position)
    data = file.read(length)
    if len(data) < length:
        raise OSError("image file is truncated")
    return data


def _make_file(
    order: str,
    kept: dict[int, _Entry],
    numbers: dict[int, list[int]],
    places: tuple[int, int],
    segments: Sequence[bytes],
) -> bytes:
    """Returns a TIFF file of one page.

    Args:
      order: Order of bytes.
      kept: Entries that are copied.
      numbers: Values of other entries.
      places: Tags of the offsets and the lengths of segments.
      segments: Strips or tiles.
    """
    lengths = [len(segment) for segment in segments]
    numbers = numbers | {places[0]: [0] * len(segments), places[1]: lengths}
    entries = kept | {tag: _entry(order, values) for tag, values in numbers.items()}
    directory = 8 + 2 + 12 * len(entries) + 4
    values_size = sum(
        len(entry.content) for entry in entries.values() if len(entry.content) > 4
    )
    starts = list(itertools.accumulate(lengths, initial=directory + values_size))[:-1]
    entries[places[0]] = _entry(order, starts)
    start = {"<": b"II*\0", ">": b"MM\0*"}[order] + struct.pack(f"{order}I", 8)
    parts = [start, struct.pack(f"{order}H", len(entries))]
    values, position = [], directory
    for tag, entry in sorted(entries.items()):
        content = entry.content.ljust(4, b"\0")
        if len(content) > 4:
            values.append(content)
            content = struct.pack(f"{order}I", position)
            position += len(values[-1])
        parts.append(struct.pack(f"{order}HHI", tag, entry.kind, entry.count) + content)
    return b"".join([*parts, bytes(4), *values, *segments])


def _entry(order: str, values: Sequence[int]) -> _Entry:
    return _Entry(order, 4, struct.pack(f"{order}{len(values)}I", *values))
