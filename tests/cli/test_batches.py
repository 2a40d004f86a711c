"""Many files at once: links, pages, streams, interruptions and failures."""

import io
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from support import image_folders
from support.codecs import blocks
from support.paths import ROOT

from jaxcorr import images, runtime
from jaxcorr.bitstream import coding, compression
from jaxcorr.errors import UserError

pytestmark = pytest.mark.fast

RGB = blocks(17, 33)


def write(name, image=RGB, **options):
    image_folders.write(Path(name), image, **options)


def test_linked_folders_are_searched_and_cycles_are_cut(jaxcorr, model_path):
    write("store/a.png")
    write("set/b.png")
    Path("set/part").symlink_to("../store")
    Path("store/again").symlink_to("..", target_is_directory=True)
    Path("set/nowhere.png").symlink_to("nowhere.png")
    found = images.find_images(Path("set"))
    assert [str(path) for path in found] == ["set/b.png", "set/part/a.png"]
    assert jaxcorr("compress", "set", "-m", model_path, "-o", "out")[0] == 0
    assert Path("out/part/a.jxc").exists()
    assert jaxcorr("decompress", "out", "-m", model_path, "-o", "decoded")[0] == 0
    assert Path("decoded/part/a.png").exists()


def test_a_batch_goes_on_where_it_was_interrupted(jaxcorr, model_path):
    for name in "abc":
        write(f"{name}.png")
    Path("b.jxc").write_bytes(b"from before")
    command = "compress", "a.png", "b.png", "c.png", "-m", model_path
    assert "b.jxc exists" in jaxcorr(*command)[2]
    status, out, err = jaxcorr(*command, "--skip-existing")
    note, summary = err.splitlines()
    assert status == 0 and note == "jaxcorr: skipped 1 of 3 files whose outputs exist"
    assert summary.startswith("jaxcorr: 2 of 2 files written in ")
    assert [line.split(" ->")[0] for line in out.splitlines()] == ["a.png", "c.png"]
    assert Path("b.jxc").read_bytes() == b"from before"
    err = jaxcorr(*command, "--skip-existing", "--force")[2]
    assert "give either --force or --skip-existing" in err
    status, out, err = jaxcorr(*command, "--skip-existing")
    assert (status, out) == (0, "")


@pytest.mark.parametrize("error", [KeyError("entry"), ZeroDivisionError, IndexError])
def test_a_failure_of_any_kind_is_named_and_the_others_are_coded(
    jaxcorr, model_path, monkeypatch, error
):
    write("a.png")
    write("bad.png", RGB[:8])
    write("z.png")
    encode = coding.encode

    def fail(model, image, **options):
        if image.size[0] == 8:
            raise error
        return encode(model, image, **options)

    monkeypatch.setattr(coding, "encode", fail)
    inputs = "a.png", "bad.png", "z.png"
    status, out, err = jaxcorr("compress", *inputs, "-m", model_path)
    first, summary = err.splitlines()
    kind = (error if isinstance(error, type) else type(error)).__name__
    assert first.startswith(f"jaxcorr: error: bad.png: {kind}")
    assert status == 1 and summary.startswith("jaxcorr: 2 of 3 files written in ")
    assert out.count("\n") == 2 and Path("z.jxc").exists()


@pytest.mark.parametrize("error", [KeyError, IndexError, ZeroDivisionError, TypeError])
def test_an_error_of_a_decoder_is_one_of_the_file(tmp_path, monkeypatch, error):
    write(tmp_path / "a.png")

    def fail(*_, **__):
        raise error

    monkeypatch.setattr(Image.Image, "load", fail)
    message = rf"a\.png cannot be read as an image: {error.__name__}"
    with pytest.raises(UserError, match=message):
        images.read(tmp_path / "a.png")


def test_all_pages_become_files(jaxcorr, model_path):
    pages = [Image.fromarray(RGB), Image.fromarray(255 - RGB)]
    pages[0].save("pages.tif", save_all=True, append_images=pages[1:])
    write("one.png")
    inputs = "compress", "pages.tif", "one.png", "-m", model_path
    status, _, err = jaxcorr(*inputs, "-o", "first")
    note, summary = err.splitlines()
    assert note == "jaxcorr: pages.tif: page 1 of 2 taken"
    assert summary.startswith("jaxcorr: 2 of 2 files written in ")
    status, out, err = jaxcorr(*inputs, "-o", "all", "--all-pages")
    assert status == 0 and "pages.tif page 2 -> all/pages-2.jxc" in out
    assert err.startswith("jaxcorr: 3 of 3 files written in ")
    assert sorted(os.listdir("all")) == ["one.jxc", "pages-1.jxc", "pages-2.jxc"]
    first = Path("first/pages.jxc").read_bytes()
    assert Path("all/pages-1.jxc").read_bytes() == first
    assert Path("all/pages-2.jxc").read_bytes() != first


def run_piped(*arguments, data):
    return subprocess.run(
        [sys.executable, "-m", "jaxcorr", *map(str, arguments)],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        input=data,
        capture_output=True,
        check=True,
    )


