"""Reads and writes images: 8-bit RGB, and what a file keeps beside it.

Internal: modules and names may change in any version.

`read_image` gives the pixels alone, which training and evaluation use. `read` gives a
`Picture`, with transparency, metadata and what was changed.
"""

from jaxcorr.images.forms import ImageLike, map_images, to_picture, to_rgb
from jaxcorr.images.parts import read_size
from jaxcorr.images.picture import (
    Metadata,
    Picture,
    describe_changes,
    parse_color,
)
from jaxcorr.images.reader import (
    count_pages,
    decode,
    find_images,
    limit_megapixels,
    read,
    read_image,
)
from jaxcorr.images.row_reader import (
    UnreadableImage,
    decode_rows,
    is_large,
    read_rows,
)
from jaxcorr.images.rows import PictureRows
from jaxcorr.images.writer import (
    check_suffix,
    encode,
    write_image,
    write_picture,
    write_rows,
    writes_rows,
)

__all__ = [
    "ImageLike",
    "Metadata",
    "Picture",
    "PictureRows",
    "UnreadableImage",
    "check_suffix",
    "count_pages",
    "decode",
    "decode_rows",
    "describe_changes",
    "encode",
    "find_images",
    "is_large",
    "limit_megapixels",
    "map_images",
    "parse_color",
    "read",
    "read_image",
    "read_rows",
    "read_size",
    "to_picture",
    "to_rgb",
    "write_image",
    "write_picture",
    "write_rows",
    "writes_rows",
]
