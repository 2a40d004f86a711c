"""Every depth and kind of sample in TIFF and PNG is read rightly, or refused."""

import itertools
import struct
import zlib
from typing import Any

import numpy as np
import pytest

from jaxcorr import images
from jaxcorr.errors import UserError

pytestmark = pytest.mark.fast

HEIGHT, WIDTH = 6, 16
LEVELS = np.linspace(0, 1, HEIGHT * WIDTH).reshape(HEIGHT, WIDTH)
"""Gray from black to white."""
COLORS = np.stack([LEVELS, LEVELS[::-1], np.roll(LEVELS, 7, axis=1)], axis=-1)
OPACITY = np.broadcast_to(np.linspace(0.2, 1, WIDTH), LEVELS.shape)


def pack_bits(values, bits, order):
    """Returns samples of any depth in rows, each of which fills whole bytes."""
    if bits in (8, 16, 32):
        return values.astype(f"{order}u{bits // 8}").tobytes()
    rows = values.reshape(HEIGHT, -1)
    text = ["".join(f"{value:0{bits}b}" for value in row) for row in rows]
    text = [row + "0" * (-len(row) % 8) for row in text]
    return b"".join(int(row, 2).to_bytes(len(row) // 8, "big") for row in text)


def tiff(samples, bits, *, order="<", photometric=1, extra=(), planar=1, **tags):
    """Returns a TIFF file.

    Args:
      samples: Integers of shape [height, width, channels].
      bits: Bits of a sample.
      order: Order of bytes, in the notation of `struct`.
      photometric: Photometric interpretation.
      extra: Meanings of the channels beyond those of the color.
      planar: 1 for channels last, 2 for channels first.
      tags: Values of further tags by `t` and their number, as short integers.
    """
    count = samples.shape[2]
    planes = [samples] if planar == 1 else np.split(samples, count, axis=2)
    strips = [pack_bits(plane, bits, order) for plane in planes]
    entries = {
        256: [WIDTH],
        257: [HEIGHT],
        258: [bits] * count,
        259: [1],
        262: [photometric],
        273: [0] * len(strips),
        277: [count],
        278: [HEIGHT],
        279: [len(strip) for strip in strips],
        284: [planar],
    }
    entries |= {338: list(extra)} if extra else {}
    entries |= {int(name[1:]): list(np.atleast_1d(x)) for name, x in tags.items()}
    at = 8 + 2 + 12 * len(entries) + 4
    beyond = {}
    for tag, values in sorted(entries.items()):
        if len(values) * 4 > 4:
            beyond[tag], at = at, at + 4 * len(values)
    entries[273] = [at + sum(map(len, strips[:n])) for n in range(len(strips))]
    body = struct.pack(f"{order}H", len(entries))
    for tag, values in sorted(entries.items()):
        value = beyond.get(tag, values[0])
        body += struct.pack(f"{order}HHII", tag, 4, len(values), value)
    body += bytes(4)
    for tag in sorted(beyond):
        body += struct.pack(f"{order}{len(entries[tag])}I", *entries[tag])
    start = b"II*\0" if order == "<" else b"MM\0*"
    return start + struct.pack(f"{order}I", 8) + body + b"".join(strips)


def png(samples, bits, color, *, transparent=()):
    """Returns a PNG file of 8 or 16 bits."""

    def chunk(kind, data):
        crc = zlib.crc32(kind + data)
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", crc)

    header = struct.pack(">IIBBBBB", WIDTH, HEIGHT, bits, color, 0, 0, 0)
    rows = samples.reshape(HEIGHT, -1).astype(f">u{bits // 8}")
    data = b"".join(b"\0" + row.tobytes() for row in rows)
    file = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header)
    if transparent:
        file += chunk(b"tRNS", struct.pack(f">{len(transparent)}H", *transparent))
    return file + chunk(b"IDAT", zlib.compress(data)) + chunk(b"IEND", b"")


def quantize(levels, bits):
    levels = levels if levels.ndim == 3 else levels[..., None]
    return np.rint(levels * (2**bits - 1)).astype(np.uint64)


def read(data):
    return images.decode(data, name="photo")


def to_8(levels, bits):
    """Returns 8-bit levels of quantized ones, rounded."""
    return np.rint(quantize(levels, bits) * (255 / (2**bits - 1)))


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("bits", [1, 2, 4, 8, 12, 16, 32])
@pytest.mark.parametrize("white_is_zero", [False, True])
def test_gray_of_any_depth_in_tiff_is_right_or_refused(order, bits, white_is_zero):
    samples = quantize(1 - LEVELS if white_is_zero else LEVELS, bits)
    data = tiff(samples, bits, order=order, photometric=0 if white_is_zero else 1)
    try:
        picture = read(data)
    except UserError:
        # Pillow reads neither of them, and 32 bits have no known white.
        assert (
            bits == 32
            or (bits == 12 and (white_is_zero or order == ">"))
            or (bits == 16 and white_is_zero and order == ">")
        )
        return
    expected = to_8(1 - LEVELS if white_is_zero else LEVELS, bits)[..., 0]
    expected = 255 - expected if white_is_zero else expected
    assert np.abs(picture.rgb[..., 0] - expected).max() <= (white_is_zero and bits < 8)
    assert picture.is_gray


@pytest.mark.parametrize(
    ("order", "bits", "planar", "extra"),
    list(itertools.product("<>", [8, 16], [1, 2], [(), (0,), (2,)])),
)
def test_colors_in_tiff_are_right_or_refused(order, bits, planar, extra):
    levels = np.dstack([COLORS, *([OPACITY] if extra else [])])
    data = tiff(
        quantize(levels, bits),
        bits,
        order=order,
        photometric=2,
        planar=planar,
        extra=extra,
    )
    try:
        picture = read(data)
    except UserError:
        assert planar == 2
        return
    np.testing.assert_array_equal(picture.rgb, to_8(COLORS, bits))
    assert (picture.alpha is None) == (extra != (2,))
    if picture.alpha is not None:
        np.testing.assert_array_equal(picture.alpha, to_8(OPACITY, bits)[..., 0])


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("bits", [8, 16])
def test_premultiplied_colors_are_divided_by_the_opacity(order, bits):
    levels = np.dstack([COLORS * OPACITY[..., None], OPACITY])
    samples = quantize(levels, bits)
    picture = read(tiff(samples, bits, order=order, photometric=2, extra=(1,)))
    # In 8 bits, rounding by half a level grows as the opacity shrinks.
    assert np.abs(picture.rgb - 255 * COLORS).max() <= (4 if bits == 8 else 1)


@pytest.mark.parametrize("bits", [8, 16])
def test_inks_in_tiff_are_inverted(bits):
    inks = np.dstack([1 - COLORS, 0 * LEVELS])
    picture = read(tiff(quantize(inks, bits), bits, photometric=5))
    assert np.abs(picture.rgb - 255 * COLORS).max() <= 1


@pytest.mark.parametrize("sample_format", [2, 3])
@pytest.mark.parametrize("bits", [8, 16, 32])
def test_signed_and_floating_point_numbers_in_tiff_are_refused(bits, sample_format):
    data = tiff(quantize(LEVELS, bits) // 2, bits, t339=sample_format)
    with pytest.raises(UserError, match=r"^photo (cannot be read as|is not) an image"):
        read(data)


@pytest.mark.parametrize("color", [0, 2, 4, 6])
def test_16_bits_in_png_are_rounded_and_not_cut(color):
    gray, opaque = color in (0, 4), color in (0, 2)
    base = LEVELS[..., None] if gray else COLORS
    levels = base if opaque else np.dstack([base, OPACITY])
    picture = read(png(quantize(levels, 16), 16, color))
    expected = np.broadcast_to(to_8(base, 16), (HEIGHT, WIDTH, 3))
    np.testing.assert_array_equal(picture.rgb, expected)
    assert picture.changes == ("16 bits rounded to 8",)
    assert (picture.alpha is None) == opaque
    if picture.alpha is not None:
        np.testing.assert_array_equal(picture.alpha, to_8(OPACITY, 16)[..., 0])


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("color", [0, 2])
def test_the_transparent_color_of_png_is_white_at_any_depth(bits, color):
    samples = quantize(LEVELS[..., None] if color == 0 else COLORS, bits)
    # In 16 bits, a neighbor that has the same 8 bits stays visible.
    samples[0, 1] = samples[0, 0] + (1 if bits == 16 else 8)
    transparent = tuple(int(value) for value in samples[0, 0])
    picture = read(png(samples, bits, color, transparent=transparent))
    hidden = (samples == samples[0, 0]).all(axis=-1)
    assert picture.alpha is not None
    np.testing.assert_array_equal(picture.alpha == 0, hidden)
    assert (picture.rgb[hidden] == 255).all() and picture.rgb[0, 1, 0] < 20


def test_a_page_of_a_tiff_file_is_the_largest_and_it_is_said(tmp_path):
    from PIL import Image

    pages = [Image.new("RGB", size, color) for size, color in PAGES]
    path = tmp_path / "pages.tif"
    pages[0].save(path, save_all=True, append_images=pages[1:])
    picture = images.read(path)
    assert picture.rgb.shape == (48, 64, 3) and (picture.rgb == (0, 128, 0)).all()
    assert picture.note("a.tif") == "a.tif: page 2 of 3 taken"
    assert (images.read(path, page=2).rgb == (0, 0, 255)).all()
    assert images.count_pages(path) == 3 and images.read_size(path) == (64, 48)


PAGES = [((16, 12), "red"), ((64, 48), "green"), ((64, 48), "blue")]


@pytest.mark.parametrize("bits", [1, 8, 16])
def test_a_tiff_file_without_its_last_strips_is_refused(bits):  # Found by fuzzing.
    data = tiff(quantize(LEVELS, bits), bits, t278=[4])
    with pytest.raises(UserError, match=r"photo cannot .* some of its strips or tiles"):
        read(data)
    assert read(tiff(quantize(LEVELS, bits), bits, t278=[8])).rgb.shape[0] == HEIGHT


def retagged(data, tag, *, new=None, count=None):
    """Returns a TIFF file with another number, or with fewer values, of an entry."""
    place = data.index(struct.pack("<HH", tag, 4))
    (values,) = struct.unpack_from("<I", data, place + 4)
    entry = struct.pack("<HHI", new or tag, 4, count or values)
    return data[:place] + entry + data[place + 8 :]


def test_a_tiff_file_without_its_last_plane_is_refused():
    data = tiff(quantize(COLORS, 8), 8, planar=2, photometric=2)
    assert read(data).rgb.shape == COLORS.shape
    for tag in (273, 279):
        data = retagged(data, tag, count=2)
    with pytest.raises(UserError, match="some of its strips or tiles are missing"):
        read(data)


def test_a_tiff_file_without_its_last_tile_is_refused():
    planes = np.zeros((16, 16, 3), np.uint64)  # As three tiles in a row.
    kinds: Any = {"t258": 8, "t277": 1, "t278": 16, "t284": 1}
    data = tiff(planes, 8, planar=2, t322=16, t256=48, t257=16, **kinds)
    for tag, new in ((273, 324), (279, 325), (278, 323)):
        data = retagged(data, tag, new=new)
    assert read(data).rgb.shape == (16, 48, 3)
    for tag in (324, 325):
        data = retagged(data, tag, count=2)
    with pytest.raises(UserError, match="some of its strips or tiles are missing"):
        read(data)