@pytest.mark.slow
def test_standard_streams_stand_for_a_file(jaxcorr, tiny_model, model_path):
    buffer = io.BytesIO()
    Image.fromarray(RGB).save(buffer, "PNG")
    coded = run_piped("compress", "-", "-m", model_path, data=buffer.getvalue())
    assert coded.stdout == compression.compress(RGB, model_path)
    assert b"standard input -> -: " in coded.stderr
    decoded = run_piped("decompress", "-", "-m", model_path, data=coded.stdout)
    with Image.open(io.BytesIO(decoded.stdout)) as image:
        expected = compression.decompress(coded.stdout, tiny_model)
        np.testing.assert_array_equal(np.asarray(image), expected)
    write("a.png")
    quiet = run_piped(
        "compress", "a.png", "-m", model_path, "-o", "-", "--quiet", data=b""
    )
    assert quiet.stdout == coded.stdout and quiet.stderr == b""


def test_a_standard_stream_takes_a_single_file(jaxcorr, model_path):
    write("a.png")
    for arguments in (["-", "a.png"], ["a.png", "a.png", "-o", "-"]):
        status, _, err = jaxcorr("compress", *arguments, "-m", model_path)
        assert status == 2 and "take a single file" in err


@pytest.mark.slow
def test_names_in_other_encodings_are_shown_and_coded(model_path, tmp_path):
    names = [b"a.png", b"caf\xe9.png", b"z.png"]
    for name in names:
        with open(os.fsencode(tmp_path) + b"/" + name, "wb") as file:
            Image.fromarray(RGB).save(file, "PNG")
    environment = {"PYTHONPATH": str(ROOT), "PYTHONIOENCODING": "utf-8:strict"}
    coded = [name[:-3] + b"jxc" for name in names]
    for command in (
        ["compress", *names, "-m", str(model_path)],
        ["info", *coded, "--json", "headers.json"],
        ["evaluate", ".", "-m", str(model_path), "--json", "table.json"],
    ):
        process = subprocess.run(
            [sys.executable, "-m", "jaxcorr", *command],
            cwd=tmp_path,
            env=os.environ | environment,
            capture_output=True,
        )
        assert process.returncode == 0 and b"error" not in process.stderr
        assert b"caf?." in process.stdout
    assert b"caf\\udce9.jxc" in (tmp_path / "headers.json").read_bytes()
    headers = json.loads((tmp_path / "headers.json").read_text())
    assert [header["file"] for header in headers] == [os.fsdecode(x) for x in coded]
    rows = json.loads((tmp_path / "table.json").read_text())["images"]
    assert [os.fsencode(row["file"]) for row in rows] == names


def test_a_name_that_is_too_long_is_refused_in_one_line(jaxcorr, model_path):
    name = "n" * 251
    write(f"{name}.png")
    Path(f"{name}.png").rename(f"{name}.pic")
    assert jaxcorr("compress", f"{name}.pic", "-m", model_path)[0] == 0
    Path(f"{name}.pic").rename(f"{name}xxxx")
    for path in (f"{name}xxxx", 300 * "n"):
        status, _, err = jaxcorr("compress", path, "-m", model_path)
        assert status == 2 and err.count("\n") == 1 and "File name too long" in err


def test_nothing_is_cached_for_a_user_without_a_home(monkeypatch):
    monkeypatch.delenv("JAX_COMPILATION_CACHE_DIR", raising=False)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.delenv("HOME", raising=False)
    monkeypatch.setattr("os.getuid", lambda: 2**31 - 7)
    assert runtime.compilation_cache() is None and runtime.folder_lists() is None


def test_an_image_beyond_the_memory_is_named_and_the_others_are_coded(
    jaxcorr, model_path
):
    write("a.png", np.zeros((3000, 3000, 3), np.uint8))
    write("b.png", RGB)
    command = "compress", "a.png", "b.png", "-m", model_path, "--memory", "540MB"
    status, _, err = jaxcorr(*command)
    assert status == 2 and Path("b.jxc").exists() and not Path("a.jxc").exists()
    message = "a.png: an image of 3000 x 3000 pixels needs 0.6 GB"
    assert err.count("\n") == 2 and message in err and "1 of 2 files" in err
    command = "decompress", "b.jxc", "-o", "c.png", "-m", model_path, "--memory"
    status, _, err = jaxcorr(*command, "1MB")
    assert status == 2 and "b.jxc of 33 x 17 pixels needs 0.6 GB" in err
    evaluate = "evaluate", "a.png", "b.png", "-m", model_path, "--memory"
    status, out, err = jaxcorr(*evaluate, "540MB")
    assert status == 2 and err.count("\n") == 1 and message in err
    assert "b.png" in out


def test_a_large_image_is_read_if_the_limit_is_raised(jaxcorr, model_path, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", Image.MAX_IMAGE_PIXELS)
    write("a.png", np.tile(RGB, (40, 40, 1)))  # 0.9 megapixels.
    command = "compress", "a.png", "-m", model_path, "--max-megapixels"
    status, _, err = jaxcorr(*command, 0.5)
    assert status == 2 and err.count("\n") == 1
    assert "a.png has more than 0.5 megapixels" in err and "--max-megapixels" in err
    assert jaxcorr(*command, -1)[0] == 2
    evaluate = "evaluate", "a.png", "-m", model_path, "--max-megapixels"
    assert "more than 0.5 megapixels" in jaxcorr(*evaluate, 0.5)[2]
    monkeypatch.setattr(
        coding, "encode", lambda *_, **__: (_ for _ in ()).throw(KeyError)
    )
    assert jaxcorr(*command, 1)[0] == 1  # It is read, and then coded.
