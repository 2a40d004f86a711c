"""Functions of bytes to fuzz, which must return or raise `UserError`.

Everything else is a failure: another exception, a crash of the process, an input that
takes too long or too much memory, and a property below that does not hold.
"""

import contextlib
import functools
import importlib
import io
import struct
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from jaxcorr import saved_model
from jaxcorr.bitstream import container, range_coder, side_sections
from jaxcorr.bitstream.container import Container
from jaxcorr.entropy.tables import TOTAL_BITS, IntegerTables
from jaxcorr.errors import UserError

SAVED = Path(__file__).resolve().parents[1] / "tests" / "references"
MODEL = SAVED / "saved" / "models" / "minnen-checkerboard"
FOLDERS = (MODEL, SAVED / "saved" / "models_3" / "minnen-none")
"""Model folders with parameters as an archive of NumPy and as safetensors."""
CHECKPOINTS = ("pytorch_checkpoint.pth", "compressai-one-storage.pth")
"""Checkpoints with tensors of many types, and of a small model."""
SYMBOLS = 64
"""Symbols that the range decoder is asked for."""
MAX_ALPHA_PIXELS = 2**16
KINDS = "PNG TIFF WEBP GIF ICO TGA SGI PCX AVIF JPEG2000 HEIF".split()
"""Formats of Pillow, of which each image is made in many modes."""

Target = Callable[[bytes], None]


def read_container(data: bytes) -> None:
    """Reads a file's header and sections; writing what was read gives the same bytes.

    The first byte says whether checksums are made right, so that mutations get past.
    """
    if not data:
        return
    repair, data = data[0] % 2, data[1:]
    if repair:
        data = with_checksums(data)
    read = Container.from_bytes(data, "fuzz")
    assert read.to_bytes() == data, "another file would be written"
    if read.width * read.height <= MAX_ALPHA_PIXELS:
        rgb = np.zeros((read.height, read.width, 3), np.uint8)
        side_sections.unpack(read.sections, rgb, "fuzz")


def with_checksums(data: bytes) -> bytes:
    """Returns a file whose checksums of header and payload are right."""
    if len(data) < container.HEADER_BYTES:
        return data
    body = data[container.HEADER_BYTES :]
    fields = data[:36] + struct.pack("<I", zlib.crc32(body))
    return fields + struct.pack("<I", zlib.crc32(fields)) + body


