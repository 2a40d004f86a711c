"""The images of an evaluation."""

from pathlib import Path

import pytest
from PIL import Image
from support.codecs import blocks

from jaxcorr.errors import UserError
from jaxcorr.evaluation import image_set

pytestmark = pytest.mark.fast

FILES = ("a/x.png", "a/below/y.png", "b/x.png", "z.png")


@pytest.fixture
def folder(tmp_path, monkeypatch):
    for name in FILES:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(blocks(8, 8)).save(path)
    (tmp_path / "note.txt").write_text("no image")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("paths", "names"),
    [
        (["z.png"], ["z.png"]),
        (["a/x.png", "z.png"], ["x.png", "z.png"]),
        (["a"], ["below/y.png", "x.png"]),
        (["a", "z.png"], ["below/y.png", "x.png", "z.png"]),
        # An image that is given twice is one image.
        (["z.png", "./z.png", "a/../z.png"], ["z.png"]),
        (["a", "a/x.png"], ["below/y.png", "x.png"]),
        # Folders distinguish images of one name.
        (["a/x.png", "b/x.png"], ["a/x.png", "b/x.png"]),
        (["a", "b"], ["a/below/y.png", "a/x.png", "b/x.png"]),
        (["a/x.png", "b", "z.png"], ["a/x.png", "b/x.png", "z.png"]),
    ],
)
def test_names_are_relative_and_unique(folder, paths, names):
    found = image_set.find_images([Path(path) for path in paths])
    assert sorted(found) == names
    assert len({path.resolve() for path in found.values()}) == len(names)
    for name, path in found.items():
        assert path.resolve().as_posix().endswith(name)
    absolute = image_set.find_images([folder / path for path in paths])
    assert sorted(absolute) == names


@pytest.mark.parametrize(
    ("paths", "message"),
    [
        ([], "no image is given"),
        (["nowhere"], "nowhere does not exist: no image or folder is there"),
        (["z.png", "nowhere.png"], "nowhere.png does not exist"),
        (["empty"], "empty holds no image"),
    ],
)
def test_a_path_without_images_is_refused(folder, paths, message):
    (folder / "empty").mkdir()
    with pytest.raises(UserError, match=message):
        image_set.find_images([Path(path) for path in paths])
