import errno
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image
from support.codecs import blocks
from support.paths import ROOT

from jaxcorr import saved_model
from jaxcorr.bitstream import coding, compression

pytestmark = pytest.mark.fast


@pytest.fixture(scope="session")
def coded(tiny_model):
    """A compressed file."""
    return compression.compress(blocks(17, 33), tiny_model)


@pytest.fixture
def photo(tmp_path):
    """A photograph in the working directory."""
    Image.fromarray(blocks(17, 33)).save(tmp_path / "photo.png")
    return "photo.png"


def assert_refused(result, message):
    """Asserts exit status 2 and a single line of output, an error with the message."""
    status, out, err = result
    assert (status, out) == (2, "")
    assert err.startswith("jaxcorr: error: ") and err.count("\n") == 1
    assert message in err


def damaged_files(coded):
    image = Path("image.png")
    Image.fromarray(blocks(8, 8)).save(image)

    def with_flipped_bit(place):
        return coded[:place] + bytes([coded[place] ^ 1]) + coded[place + 1 :]

    return {
        "a.jxc is truncated: 40 bytes": coded[:40],
        f"a.jxc is truncated: {len(coded) - 1} of {len(coded)}": coded[:-1],
        "a.jxc is damaged: its header fails its checksum": with_flipped_bit(17),
        "a.jxc is damaged: its payload fails its checksum": with_flipped_bit(-9),
        "a.jxc is empty": b"",
        "a.jxc is not a jaxcorr file: it looks like a PNG": image.read_bytes(),
        "a.jxc has version 3, which is newer than 2": coded[:4] + b"\3" + coded[5:],
    }


@pytest.mark.parametrize("command", ["decompress", "info"])
def test_a_damaged_file_is_refused_and_no_image_is_written(
    jaxcorr, model_path, coded, command
):
    options = ["-m", model_path] if command == "decompress" else []
    for message, data in damaged_files(coded).items():
        Path("a.jxc").write_bytes(data)
        assert_refused(jaxcorr(command, "a.jxc", *options), message)
    assert sorted(os.listdir()) == ["a.jxc", "image.png"]


def test_a_file_of_another_model_is_refused_with_both_names(
    jaxcorr, tiny_model, coded, tmp_path
):
    other = saved_model.make_model(
        tiny_model.config, tiny_model.parameters, median=tiny_model.median + 1
    )
    saved_model.write_model(tmp_path / "other", other)
    Path("a.jxc").write_bytes(coded)
    first, second = tiny_model.fingerprint.hex(), other.fingerprint.hex()
    result = jaxcorr("decompress", "a.jxc", "-m", "other")
    message = f"a.jxc was made with model {first}, not with other ({second}): give"
    assert_refused(result, message)
    assert sorted(os.listdir()) == ["a.jxc", "other"]


def test_an_input_that_is_not_an_image_is_refused_and_nothing_written(
    jaxcorr, model_path
):
    Path("text.png").write_text("hello")
    Path("empty.png").touch()
    Path("folder.png").mkdir()
    for name, message in {
        "text.png": "text.png is not an image",
        "empty.png": "empty.png is empty",
        "missing.png": "missing.png cannot be read as an image: No such file",
        "folder.png": "folder.png holds no image (looked for ",
    }.items():
        assert_refused(
            jaxcorr("compress", name, "-m", model_path, "-o", "a.jxc"), message
        )
    assert not Path("a.jxc").exists()


def test_a_bad_input_is_reported_and_the_others_are_converted(
    jaxcorr, model_path, photo
):
    Path("bad.png").write_text("hello")
    Image.fromarray(blocks(40, 20)).save("tall.png")
    inputs = [photo, "bad.png", "missing.png", "tall.png"]
    status, out, err = jaxcorr("compress", *inputs, "-m", model_path, "-o", "out")
    assert status == 2
    assert [line.split(" ->")[0] for line in out.splitlines()] == [photo, "tall.png"]
    *errors, summary = err.splitlines()
    assert [line.split()[2] for line in errors] == ["bad.png", "missing.png"]
    assert summary.startswith("jaxcorr: 2 of 4 files written in ")
    assert sorted(os.listdir("out")) == ["photo.jxc", "tall.jxc"]


def test_a_compressed_file_does_not_replace_an_input(jaxcorr, photo):
    Path("a.jxc").touch()
    message = " would replace an input: give another -o"
    assert_refused(jaxcorr("compress", "a.jxc"), f"a.jxc{message}")
    assert_refused(jaxcorr("decompress", "a.jxc", photo), f"{photo}{message}")


def test_a_missing_input_is_reported_before_the_name_of_its_output(jaxcorr):
    for name in ("missing", "missing.jxc"):
        result = jaxcorr("decompress", name, "-o", "decoded")
        assert_refused(result, f"{name} cannot be read: No such file or directory")