def decode_range(data: bytes) -> None:
    """Decodes symbols, which must survive encoding and decoding once more."""
    classes = np.frombuffer(data[: SYMBOLS // 4], np.uint8) % tables().length.size
    decoder = range_coder.RangeDecoder(data[classes.size :])
    symbols = decoder.decode(classes, tables())
    encoder = range_coder.RangeEncoder()
    encoder.encode(symbols, classes, tables())
    again = range_coder.RangeDecoder(encoder.get_bytes()).decode(classes, tables())
    assert np.array_equal(symbols, again), "other symbols are decoded"


@functools.cache
def tables() -> IntegerTables:
    """Returns tables of 1 to 40 symbols, narrow and wide."""
    generator = np.random.default_rng(0)
    lengths = np.array([2, 3, 5, 9, 17, 41], np.int32)
    counts = np.zeros((lengths.size, lengths.max()), np.uint32)
    for row, length in zip(counts, lengths, strict=True):
        shares = generator.dirichlet(np.full(length, 0.3))
        row[:length] = 1 + np.floor(shares * (2**TOTAL_BITS - length))
        row[0] += 2**TOTAL_BITS - row.sum()
    lowest = np.array([0, -1, -2, -(2**31), 2**31 - 17, -20], np.int32)
    return IntegerTables(lowest=lowest, length=lengths, counts=counts)


def read_model(data: bytes) -> None:
    """Reads a model folder of which one file has the given bytes, or one array has."""
    if len(data) < 2:
        return
    kind, original_folder = data[0] % 3, FOLDERS[data[0] // 3 % len(FOLDERS)]
    index, data = data[1], data[2:]
    with tempfile.TemporaryDirectory(dir=_memory_folder()) as name:
        folder = Path(name)
        for path in original_folder.iterdir():
            if path.suffix in (".json", ".npz", ".safetensors"):
                (folder / path.name).symlink_to(path)
        names = sorted(path.name for path in folder.iterdir())
        target = folder / names[index % len(names)]
        original = target.read_bytes()
        target.unlink()
        if kind == 0:
            target.write_bytes(data)
        elif kind == 1:
            target.write_bytes(_spliced(original, data))
        else:
            target.write_bytes(_with_member(original, data))
        saved_model.read_model(folder)


def _spliced(original: bytes, data: bytes) -> bytes:
    """Returns bytes of which a part is replaced; its place is in the first four."""
    place = int.from_bytes(data[:4], "little") % (len(original) + 1)
    return original[:place] + data[4:] + original[place + len(data[4:]) :]


def _with_member(original: bytes, data: bytes) -> bytes:
    """Returns an archive with other bytes in one member, whose checksum is right."""
    try:
        with zipfile.ZipFile(io.BytesIO(original)) as archive:
            members = {name: archive.read(name) for name in archive.namelist()}
    except zipfile.BadZipFile:
        return _spliced(original, data)
    names = sorted(members)
    changed = names[int.from_bytes(data[:2], "little") % len(names)]
    members[changed] = _spliced(members[changed], data[2:])
    written = io.BytesIO()
    with zipfile.ZipFile(written, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return written.getvalue()


def read_image(data: bytes) -> None:
    """Reads an image of any format, with its metadata or without, whole or by rows."""
    from jaxcorr.images import reader, row_reader

    if not data:
        return
    kind, data = data[0], data[1:]
    keep_metadata = bool(kind % 2)
    if kind % 4 < 2:
        reader.decode(data, name="fuzz", keep_metadata=keep_metadata)
        return
    # As if all images were large, but with few pixels in a band.
    row_reader.WHOLE_PIXELS, row_reader.BAND_PIXELS = 0, 16
    file = io.BytesIO(data)
    row_reader.decode_rows(file, name="fuzz", keep_metadata=keep_metadata).whole()


def read_checkpoint(data: bytes) -> None:
    """Reads a checkpoint of PyTorch, without PyTorch, or converts it.

    The first byte says whether the others are the file, or change a member of one with
    tensors of many types, or of a small model, which is sometimes converted.
    """
    from jaxcorr.interop import compressai

    if not data:
        return
    kind, data = data[0] % 8, data[1:]
    if kind > 1:
        data = _with_member(_checkpoint(CHECKPOINTS[kind > 4]), data)
    with tempfile.NamedTemporaryFile(dir=_memory_folder(), suffix=".pth") as file:
        file.write(data)
        file.flush()
        state = compressai.read_state(Path(file.name))
        if kind == 7:
            compressai.convert(state, "mbt2018-mean")


@functools.cache
def _checkpoint(name: str) -> bytes:
    return (SAVED / name).read_bytes()


def decode_file(data: bytes) -> None:
    """Decodes a file whose payloads are mutated; a picture must pass its checksum."""
    from jaxcorr.bitstream import coding

    if len(data) < 2:
        return
    original = (MODEL / "format_2.jxc").read_bytes()
    changed = with_checksums(_spliced(original, data))
    coding.decode(_model(), Container.from_bytes(changed, "fuzz"))


@functools.cache
def _model():
    return saved_model.read_model(MODEL)


def _memory_folder() -> str | None:
    """Returns a folder in memory, where there is one."""
    return "/dev/shm" if Path("/dev/shm").is_dir() else None


TARGETS: dict[str, Target] = {
    "container": read_container,
    "range_decoder": decode_range,
    "saved_model": read_model,
    "image": read_image,
    "checkpoint": read_checkpoint,
    "file": decode_file,
}
"""Targets by name."""


def seeds(name: str) -> Iterator[bytes]:
    """Yields inputs to begin with, which are valid where that is possible."""
    files = [path.read_bytes() for path in sorted(SAVED.glob("saved/models/*/*.jxc"))]
    match name:
        case "container":
            yield from (kind + data for kind in (b"\0", b"\1") for data in files)
        case "range_decoder":
            yield from (data[container.HEADER_BYTES :] for data in files)
        case "saved_model":
            for first, folder in zip((0, 3), FOLDERS, strict=True):
                for number, path in enumerate(sorted(folder.glob("[cpt]*"))):
                    yield bytes([first, number]) + path.read_bytes()[:65536]
                    yield bytes([first + 1, number]) + bytes(8)
                    yield bytes([first + 2, number]) + bytes(8)
        case "image":
            for data in _images():
                yield from (kind + data for kind in (b"\1", b"\3"))
        case "checkpoint":
            for path in sorted(SAVED.glob("*.pth")):
                yield b"\0" + path.read_bytes()[:65536]
            yield from (bytes([kind, *bytes(8)]) for kind in (2, 5, 7))
        case "file":
            yield from (bytes([place, 0, 0, 0, 1]) for place in range(0, 80, 8))


def _images() -> Iterator[bytes]:
    """Yields small images of many formats and kinds.

    Those of HEIC and JPEG XL need what the extras `heif` and `jpegxl` install.
    """
    from PIL import Image

    from jaxcorr.images import jpeg_xl

    with contextlib.suppress(ImportError):
        importlib.import_module("pillow_heif").register_heif_opener()
    generator = np.random.default_rng(0)
    pixels = generator.integers(0, 256, (9, 7, 4), np.uint8)
    picture = Image.fromarray(pixels)
    for kind in KINDS:
        for mode in ("RGBA", "RGB", "L", "P", "1", "CMYK", "I;16"):
            written = io.BytesIO()
            try:
                picture.convert(mode).save(written, kind)
            except (OSError, ValueError, KeyError):
                continue  # The format has no such mode, or its package is missing.
            yield written.getvalue()
    for options in ({}, {"progressive": True}, {"exif": Image.Exif().tobytes()}):
        for mode in ("RGB", "L", "CMYK"):
            written = io.BytesIO()
            picture.convert(mode).save(written, "JPEG", **options)
            yield written.getvalue()
    for mode in ("L", "RGB", "RGBA"):
        with contextlib.suppress(ImportError):
            yield jpeg_xl.encode(picture.convert(mode))


def run(target: Target, data: bytes) -> None:
    """Calls a target, which may refuse its input."""
    try:
        target(data)
    except UserError:
        pass
