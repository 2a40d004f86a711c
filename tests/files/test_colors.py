"""Colors are converted to sRGB, or kept with their profile."""

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image, ImageCms

from jaxcorr import images
from jaxcorr.bitstream.compression import compress, decompress
from jaxcorr.images import color

pytestmark = pytest.mark.fast

ADOBE = (0.3127, 0.3290, 0.64, 0.33, 0.21, 0.71, 0.15, 0.06)
"""White, red, green and blue of Adobe RGB (1998), whose gamma is 563 / 256."""
ROWS, COLUMNS = np.mgrid[0:32, 0:48] / 48
RAMP = np.stack([0.2 + ROWS, 0.9 - COLUMNS, 0.3 + ROWS / 2], axis=-1)
RAMP = np.rint(255 * RAMP.clip(0, 1)).astype(np.uint8)
GRAY = Image.fromarray(RAMP[..., 1])


def profile(space, tags):
    """Returns an ICC profile of version 4 with these tags."""
    tags = {b"desc": text("Wide RGB"), b"cprt": text("none"), **tags}
    tags = {b"wtpt": xyz(0.9642, 1, 0.8249), **tags}
    table, body, at = b"", b"", 128 + 4 + 12 * len(tags)
    for name, data in tags.items():
        table += name + struct.pack(">II", at + len(body), len(data))
        body += data + bytes(-len(data) % 4)
    header = struct.pack(
        ">I4sI4s4s4s", at + len(body), b"test", 0x04200000, b"mntr", space, b"XYZ "
    )
    header += struct.pack(">6H4s", 2020, 1, 1, 0, 0, 0, b"acsp") + bytes(28)
    header = (header + struct.pack(">3i", 63190, 65536, 54061)).ljust(128, b"\0")
    return header + struct.pack(">I", len(tags)) + table + body


def text(words):
    content = words.encode("utf-16-be")
    return (
        struct.pack(">4sIII2s2sII", b"mluc", 0, 1, 12, b"en", b"US", len(content), 28)
        + content
    )


def xyz(*values):
    return struct.pack(">4sI3i", b"XYZ ", 0, *(round(65536 * x) for x in values))


def curve(gamma):
    return struct.pack(">4sIHHi", b"para", 0, 0, 0, round(65536 * gamma))


def wide_profile():
    """Returns a profile of Adobe RGB by its published colorants in D50."""
    colorants = {
        b"rXYZ": xyz(0.60974, 0.31111, 0.01947),
        b"gXYZ": xyz(0.20528, 0.62567, 0.06087),
        b"bXYZ": xyz(0.14919, 0.06322, 0.74457),
    }
    curves = {name: curve(563 / 256) for name in (b"rTRC", b"gTRC", b"bTRC")}
    return profile(b"RGB ", colorants | curves)


WIDE = wide_profile()


def seen(image, icc=WIDE):
    """Returns what a viewer shows."""
    given = ImageCms.ImageCmsProfile(io.BytesIO(icc))
    srgb = ImageCms.createProfile("sRGB")
    shown = ImageCms.profileToProfile(
        image,
        given,
        srgb,
        renderingIntent=ImageCms.Intent.RELATIVE_COLORIMETRIC,
        outputMode="RGB",
    )
    assert shown is not None
    return np.asarray(shown).astype(int)


@pytest.mark.parametrize("kind", ["png", "jpg", "tif", "webp"])
def test_pixels_are_those_that_a_viewer_shows(tmp_path, kind):
    path = tmp_path / f"wide.{kind}"
    Image.fromarray(RAMP).save(path, icc_profile=WIDE)
    with Image.open(path) as image:
        expected = seen(image)
        assert np.abs(expected - np.asarray(image)).max() > 20
    found, note = images.read_image(path)
    assert np.abs(found - expected).max() <= 1
    assert note == f"{path}: colors converted from Wide RGB to sRGB"


@pytest.mark.parametrize("mode", ["RGBA", "P", "L"])
def test_colors_are_converted_in_other_modes(tmp_path, mode):
    icc = profile(b"GRAY", {b"kTRC": curve(1.0)}) if mode == "L" else WIDE
    given = GRAY if mode == "L" else Image.fromarray(RAMP).convert(mode)
    given.save(tmp_path / "a.png", icc_profile=icc)
    picture = images.read(tmp_path / "a.png")
    expected = seen(given if mode == "L" else given.convert("RGB"), icc)
    assert np.abs(picture.rgb - expected).max() <= 1
    assert picture.is_gray == (mode == "L")
    assert picture.changes == ("colors converted from Wide RGB to sRGB",)


