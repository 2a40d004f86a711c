"""Side sections of a file: what it keeps of a picture beside the coded pixels.

The content of `Section.ALPHA` is a byte that names a prediction, and the opacity of the
pixels in rows, each as its difference from the prediction modulo 256, compressed by
zlib. The prediction is 0, 1 the pixel to the left, or 2 the pixel above; beyond the
image it is 0.
"""

import zlib
from collections.abc import Iterable, Iterator, Mapping

import numpy as np
from jaxtyping import UInt8

from jaxcorr.bitstream.sections import Section
from jaxcorr.errors import UserError
from jaxcorr.images import Metadata, Picture, PictureRows

METADATA = (Section.EXIF, Section.XMP, Section.ICC)
"""Types of the sections that `unpack_metadata` reads."""
_AXES = {0: None, 1: 1, 2: 0}
"""Axis along which the neighbor is that predicts a pixel."""


def pack(picture: Picture | PictureRows) -> dict[int, bytes]:
    """Returns the side sections of a picture; none for an opaque one in color.

    Args:
      picture: The picture, or its rows, all of which have been read.
    """
    metadata, alpha = picture.metadata, picture.alpha
    sections = {
        Section.EXIF: metadata.exif,
        Section.XMP: metadata.xmp,
        Section.ICC: metadata.icc,
    }
    sections = {kind: content for kind, content in sections.items() if content}
    if alpha is not None:
        sections[Section.ALPHA] = compress_alpha(alpha)
    if picture.is_gray:
        sections[Section.GRAY] = b""
    return {int(kind): sections[kind] for kind in sorted(sections)}


def unpack(
    sections: Mapping[int, bytes], rgb: UInt8[np.ndarray, "h w 3"], name: str
) -> Picture:
    """Returns the picture with decoded pixels, and what the sections hold.

    Args:
      sections: Side sections of the file.
      rgb: Decoded pixels.
      name: Name of the file, for messages.

    Raises:
      UserError: If a section is damaged.
    """
    (picture,) = unpack_rows(sections, [rgb], rgb.shape[:2], name)
    return picture


def unpack_rows(
    sections: Mapping[int, bytes],
    bands: Iterable[UInt8[np.ndarray, "rows w 3"]],
    size: tuple[int, int],
    name: str,
) -> Iterator[Picture]:
    """Yields bands of the picture with decoded pixels; see `unpack`.

    Args:
      sections: Side sections of the file.
      bands: Decoded pixels in bands of rows, from the top.
      size: Height and width of the image.
      name: Name of the file, for messages.

    Raises:
      UserError: If a section is damaged.
    """
    opacity = None
    if Section.ALPHA in sections:
        opacity = decompress_alpha(sections[Section.ALPHA], size, name)
    metadata, end = unpack_metadata(sections), 0
    for rgb in bands:
        alpha = None
        if opacity is not None:
            alpha = opacity[end : end + len(rgb)]
            rgb = np.where(alpha[..., None] == 0, np.uint8(255), rgb)
        end += len(rgb)
        picture = Picture(rgb=rgb, alpha=alpha, metadata=metadata)
        yield picture.as_gray() if Section.GRAY in sections else picture


def unpack_metadata(sections: Mapping[int, bytes]) -> Metadata:
    """Returns the metadata in side sections."""
    return Metadata(
        exif=sections.get(Section.EXIF, b""),
        xmp=sections.get(Section.XMP, b""),
        icc=sections.get(Section.ICC, b""),
    )


def compress_alpha(alpha: UInt8[np.ndarray, "h w"]) -> bytes:
    """Returns the content of `Section.ALPHA`: the shortest over the predictions."""
    found = []
    for prediction, axis in _AXES.items():
        values = (
            alpha if axis is None else np.diff(alpha, axis=axis, prepend=np.uint8(0))
        )
        found.append(bytes([prediction]) + zlib.compress(values.tobytes(), 9))
    return min(found, key=len)


def decompress_alpha(
    content: bytes, size: tuple[int, int], name: str
) -> UInt8[np.ndarray, "h w"]:
    """Returns the opacity of the pixels.

    Args:
      content: Content of the section.
      size: Height and width of the image. No more memory is taken, whatever the section
        holds.
      name: Name of the file, for messages.

    Raises:
      UserError: If the section is damaged, or of another size.
    """
    count = size[0] * size[1]
    stream = zlib.decompressobj()
    try:
        values = stream.decompress(content[1:], count + 1)
        axis = _AXES[content[0]]
    except (zlib.error, IndexError, KeyError) as error:
        raise UserError(
            f"{name} is damaged: its transparency cannot be read"
        ) from error
    if len(values) != count or stream.unused_data:
        raise UserError(f"{name} is damaged: its transparency has another size")
    alpha = np.frombuffer(values, np.uint8).reshape(size)
    return alpha if axis is None else np.cumsum(alpha, axis=axis, dtype=np.uint8)
