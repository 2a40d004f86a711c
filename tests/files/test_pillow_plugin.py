"""`import jaxcorr.pillow` lets Pillow, and what uses it, read and write files."""

import io
import pickle
import subprocess
import sys

import imageio.v3 as imageio
import numpy as np
import pytest
import skimage.io
from PIL import Image, UnidentifiedImageError
from support.codecs import blocks
from support.containers import header_of_a_file

import jaxcorr
from jaxcorr import images, model_store
from jaxcorr.bitstream import coding
from jaxcorr.pillow import JxcImageFile

pytestmark = pytest.mark.fast
PIXELS = blocks(17, 33)


@pytest.fixture(scope="module")
def store(tiny_model, tmp_path_factory):
    """A store with the small random codec, which is named `tiny`."""
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("store")
        patch.setenv("JAXCORR_MODELS", str(folder))
        model_store.add(tiny_model, "tiny")
        yield folder


@pytest.fixture(scope="module")
def pictures():
    """An image of each mode."""
    rgba = np.dstack([PIXELS, np.tile(np.uint8(7 * np.arange(33)), (17, 1))])
    image = Image.fromarray(rgba)
    return {mode: image.convert(mode) for mode in ("RGB", "RGBA", "L", "LA")}


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L", "LA"])
def test_an_image_is_saved_and_opened_with_its_mode(
    store, pictures, mode, tmp_path, monkeypatch
):
    path = tmp_path / "a.jxc"
    pictures[mode].save(path, model="tiny")
    assert path.read_bytes() == jaxcorr.compress(pictures[mode], "tiny")
    expected = jaxcorr.decompress(path, as_pillow=True)
    with monkeypatch.context() as patch:
        # Opening decodes nothing.
        patch.setattr(coding, "decode", None)
        image = Image.open(path)
        assert (image.format, image.mode, image.size) == ("JXC", mode, (33, 17))
        assert image.get_format_mimetype() == "image/x-jaxcorr"
    assert (
        np.array_equal(np.asarray(image), expected)
        and image.mode == expected.mode == mode
    )
    assert image.resize((3, 4)).mode == mode
    again = pickle.loads(pickle.dumps(image))
    assert np.array_equal(again, expected)
    with Image.open(path) as image:
        image.save(tmp_path / "a.png")  # Decodes at the first use.
    assert np.array_equal(np.asarray(Image.open(tmp_path / "a.png")), expected)


def test_metadata_are_there_before_the_pixels_are(store, tmp_path):
    image = Image.fromarray(PIXELS)
    exif = Image.Exif()
    exif[271] = "a camera"
    image.info["exif"] = exif.tobytes()
    file = io.BytesIO()
    image.save(file, "JXC", model="tiny", metadata="keep", quality=3)
    opened = Image.open(file)
    assert opened.getexif()[271] == "a camera"
    assert opened.info == jaxcorr.decompress(file.getvalue(), as_pillow=True).info
    smaller = io.BytesIO()
    image.save(smaller, "JXC", model="tiny", with_model_name=False)
    assert smaller.getvalue() == jaxcorr.compress(PIXELS, "tiny", with_model_name=False)


def test_a_gray_image_with_a_profile_of_colors_is_opened_as_one_in_color(store):
    from PIL import ImageCms

    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    gray = images.Picture(
        rgb=np.repeat(PIXELS[..., :1], 3, axis=2),
        is_gray=True,
        metadata=images.Metadata(icc=profile),
    )
    from jaxcorr.bitstream import side_sections
    from jaxcorr.bitstream.model_choice import encode

    data = encode(
        [jaxcorr.load("tiny")], gray.rgb, sections=lambda: side_sections.pack(gray)
    ).data
    opened = Image.open(io.BytesIO(data))
    assert opened.mode == gray.to_pillow().mode == "RGB"
    opened.load()
    assert opened.mode == "RGB" and opened.info["icc_profile"] == profile


def test_a_damaged_file_raises_what_pillow_users_catch(store, pictures, tmp_path):
    data = jaxcorr.compress(pictures["LA"], "tiny")

    def flip(place):
        return data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :]

    for wrong, reason in {
        data[:20]: "the file is truncated: 20 bytes",
        data[:60]: "the file is truncated: 60 bytes",
        data[:-1]: f"the file is truncated: {len(data) - 1} bytes",
        flip(17): "the file is damaged: its header fails its checksum",
        data[:4] + b"\x09": "the file has version 9, which is newer",
        b"hello": "cannot identify image file",
    }.items():
        with pytest.raises(UnidentifiedImageError, match=reason):
            Image.open(io.BytesIO(wrong))
    for wrong in (flip(50), data + b"x"):
        for read in (lambda image: image.load(), lambda image: image.verify()):
            image = Image.open(io.BytesIO(wrong))
            with pytest.raises(OSError, match=r"^the file is (damaged|too long)"):
                read(image)
    Image.open(io.BytesIO(data)).verify()
    path = tmp_path / "closed.jxc"
    path.write_bytes(data)
    with Image.open(path) as image:
        pass
    with pytest.raises(ValueError, match="closed image"):
        image.load()


def test_a_file_whose_model_is_missing_is_decoded_with_a_given_one(
    store, tiny_model, monkeypatch, tmp_path
):
    data = jaxcorr.compress(PIXELS, "tiny")
    monkeypatch.setenv("JAXCORR_MODELS", str(tmp_path))
    image = Image.open(io.BytesIO(data))
    with pytest.raises(OSError, match=r"\(tiny\), which is not in the store"):
        image.load()
    assert isinstance(image, JxcImageFile)
    image.model = tiny_model
    assert np.array_equal(np.asarray(image), jaxcorr.decompress(data, tiny_model))
    with pytest.raises(ValueError, match="nowhere is not a directory"):
        Image.fromarray(PIXELS).save(tmp_path / "b.jxc", model="nowhere")
    assert not (tmp_path / "b.jxc").exists()


def test_imageio_and_scikit_image_read_and_write_files(store, tmp_path):
    path = tmp_path / "a.jxc"
    imageio.imwrite(path, PIXELS, model="tiny")
    expected = jaxcorr.decompress(path)
    assert np.array_equal(imageio.imread(path), expected)
    assert np.array_equal(skimage.io.imread(path), expected)
    skimage.io.imsave(path, PIXELS, check_contrast=False)
    assert path.read_bytes() == jaxcorr.compress(PIXELS, "demo")


def test_opening_a_file_starts_no_jax(tmp_path):
    code = (
        "import sys, jaxcorr.pillow; from PIL import Image; "
        "image = Image.open(sys.argv[1]); print(image.size, 'jax' in sys.modules)"
    )
    (tmp_path / "a.jxc").write_bytes(header_of_a_file())
    done = subprocess.run(
        [sys.executable, "-c", code, tmp_path / "a.jxc"], capture_output=True, text=True
    )
    assert (done.stdout, done.stderr) == ("(3, 5) False\n", "")
