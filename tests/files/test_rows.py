"""Reading and writing images by rows gives what reading and writing the whole gives."""

import dataclasses
import io
import zlib

import numpy as np
import pytest
from PIL import Image, ImageCms
from support.codecs import blocks

from jaxcorr import images
from jaxcorr.errors import UserError
from jaxcorr.images import png_bands, row_reader

pytestmark = pytest.mark.fast

ADOBE = ImageCms.ImageCmsProfile(ImageCms.createProfile("XYZ")).tobytes()
TURNED = Image.Exif()
TURNED[0x0112], TURNED[0x010E] = 6, "a photograph"


@pytest.fixture(autouse=True)
def small_bands(monkeypatch):
    monkeypatch.setattr(row_reader, "WHOLE_PIXELS", 0)
    monkeypatch.setattr(row_reader, "BAND_PIXELS", 1500)


def picture(mode):
    """Returns an image with soft and hard edges, and an opacity that varies."""
    rgb = blocks(70, 101)
    ramp = np.add.outer(np.arange(70), np.arange(101)).astype(np.uint8)
    image = Image.fromarray(np.dstack([rgb ^ (ramp[..., None] // 16), 3 * ramp]))
    if mode == "I;16":
        return Image.fromarray(ramp.astype(np.uint16) * 250 + 7)
    if mode == "LAB":
        samples = np.asarray(image)[..., :3].tobytes()
        return Image.frombytes("LAB", image.size, samples)
    return image.convert(mode)


def saved(mode, kind, **options):
    buffer = io.BytesIO()
    picture(mode).save(buffer, kind, **options)
    return buffer.getvalue()


def with_chunk(data, kind, content):
    """Returns a PNG file with a chunk after its header."""
    checksum = zlib.crc32(kind + content).to_bytes(4)
    chunk = len(content).to_bytes(4) + kind + content + checksum
    return data[:33] + chunk + data[33:]


PNG = {
    mode: saved(mode, "PNG") for mode in ("1", "L", "LA", "P", "RGB", "RGBA", "I;16")
}
GAMMA = with_chunk(PNG["RGB"], b"gAMA", (70_000).to_bytes(4))
STRIPS = {
    f"{kind} {mode}": saved(mode, "TIFF", compression=kind, strip_size=4000)
    for kind in ("tiff_lzw", "tiff_deflate", "jpeg")
    for mode in ("L", "RGB", "RGBA", "CMYK", "LAB")
    if (kind, mode) != ("jpeg", "LAB")
}
PLAIN = {f"raw {mode}": saved(mode, "TIFF") for mode in ("1", "P", "RGB", "LA")}
TIFF = STRIPS | PLAIN | {"deep": saved("I;16", "TIFF")}
DECODED = {
    "jpeg": saved("RGB", "JPEG"),
    "progressive": saved("L", "JPEG", progressive=True),
    "cmyk": saved("CMYK", "JPEG"),
    "turned": saved("RGB", "JPEG", exif=TURNED),
    "turned png": saved("RGB", "PNG", exif=TURNED),
    "webp": saved("RGBA", "WEBP", lossless=True),
    "bmp": saved("RGB", "BMP"),
    "transparent color": saved("RGB", "PNG", transparency=(255, 0, 0)),
}
WHOLE = {
    "gif": saved("P", "GIF"),
    "turned tiff": saved("RGB", "TIFF", exif=TURNED),
    "group 4": saved("1", "TIFF", compression="group4"),
}
KINDS = PNG | {"gamma": GAMMA} | TIFF | DECODED | WHOLE


@pytest.mark.parametrize("keep_metadata", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_rows_are_those_of_the_whole_image(kind, keep_metadata):
    data = KINDS[kind]
    whole = images.decode(data, name="a", keep_metadata=keep_metadata)
    rows = images.decode_rows(io.BytesIO(data), name="a", keep_metadata=keep_metadata)
    height, width = rows.size
    assert rows.size == whole.rgb.shape[:2]
    found = [rows.window(row, min(row + 23, height)) for row in range(0, height, 20)]
    for row, part in zip(range(0, height, 20), found, strict=True):
        np.testing.assert_array_equal(part, whole.rgb[row : row + 23])
    assert rows.bytes_held < 6 * height * width or kind in WHOLE
    assert (rows.is_gray, rows.changes) == (whole.is_gray, whole.changes)
    assert rows.metadata == whole.metadata
    np.testing.assert_equal(rows.alpha, whole.alpha)


def test_a_page_is_chosen_as_for_the_whole_image():
    small, large = picture("RGB").resize((20, 30)), picture("RGB")
    buffer = io.BytesIO()
    small.save(buffer, "TIFF", save_all=True, append_images=[large])
    data = buffer.getvalue()
    for page, size in ((None, (70, 101)), (0, (30, 20)), (1, (70, 101))):
        whole, buffer = images.decode(data, name="a", page=page), io.BytesIO(data)
        rows = images.decode_rows(buffer, name="a", page=page)
        assert (rows.size, rows.whole().changes) == (size, whole.changes)
        assert buffer.closed


@pytest.mark.parametrize("kind", ["RGB", "tiff_lzw RGB", "jpeg"])
def test_a_file_that_ends_early_is_refused_by_name(kind):
    data = KINDS[kind][: len(KINDS[kind]) // 2]
    with pytest.raises(UserError, match=r"^a\.png cannot be read as an image: "):
        rows = images.decode_rows(io.BytesIO(data), name="a.png")
        rows.window(0, 70)


@pytest.mark.parametrize("mode", ["L", "LA", "RGB", "RGBA"])
def test_png_written_by_rows_is_what_pillow_writes(tmp_path, mode):
    rgba = picture("RGBA") if "A" in mode else picture("RGB")
    buffer = io.BytesIO()
    rgba.convert(mode).save(buffer, "PNG")
    whole = images.decode(buffer.getvalue(), name="a")
    kept = images.Metadata(exif=TURNED.tobytes()[6:], xmp=b"<x/>")
    path, file = tmp_path / "a.png", io.BytesIO()
    whole = dataclasses.replace(whole, metadata=kept)
    images.write_picture(path, whole)

    def band(first):
        rows = slice(first, first + 9)
        alpha = None if whole.alpha is None else whole.alpha[rows]
        return dataclasses.replace(whole, rgb=whole.rgb[rows], alpha=alpha)

    assert images.write_rows(file, path, 70, map(band, range(0, 70, 9))) == ()
    assert chunks(file.getvalue()) == chunks(path.read_bytes())


def chunks(data):
    """Returns the chunks of a PNG file, with those of pixels joined."""
    file, joined = io.BytesIO(data[8:]), []
    for kind, content in png_bands._read_chunks(file):
        if joined and kind == b"IDAT" == joined[-1][0]:
            content = joined.pop()[1] + content
        joined.append((kind, content))
    return joined
