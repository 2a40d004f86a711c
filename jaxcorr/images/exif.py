"""Reads and resets the orientation in EXIF data and XMP packets.

Only the entry of the orientation is read. Pillow reads the others too, and fails at
those whose type is not the one that the standard names, which cameras do write.
"""

import re
import struct

from PIL import Image

UPRIGHT = 1
"""Orientation of an image that is stored upright."""
TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""Operation that turns an image upright, by orientation; others mean nothing."""

START = b"Exif\0\0"
"""Bytes before the data in JPEG files."""
ORIENTATION = 0x0112
"""Tag of the orientation."""

_ORDERS = {b"II": "<", b"MM": ">"}
_TYPES = {1: "B", 3: "H", 4: "I"}
_IN_XMP = re.compile(rb"(tiff:Orientation(?:=[\"']|>))([0-9])")


def orientation(exif: bytes, xmp: bytes = b"") -> int:
    """Returns the orientation of an image, from 1 to 8.

    Args:
      exif: EXIF data, with or without `START`. If it is damaged, or its value means
        nothing, the image is upright.
      xmp: XMP packet, which counts if the EXIF data have no orientation.
    """
    found = _find(exif)
    if found is not None:
        value = found[2]
    else:
        match = _IN_XMP.search(xmp)
        value = int(match[2]) if match else UPRIGHT
    return value if value in TURNS else UPRIGHT


def reset_exif(exif: bytes) -> bytes:
    """Returns EXIF data without `START`, whose orientation is 1."""
    exif = exif.removeprefix(START)
    found = _find(exif)
    if found is None:
        return exif
    position, format, _ = found
    changed = bytearray(exif)
    struct.pack_into(format, changed, position, UPRIGHT)
    return bytes(changed)


def reset_xmp(xmp: bytes) -> bytes:
    """Returns an XMP packet whose orientation is 1."""
    return _IN_XMP.sub(rb"\g<1>1", xmp)


def _find(exif: bytes) -> tuple[int, str, int] | None:
    """Returns position, format and value of the orientation; None if there is none."""
    start = len(START) if exif.startswith(START) else 0
    order = _ORDERS.get(exif[start : start + 2])
    if order is None:
        return None
    try:
        (offset,) = struct.unpack_from(f"{order}I", exif, start + 4)
        (count,) = struct.unpack_from(f"{order}H", exif, start + offset)
        for number in range(count):
            position = start + offset + 2 + 12 * number
            tag, kind = struct.unpack_from(f"{order}HH", exif, position)
            if tag == ORIENTATION and kind in _TYPES:
                format = order + _TYPES[kind]
                (value,) = struct.unpack_from(format, exif, position + 8)
                return position + 8, format, value
    except struct.error:
        pass  # The data end early.
    return None
