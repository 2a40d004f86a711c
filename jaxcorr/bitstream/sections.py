"""Side sections at the end of a file.

A side section holds something beside the pixels, and no type occurs twice:

| byte | size | holds                                                                 |
| ---- | ---- | --------------------------------------------------------------------- |
|    0 |    1 | type; see `Section`                                                   |
|    1 |    4 | length in bytes                                                       |
|    5 |    … | content                                                               |

A decoder skips a section whose type it does not know, unless the type is 128 or more:
then the picture would be wrong without it, and the file is refused.
"""

import enum
import struct
from collections.abc import Mapping, Sequence

from jaxcorr import model_names
from jaxcorr.errors import UserError

SECTION = struct.Struct("<BI")
"""Type and length, which precede the content."""


class Section(enum.IntEnum):
    """Type of a side section."""

    ALPHA = 1
    """Opacity of the pixels; see `side_sections`."""
    GRAY = 2
    """The image is gray; without content."""
    EXIF = 3
    """EXIF data in the form of a TIFF file, with orientation 1."""
    XMP = 4
    """XMP packet."""
    ICC = 5
    """ICC profile of the color space of the pixels; without it, this is sRGB."""
    MODEL = 6
    """Name of the model, at most 24 bytes of UTF-8, for people who look for it."""


NEEDED_SECTIONS = range(128, 256)
"""Types that a decoder must know to decode the picture rightly."""
MAX_SECTIONS = 255


def pack_model_name(name: str | None) -> dict[int, bytes]:
    """Returns the side section with the name of a model; none without a name."""
    return {int(Section.MODEL): model_names.to_bytes(name)} if name else {}


def unpack_model_name(sections: Mapping[int, bytes]) -> str | None:
    """Returns the name of the model in side sections, or None if there is none."""
    content = sections.get(Section.MODEL)
    return model_names.from_bytes(content) if content else None


def pack_sections(sections: Mapping[int, bytes]) -> bytes:
    """Returns the bytes of side sections at the end of a file."""
    parts = (
        SECTION.pack(kind, len(content)) + content for kind, content in sections.items()
    )
    return b"".join(parts)


def find_sections(
    data: bytes, position: int, count: int
) -> tuple[list[tuple[int, int, int]], int]:
    """Finds side sections, without copying any.

    Args:
      data: Bytes of the file, which may end early.
      position: Position of the first section.
      count: Number of sections.

    Returns:
      Type, start and end of the content of each section, up to the first that is not
      complete, and where the file must at least end.
    """
    found = []
    for _ in range(count):
        start = position + SECTION.size
        if start > len(data):
            return found, start
        kind, length = SECTION.unpack_from(data, position)
        position = start + length
        if position > len(data):
            return found, position
        found.append((kind, start, position))
    return found, position


def read_sections(
    data: bytes, found: Sequence[tuple[int, int, int]], name: str
) -> dict[int, bytes]:
    """Returns the content of side sections by their type.

    Args:
      data: Bytes of the file.
      found: Type, start and end of each, from `find_sections`.
      name: Name of the file, for messages.

    Raises:
      UserError: If a type occurs twice, or is needed to decode the picture, but not
        known.
    """
    sections = {kind: data[start:end] for kind, start, end in found}
    if len(sections) < len(found):
        raise UserError(f"{name} is damaged: it has a side section twice")
    _check_known(sections, name)
    return sections


def check_sections(sections: Mapping[int, bytes]) -> None:
    """Checks that side sections fit into a file.

    Raises:
      ValueError: If one does not.
    """
    for kind, content in sections.items():
        if not (0 <= kind < 2**8 and len(content) < 2**32):
            raise ValueError(
                "A section must have a type of 0 to 255 and less than 2**32 bytes, but "
                f"is {kind} with {len(content)} bytes."
            )


def _check_known(sections: Mapping[int, bytes], name: str) -> None:
    """Raises if a section is needed to decode the picture, but not known."""
    unknown = [kind for kind in sections if kind in NEEDED_SECTIONS]
    if unknown:
        raise UserError(
            f"{name} has a side section of type {unknown[0]}, which a later version of "
            "jaxcorr needs to decode it"
        )