def ink_profile():
    """Returns a profile of a printer: each ink darkens, and adds its color."""
    corners = np.stack(np.meshgrid(*[[0, 1]] * 4, indexing="ij"), axis=-1)
    cyan, magenta, yellow, black = corners.reshape(-1, 4).T
    lightness = (1 - cyan / 4) * (1 - magenta / 3) * (1 - yellow / 20) * (1 - black)
    lab = [
        255 * lightness,
        128 + (70 * magenta - 35 * cyan) * (1 - black),
        128 + (85 * yellow - 45 * cyan) * (1 - black),
    ]
    table = np.rint(np.stack(lab, axis=-1)).astype(np.uint8).tobytes()
    matrix = [65536, 0, 0, 0, 65536, 0, 0, 0, 65536]
    lut = struct.pack(">4sI4B9i", b"mft1", 0, 4, 3, 2, 0, *matrix)
    lut += bytes(range(256)) * 4 + table + bytes(range(256)) * 3
    icc = profile(b"CMYK", {b"A2B0": lut})
    return icc[:12] + b"prtr" + icc[16:20] + b"Lab " + icc[24:]


@pytest.mark.parametrize("kind", ["jpg", "tif"])
def test_inks_are_converted_by_their_profile(tmp_path, kind):
    planes = [*np.moveaxis(RAMP, 2, 0), RAMP[..., 0] // 2]
    inks = Image.merge("CMYK", [Image.fromarray(plane) for plane in planes])
    path, icc = tmp_path / f"inks.{kind}", ink_profile()
    inks.save(path, icc_profile=icc)
    with Image.open(path) as image:
        expected = seen(image, icc)
        assert np.abs(expected - np.asarray(image.convert("RGB"))).max() > 20
    found, note = images.read_image(path)
    assert np.abs(found - expected).max() <= 1
    assert note == f"{path}: colors converted from Wide RGB to sRGB"


def test_a_profile_of_srgb_changes_nothing_and_is_not_mentioned(tmp_path):
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    assert color.is_srgb(srgb) and not color.is_srgb(WIDE)
    Image.fromarray(RAMP).save(tmp_path / "a.png", icc_profile=srgb)
    found, note = images.read_image(tmp_path / "a.png")
    np.testing.assert_array_equal(found, RAMP)
    assert note is None


@pytest.mark.parametrize("icc", [b"no profile", WIDE[:200]])
def test_a_profile_that_does_not_fit_is_ignored_and_that_is_said(tmp_path, icc):
    Image.fromarray(RAMP).save(tmp_path / "a.png", icc_profile=icc)
    picture = images.read(tmp_path / "a.png")
    np.testing.assert_array_equal(picture.rgb, RAMP)
    assert picture.changes == ("an ICC profile that does not fit was ignored",)


def test_lab_is_converted(tmp_path):
    lab = ImageCms.createProfile("LAB")
    srgb = ImageCms.createProfile("sRGB")
    given = ImageCms.profileToProfile(
        Image.fromarray(RAMP), srgb, lab, outputMode="LAB"
    )
    assert given is not None
    given.save(tmp_path / "a.tif")
    picture = images.read(tmp_path / "a.tif")
    assert np.abs(picture.rgb.astype(int) - RAMP).mean() < 2  # 8 bits of L*a*b*.
    assert picture.changes == ("L*a*b* converted to sRGB",)


def with_chunks(path, chunks):
    """Writes the ramp as PNG with chunks after its header."""
    buffer = io.BytesIO()
    Image.fromarray(RAMP).save(buffer, "PNG")
    data, added = buffer.getvalue(), b""
    for kind, content in chunks:
        crc = zlib.crc32(kind + content)
        added += (
            struct.pack(">I", len(content)) + kind + content + struct.pack(">I", crc)
        )
    path.write_bytes(data[:33] + added + data[33:])
    return path


def integers(*values):
    return struct.pack(f">{len(values)}I", *(round(100_000 * x) for x in values))


GAMMA = b"gAMA", integers(256 / 563)
PRIMARIES = b"cHRM", integers(*ADOBE)


def test_gamma_and_primaries_of_png_mean_what_a_profile_means(tmp_path):
    path = with_chunks(tmp_path / "a.png", [GAMMA, PRIMARIES])
    picture = images.read(path)
    difference = np.abs(picture.rgb - seen(Image.fromarray(RAMP)))
    # Little CMS rounds dark colors more than once.
    assert difference.max() <= 3 and difference.mean() < 0.3
    assert picture.changes == ("colors converted from its gAMA and cHRM to sRGB",)


@pytest.mark.parametrize(
    "chunks",
    [
        [(b"gAMA", integers(1 / 2.2))],
        [(b"sRGB", b"\0"), (b"gAMA", integers(1.0))],
        [(b"gAMA", integers(0.0))],
        [(b"gAMA", integers(1 / 2.2)), (b"cHRM", integers(*[0] * 8))],
    ],
    ids=["usual gamma", "sRGB wins", "no gamma", "impossible primaries"],
)
def test_png_that_is_in_srgb_or_says_nothing_is_left_as_it_is(tmp_path, chunks):
    picture = images.read(with_chunks(tmp_path / "a.png", chunks))
    np.testing.assert_array_equal(picture.rgb, RAMP)
    assert picture.changes == ()


def test_linear_png_becomes_brighter(tmp_path):
    picture = images.read(with_chunks(tmp_path / "a.png", [(b"gAMA", integers(1.0))]))
    light = RAMP / 255
    encoded = 1.055 * light ** (1 / 2.4) - 0.055  # IEC 61966-2-1.
    expected = 255 * np.where(light <= 0.0031308, 12.92 * light, encoded)
    assert np.abs(picture.rgb - expected).max() <= 0.51


def exif_with_odd_types(orientation):
    """Returns EXIF data with a resolution in text, which Pillow cannot write again."""
    entries = [
        (0x0112, 3, 1, struct.pack("<HH", orientation, 0)),
        (0x011A, 2, 3, b"72\0\0"),
    ]
    body = struct.pack("<H", len(entries))
    for tag, kind, count, value in entries:
        body += struct.pack("<HHI", tag, kind, count) + value
    return b"Exif\0\0II*\0\x08\0\0\0" + body + bytes(4)


XMP = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><a tiff:Orientation="6"/></x:xmpmeta>'


@pytest.mark.parametrize("kind", ["jpg", "png", "webp"])
@pytest.mark.parametrize("orientation", range(10))
def test_a_photograph_is_turned_whatever_its_other_entries_are(
    tmp_path, kind, orientation
):
    path = tmp_path / f"a.{kind}"
    Image.fromarray(RAMP).save(path, exif=exif_with_odd_types(orientation))
    with Image.open(path) as image:
        stored = np.asarray(image.convert("RGB"))
    turned = {
        2: stored[:, ::-1],
        3: stored[::-1, ::-1],
        4: stored[::-1],
        5: stored.swapaxes(0, 1),
        6: stored[::-1].swapaxes(0, 1),
        7: stored[::-1, ::-1].swapaxes(0, 1),
        8: stored[:, ::-1].swapaxes(0, 1),
    }
    found, note = images.read_image(path)
    np.testing.assert_array_equal(found, turned.get(orientation, stored))
    assert (note is None) == (orientation not in turned)


@pytest.mark.parametrize("kind", ["jpg", "png", "tif", "webp"])
def test_metadata_are_kept_with_the_colors_and_upright(tmp_path, tiny_model, kind):
    path = tmp_path / "a.jpg"
    Image.fromarray(RAMP).save(
        path, exif=exif_with_odd_types(6), xmp=XMP, icc_profile=WIDE
    )
    data = compress(path, tiny_model, metadata="keep")
    image = decompress(data, tiny_model, as_pillow=True)
    assert image.info["icc_profile"] == WIDE and image.size == RAMP.shape[:2]
    array = decompress(data, tiny_model)
    assert np.abs(seen(image) - array).max() <= 1
    pixels = np.asarray(image)
    picture = images.to_picture(image, keep_metadata=True)
    written = images.write_picture(tmp_path / f"b.{kind}", picture)
    with Image.open(tmp_path / f"b.{kind}") as again:
        assert again.info["icc_profile"] == WIDE
        assert again.getexif().get(0x0112, 1) == 1
        assert b'tiff:Orientation="1"' in again.info["xmp"]
        if kind != "jpg":
            np.testing.assert_array_equal(np.asarray(again), pixels)
    assert ("written as JPEG" in str(written.changes)) == (kind == "jpg")


def test_dropped_metadata_leave_nothing_in_the_file(tmp_path, tiny_model):
    path = tmp_path / "a.jpg"
    Image.fromarray(RAMP).save(path, exif=exif_with_odd_types(1), xmp=XMP[:20])
    plain = tmp_path / "b.png"
    with Image.open(path) as image:
        Image.fromarray(np.asarray(image)).save(plain)
    assert compress(path, tiny_model) == compress(plain, tiny_model)
