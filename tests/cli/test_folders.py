"""Folders as inputs, several files at once, and the model that is used by default."""

import json
import os
from pathlib import Path

import pytest
from PIL import Image
from support.codecs import blocks

from jaxcorr import run_directory
from jaxcorr.bitstream import compression

pytestmark = pytest.mark.fast


@pytest.fixture
def album(tmp_path):
    """A folder of photographs in folders, and a photograph beside it."""
    for name in ("album/a.png", "album/deep/er/b.JPG", "single.png"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(blocks(17, 33)).save(path)
    (tmp_path / "album" / "notes.txt").touch()
    return "album"


def files_below(folder):
    paths = Path(folder).rglob("*")
    return sorted(str(path.relative_to(folder)) for path in paths if path.is_file())


def test_a_folder_is_compressed_and_decoded_beside_its_images(
    jaxcorr, model_path, album
):
    before = files_below(album)
    assert jaxcorr("compress", album, "-m", model_path)[0] == 0
    written = {"a.jxc", "deep/er/b.jxc"}
    assert set(files_below(album)) == {*before, *written}
    status, out, _ = jaxcorr("decompress", album, "-m", model_path, "--force")
    assert status == 0 and "album/deep/er/b.jxc -> album/deep/er/b.png" in out
    assert set(files_below(album)) == {*before, *written, "deep/er/b.png"}


def test_files_and_folders_keep_their_folders_below_the_output(
    jaxcorr, model_path, album
):
    options = ["-m", model_path, "-o", "out"]
    assert jaxcorr("compress", "single.png", album, *options)[0] == 0
    assert files_below("out") == ["a.jxc", "deep/er/b.jxc", "single.jxc"]
    options = ["-m", model_path, "-o", "back"]
    assert jaxcorr("decompress", "out", *options)[0] == 0
    assert files_below("back") == ["a.png", "deep/er/b.png", "single.png"]


def test_a_folder_of_one_image_gets_an_output_folder(jaxcorr, model_path, album):
    assert jaxcorr("compress", "album/deep", "-m", model_path, "-o", "out")[0] == 0
    assert files_below("out") == ["er/b.jxc"]


def test_a_path_that_ends_in_a_slash_is_a_folder(jaxcorr, model_path, album):
    for output in ("new/", f"old{os.sep}"):
        options = ["-m", model_path, "-o", output]
        assert jaxcorr("compress", "single.png", *options)[0] == 0
        assert files_below(output) == ["single.jxc"]


@pytest.mark.parametrize("command", ["compress", "decompress", "info"])
def test_a_folder_without_inputs_is_refused(jaxcorr, model_path, command):
    Path("empty").mkdir()
    options = [] if command == "info" else ["-m", model_path]
    status, out, err = jaxcorr(command, "empty", *options)
    assert (status, out) == (2, "") and err.startswith("jaxcorr: error: empty holds no")


def test_the_demo_codes_without_a_named_model(jaxcorr, album):
    assert jaxcorr("compress", "single.png")[0] == 0
    fingerprint = run_directory.load(run_directory.DEMO).fingerprint.hex()
    assert fingerprint in jaxcorr("info", "single.jxc")[1]
    assert jaxcorr("decompress", "single.jxc", "-o", "back.png")[0] == 0


def test_a_file_of_another_model_asks_for_it(jaxcorr, tiny_model, tmp_path):
    Path("a.jxc").write_bytes(compression.compress(blocks(17, 33), tiny_model))
    status, out, err = jaxcorr("decompress", "a.jxc")
    fingerprint = tiny_model.fingerprint.hex()
    assert (status, out) == (2, "")
    assert err == (
        f"jaxcorr: error: a.jxc was made with model {fingerprint}, which is not in the "
        "store: give the folder of that model with -m, or in Python with model=, or "
        "add it for all files with `jaxcorr models add FOLDER`\n"
    )


def test_info_describes_every_file_that_it_can_read(jaxcorr, tiny_model):
    data = compression.compress(blocks(17, 33), tiny_model)
    for name in ("a.jxc", "b.jxc"):
        Path(name).write_bytes(data)
    Path("bad.jxc").write_bytes(data[:-1])
    names = ["a.jxc", "bad.jxc", "b.jxc"]
    status, out, err = jaxcorr("info", *names)
    assert status == 2
    assert [line for line in out.splitlines() if line.endswith(".jxc")] == [
        "a.jxc",
        "b.jxc",
    ]
    assert err.count("\n") == 1 and "bad.jxc is truncated" in err
    status, out, err = jaxcorr("info", *names, "--json", "-")
    assert (status, err.count("\n")) == (2, 1)
    headers = json.loads(out)
    assert [header["file"] for header in headers] == ["a.jxc", "b.jxc"]
    assert headers[0]["width"] == 33 and headers[0]["bytes"] == len(data)
    parts = ("header_bytes", "z_bytes", "y_bytes")
    assert sum(headers[0][part] for part in parts) == len(data)
    assert "-" not in os.listdir()
    assert jaxcorr("info", ".", "a.jxc")[1].count("size ") == 2


def test_info_writes_json_to_a_file_beside_its_text(jaxcorr, tiny_model):
    Path("a.jxc").write_bytes(compression.compress(blocks(17, 33), tiny_model))
    status, out, err = jaxcorr("info", "a.jxc", "--json", "a.json")
    assert (status, err) == (0, "") and "size        33 x 17" in out
    assert json.loads(Path("a.json").read_text())[0]["height"] == 17
