"""Files that hold several pictures: which one is read, and what is said."""

import numpy as np
import pytest
from PIL import Image

from jaxcorr import images

pytestmark = pytest.mark.fast

COLORS = ["red", "green", "blue"]


@pytest.mark.parametrize("kind", ["gif", "webp", "png"])
def test_the_first_frame_of_an_animation_is_read_and_it_is_said(tmp_path, kind):
    frames = [Image.new("RGB", (48, 32), color) for color in COLORS]
    path = tmp_path / f"a.{kind}"
    frames[0].save(path, save_all=True, append_images=frames[1:], **LOSSLESS[kind])
    picture = images.read(path)
    assert (picture.rgb == (255, 0, 0)).all()
    assert picture.note("a") == "a: frame 1 of 3 taken"
    assert images.count_pages(path) == 3 and images.read_size(path) == (48, 32)
    assert (images.read(path, page=2).rgb == (0, 0, 255)).all()


LOSSLESS = {"gif": {}, "webp": {"lossless": True}, "png": {}}


@pytest.mark.parametrize("first", ["photograph", "thumbnail"])
def test_the_largest_picture_of_a_camera_file_is_read(tmp_path, first):
    """Cameras write thumbnails and further pictures into one file, as MPO."""
    pictures = [Image.new("RGB", (64, 48), "white"), Image.new("RGB", (16, 12))]
    if first == "thumbnail":
        pictures.reverse()
    path = tmp_path / "a.mpo"
    pictures[0].save(path, save_all=True, append_images=pictures[1:])
    picture = images.read(path)
    assert picture.rgb.shape == (48, 64, 3) and picture.rgb.min() == 255
    number = 1 if first == "photograph" else 2
    assert picture.note("a.mpo") == f"a.mpo: picture {number} of 2 taken"
    assert images.read_size(path) == (64, 48)


def test_the_largest_size_of_an_icon_is_read(tmp_path):
    path = tmp_path / "a.ico"
    Image.new("RGB", (64, 64), "green").save(path, sizes=[(16, 16), (64, 64)])
    picture = images.read(path)
    assert picture.rgb.shape == (64, 64, 3)
    assert (picture.rgb == (0, 128, 0)).all()
    assert images.read_size(path) == (64, 64)


def test_values_of_a_cut_animation_are_those_of_its_first_frame(tmp_path):
    frames = [Image.new("RGB", (48, 32), color) for color in COLORS]
    path = tmp_path / "a.gif"
    frames[0].save(path, save_all=True, append_images=frames[1:])
    data = path.read_bytes()
    path.write_bytes(data[: len(data) - 40])
    np.testing.assert_array_equal(images.read(path).rgb[0, 0], (255, 0, 0))