def test_nothing_is_overwritten_without_force(jaxcorr, model_path, photo, coded):
    Path("photo.jxc").write_bytes(b"mine")
    assert_refused(
        jaxcorr("compress", photo, "-m", model_path),
        "photo.jxc exists; give --force to replace it, or another -o",
    )
    assert Path("photo.jxc").read_bytes() == b"mine"
    assert jaxcorr("compress", photo, "-m", model_path, "--force")[0] == 0
    assert Path("photo.jxc").read_bytes()[44:].startswith(coded[44:])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["compress"], "no input file is given"),
        (["compress", "a.png", "b/a.jpg", "-o", "."], "would both become a.jxc"),
        (["compress", "a.png", "./a.png"], "would both become a.jxc"),
        (["compress", "a.png", "a.jxc"], "a.jxc does not exist: an output is named"),
        (["decompress", "file", "a.png"], "a.png does not exist: an output is named"),
        (["compress", "a.png", "-o", "./a.png"], "a.png would replace an input"),
        (["compress", "a.png", "-o", "small.jpg"], "small.jpg is the name of an image"),
        (["compress", "a.png", "-o", "file/a.jxc"], "file is not a directory"),
        (["compress", "a.png", "b.png", "-o", "file"], "file is not a directory"),
        (
            ["compress", "a.png", "-o", "/dev/null", "--force"],
            "it is not a regular file",
        ),
        (["decompress", "file", "-o", "a.txt"], "a.txt must end like an image"),
    ],
)
def test_an_impossible_output_is_refused_before_any_work(jaxcorr, arguments, message):
    Path("file").touch()
    # A model folder, as far as its names tell, that cannot be read.
    Path("unread").mkdir()
    Path("unread/config.json").touch()
    assert_refused(jaxcorr(*arguments, "-m", "unread"), message)
    assert sorted(os.listdir()) == ["file", "unread"]


def test_a_missing_model_is_reported_before_a_bad_output(jaxcorr, photo, coded):
    Path("photo.jxc").write_bytes(coded)
    for arguments in (["compress", photo], ["decompress", "photo.jxc", "-o", "a.txt"]):
        result = jaxcorr(*arguments, "-m", "nowhere")
        assert_refused(result, "nowhere is not a directory")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_read_only_output_folder_is_refused(jaxcorr, model_path, photo):
    Path("locked").mkdir(mode=0o500)
    result = jaxcorr("compress", photo, "-m", model_path, "-o", "locked/a.jxc")
    assert_refused(result, "cannot write locked/a.jxc: no permission to write in")


def test_a_missing_extra_is_named(jaxcorr, monkeypatch):
    # None in place of a module makes its import fail, as if it were not installed.
    monkeypatch.setitem(sys.modules, "tensorflow_datasets", None)
    monkeypatch.delitem(sys.modules, "jaxcorr.data.tfds_writer", raising=False)
    monkeypatch.delattr("jaxcorr.data.tfds_writer", raising=False)
    result = jaxcorr("prepare", ".", "--data-dir", "data", "--name", "mine")
    assert_refused(result, "pip install 'jaxcorr[tfds]'")


def test_a_mistyped_command_is_refused_with_a_similar_one(jaxcorr):
    assert_refused(jaxcorr("compres", "a.png"), "did you mean compress?")
    assert_refused(jaxcorr("version"), "did you mean --version?")
    assert_refused(jaxcorr("frobnicate"), "`jaxcorr --help` lists the commands")


@pytest.mark.parametrize("platform", ["cuda", "no_such_platform"])
def test_a_missing_device_is_reported_in_one_line(photo, platform):
    process = subprocess.run(
        [sys.executable, "-m", "jaxcorr", "compress", photo],
        env=os.environ | {"JAX_PLATFORMS": platform, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    lines = process.stderr.splitlines()
    assert (process.returncode, process.stdout) == (2, "")
    assert f"JAX cannot start a device with JAX_PLATFORMS={platform}: " in lines[-1]
    assert "set JAX_PLATFORMS=cpu" in lines[-1] and "Traceback" not in process.stderr
    assert not Path("photo.jxc").exists()


def test_a_full_disk_leaves_nothing_half_written(
    jaxcorr, model_path, photo, coded, monkeypatch
):
    Path("old.jxc").write_bytes(coded)
    before = sorted(os.listdir())

    def write_bytes(path, data):
        with path.open("wb") as file:
            file.write(data[:10])
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(Path, "write_bytes", write_bytes)
    for arguments in (
        ["compress", photo],
        ["compress", photo, "-o", "old.jxc", "--force"],
        ["decompress", "old.jxc"],
    ):
        assert_refused(jaxcorr(*arguments, "-m", model_path), "No space left on device")
    assert sorted(os.listdir()) == before
    assert Path("old.jxc").read_bytes() == coded


def test_an_image_that_does_not_fit_into_memory_is_reported(
    jaxcorr, model_path, photo, monkeypatch
):
    def encode(*_, **__):
        raise MemoryError

    monkeypatch.setattr(coding, "encode", encode)
    assert_refused(
        jaxcorr("compress", photo, "-m", model_path), "photo.png does not fit into"
    )


def test_a_missing_or_damaged_model_is_refused(jaxcorr, model_path, photo):
    Path("empty").mkdir()
    Path("run/checkpoints").mkdir(parents=True)
    shutil.copytree(model_path, "damaged")
    with open("damaged/parameters.safetensors", "r+b") as file:
        file.truncate(1000)
    for path, message in {
        "nowhere": "nowhere is not a directory",
        "empty": "empty holds neither a model nor checkpoints of a run",
        "run": "run holds neither a model nor checkpoints of a run",
        "damaged": "damaged/parameters.safetensors",
    }.items():
        for command in (["compress", photo], ["pack", path, "-o", "new"]):
            options = ["-m", path] if command[0] == "compress" else []
            assert_refused(jaxcorr(*command, *options), message)
    assert not Path("photo.jxc").exists() and not Path("new").exists()


def test_pack_replaces_nothing_but_a_model_folder(jaxcorr, model_path):
    Path("home").mkdir()
    Path("home/letters").touch()
    pack = "pack", model_path, "-o"
    assert_refused(
        jaxcorr(*pack, "home", "--force"), "home exists and is not a model folder"
    )
    assert os.listdir("home") == ["letters"]
    assert jaxcorr(*pack, "model")[0] == 0
    assert_refused(jaxcorr(*pack, "model"), "model exists; give --force to replace it")
