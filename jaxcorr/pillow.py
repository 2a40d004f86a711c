"""Lets Pillow open and save compressed files, once this module is imported.

    import jaxcorr.pillow
    from PIL import Image

    image = Image.open("photo.jxc")  # Reads the header; the pixels at their first use.
    image.save("copy.jxc", model="demo")

Pillow searches no installed packages for plugins, so the import is needed once in a
process. What reads and writes images through Pillow, such as imageio and scikit-image,
then takes `.jxc` files as well.

Files find their model in the store, unless the attribute `model` of an opened image
names another. `Image.save` takes the arguments `model`, `bpp`, `psnr`, `size`, `fast`,
`memory`, `background`, `metadata` and `with_model_name` of `jaxcorr.compress`, and
ignores others, as Pillow does.

A file that is damaged or no compressed file raises `PIL.UnidentifiedImageError` when it
is opened, or `OSError` when its pixels are read.
"""

import os
from typing import Any

from PIL import Image, ImageFile, UnidentifiedImageError

from jaxcorr.bitstream import container, sections, side_sections
from jaxcorr.bitstream.sections import Section
from jaxcorr.errors import UserError
from jaxcorr.images import picture

FORMAT = "JXC"
"""Name of the format in Pillow."""
EXTENSION = ".jxc"
OPTIONS = (
    *("model", "bpp", "psnr", "size", "fast", "memory"),
    *("background", "metadata", "with_model_name"),
)
"""Arguments of `jaxcorr.compress` that `Image.save` takes."""


class JxcImageFile(ImageFile.ImageFile):
    """A compressed file, whose pixels are decoded when they are needed first.

    Attributes:
      model: Model that made the file, or its path, or a list of either; None for any
        in the store.
    """

    format = FORMAT
    format_description = "jaxcorr"
    model: Any = None
    _is_decoded = True  # Of an image that was pickled; `_open` changes it.

    def _open(self) -> None:
        """Reads size, mode and metadata, but neither payload nor opacity."""
        self._is_decoded = False
        assert self.fp is not None
        try:
            header = container.read_header(
                self.fp.read(container.HEADER_BYTES), self._name
            )
            found = _find_sections(self.fp, header, self._name)
        except UserError as error:
            raise UnidentifiedImageError(str(error)) from error
        metadata = side_sections.unpack_metadata(found)
        is_gray, is_transparent = Section.GRAY in found, Section.ALPHA in found
        self._size = (header.width, header.height)
        self._mode = picture.pillow_mode(is_gray, is_transparent, metadata)
        self.info.update(picture.pillow_info(metadata))

    @property
    def _name(self) -> str:
        """Name of the file, for messages."""
        return os.fsdecode(self.filename) if self.filename else "the file"

    def load(self) -> Any:
        """Decodes the pixels, once.

        Raises:
          OSError: If the file is damaged, or its model is not found.
        """
        if not self._is_decoded:
            from jaxcorr.bitstream import compression

            try:
                image = compression.decompress(
                    self._read(), self.model, name=self._name, as_pillow=True
                )
            except UserError as error:
                raise OSError(str(error)) from error
            self.im = image.im
            self._is_decoded, self.readonly = True, 0
            if self._exclusive_fp and self.fp is not None:
                self.fp.close()
            self.fp = None
        return super().load()

    def verify(self) -> None:
        """Checks the file without decoding it, and closes it.

        Raises:
          OSError: If the file is damaged.
        """
        try:
            container.Container.from_bytes(self._read(), self._name)
        except UserError as error:
            raise OSError(str(error)) from error
        super().verify()

    def _read(self) -> bytes:
        """Returns the bytes of the file."""
        if self.fp is None:
            raise ValueError("Operation on closed image")
        self.fp.seek(0)
        return self.fp.read()


def _find_sections(file: Any, header: container.Header, name: str) -> dict[int, bytes]:
    """Returns the side sections of a file, whose content is empty but for metadata.

    Args:
      file: The file, open for reading.
      header: Its header.
      name: Its name, for messages.

    Raises:
      UserError: If the file ends early.
    """
    end = file.seek(0, os.SEEK_END)
    file.seek(min(header.sections_start, end))
    found: dict[int, bytes] = {}
    for _ in range(header.num_sections):
        start = file.read(sections.SECTION.size)
        if len(start) < sections.SECTION.size:
            raise UserError(f"{name} is truncated: {end} bytes")
        kind, length = sections.SECTION.unpack(start)
        if file.tell() + length > end:
            raise UserError(f"{name} is truncated: {end} bytes")
        if kind in side_sections.METADATA:
            found[kind] = file.read(length)
        else:
            file.seek(length, os.SEEK_CUR)
            found[kind] = b""
    return found


def _accept(prefix: bytes) -> bool:
    """Returns whether a file that starts with some bytes is a compressed one."""
    return prefix.startswith(container.MAGIC)


def _save(image: Image.Image, file: Any, filename: str | bytes) -> None:
    """Compresses an image to a file; see `Image.save`."""
    from jaxcorr.bitstream import compression

    given = image.encoderinfo
    options = {name: given[name] for name in OPTIONS if name in given}
    file.write(compression.compress(image, **options))


Image.register_open(FORMAT, JxcImageFile, _accept)
Image.register_save(FORMAT, _save)
Image.register_extension(FORMAT, EXTENSION)
Image.register_mime(FORMAT, "image/x-jaxcorr")
