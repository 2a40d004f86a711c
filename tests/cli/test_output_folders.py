"""Outputs are whole or absent, and failures one line, whatever befalls a folder."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image
from support.codecs import blocks
from support.paths import ROOT

from jaxcorr import files
from jaxcorr.bitstream import coding, compression
from jaxcorr.bitstream.container import Container
from jaxcorr.errors import UserError

NAMES = "abcdef"


@pytest.fixture
def album(tmp_path):
    """A folder of photographs, below the working directory of a command."""
    (tmp_path / "album").mkdir()
    for number, name in enumerate(NAMES):
        image = Image.fromarray(blocks(17, 33, seed=number))
        image.save(tmp_path / "album" / f"{name}.png")
    return tmp_path / "album"


def start(*arguments, cwd):
    """Starts a command in a process of its own."""
    return subprocess.Popen(
        [sys.executable, "-m", "jaxcorr", *map(str, arguments)],
        cwd=cwd,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def assert_whole(folder, expected):
    """Asserts that a folder holds whole files and nothing else."""
    assert sorted(os.listdir(folder)) == sorted(expected)
    for name in expected:
        Container.from_bytes((folder / name).read_bytes(), name)


@pytest.mark.slow
def test_two_processes_compress_into_one_folder(album, model_path, tmp_path):
    command = "compress", album, "-m", model_path, "-o", "out", "--force"
    processes = [start(*command, cwd=tmp_path) for _ in range(2)]
    for process in processes:
        _, err = process.communicate()
        assert process.returncode == 0
        assert err.startswith("jaxcorr: 6 of 6 files written in "), err
    assert_whole(tmp_path / "out", [f"{name}.jxc" for name in NAMES])


@pytest.mark.slow
def test_two_processes_add_one_model_to_a_store(model_path, tmp_path, monkeypatch):
    monkeypatch.setenv("JAXCORR_MODELS", str(tmp_path / "store"))
    command = "models", "add", model_path
    processes = [start(*command, cwd=tmp_path) for _ in range(2)]
    for process in processes:
        assert (process.communicate()[1], process.returncode) == ("", 0)
    assert len(os.listdir(tmp_path / "store")) == 1
    verify = start("models", "verify", cwd=tmp_path)
    out, err = verify.communicate()
    assert (verify.returncode, err) == (0, "") and out.count(": intact\n") == 5


DISKS = {
    "size=8k": ("No space left on device", 1),  # A page for a file, one for folders.
    "ro": ("no permission to write in", 0),
}
"""Options of disks, what the system says, and how many files fit at least."""


@pytest.mark.slow
@pytest.mark.parametrize("disk", DISKS)
def test_a_full_or_read_only_disk_leaves_no_half_of_a_file(
    album, model_path, tmp_path, disk
):
    reason, least = DISKS[disk]
    (tmp_path / "out").mkdir()
    script = (
        f"mount -t tmpfs -o {disk} none out || exit 77\n"
        f"{sys.executable} -m jaxcorr compress album -m {model_path} -o out\n"
        'echo "status $?"\nls -A out\nmkdir copy\ncp out/* copy 2>/dev/null\ntrue\n'
    )
    try:
        done = subprocess.run(
            ["unshare", "--map-root-user", "--mount", "sh", "-c", script],
            env=os.environ | {"PYTHONPATH": str(ROOT)},
            cwd=tmp_path,
            capture_output=True,
            text=True,
        )
    except FileNotFoundError:
        pytest.skip("needs a disk of its own, but there is no unshare")
    if done.returncode == 77 or "unshare" in done.stderr:
        pytest.skip(f"needs a disk of its own: {done.stderr}")
    lines, _, listed = done.stdout.partition("status 2\n")
    written = listed.split()
    assert_whole(tmp_path / "copy", written)
    assert least <= len(written) == lines.count(" -> ") < len(NAMES)
    *errors, last = done.stderr.splitlines()
    if disk == "ro":  # Found before any work.
        assert errors == [] and reason in last
    else:
        assert len(errors) == len(NAMES) - len(written)
        assert all(line.startswith("jaxcorr: error: cannot write ") for line in errors)
        assert all(line.endswith(reason) for line in errors)
        assert last.startswith(f"jaxcorr: {len(written)} of {len(NAMES)} files written")


@pytest.mark.fast
def test_names_of_255_bytes_are_coded_and_decoded(jaxcorr, model_path, tmp_path):
    letters = "ä" * 125 + "x"  # 251 bytes.
    for name in (f"{letters}.png", f"{'n' * 251}.bmp"):
        assert len(name.encode()) == 255
        Image.fromarray(blocks(17, 33)).save(tmp_path / name)
    assert jaxcorr("compress", ".", "-m", model_path)[0] == 0
    assert jaxcorr("decompress", ".", "-m", model_path, "-o", "out")[0] == 0
    assert sorted(os.listdir("out")) == [f"{'n' * 251}.png", f"{letters}.png"]
    # One that is too long with the suffix of the output.
    Image.fromarray(blocks(17, 33)).save(tmp_path / f"{'m' * 252}.jp", "PNG")
    status, out, err = jaxcorr("compress", f"{'m' * 252}.jp", "-m", model_path)
    assert (status, out, err.count("\n")) == (2, "", 1) and "File name too long" in err


@pytest.mark.fast
def test_an_output_that_cannot_be_written_fails_alone(jaxcorr, model_path, tmp_path):
    for name in ("a.png", f"{'m' * 252}.jp", "taken.png", "z.png"):
        Image.fromarray(blocks(17, 33)).save(tmp_path / name, "PNG")
    (tmp_path / "taken.jxc").mkdir()
    inputs = "a.png", f"{'m' * 252}.jp", "taken.png", "z.png"
    status, out, err = jaxcorr("compress", *inputs, "-m", model_path)
    first, second, last = err.splitlines()
    assert first == f"jaxcorr: error: cannot write {'m' * 252}.jxc: File name too long"
    assert second == "jaxcorr: error: cannot write taken.jxc: it is a directory"
    assert last.startswith("jaxcorr: 2 of 4 files written in ")
    assert (status, out.count("\n")) == (2, 2)
    written = {*os.listdir(tmp_path)} - {*inputs, "taken.jxc"}
    assert {name for name in written if name.endswith(".jxc")} == {"a.jxc", "z.jxc"}


@pytest.mark.fast
def test_a_folder_that_vanishes_leaves_one_line_for_each_file(
    jaxcorr, model_path, tiny_model, album, monkeypatch
):
    encode = coding.encode

    def encode_and_remove(*arguments, **options):
        shutil.rmtree(album, ignore_errors=True)
        return encode(*arguments, **options)

    monkeypatch.setattr(coding, "encode", encode_and_remove)
    command = "compress", album, "-m", model_path, "-o", "out", "--jobs", 1
    status, out, err = jaxcorr(*command)
    *errors, last = err.splitlines()
    assert (status, out.count("\n")) == (2, 1)
    assert last.startswith("jaxcorr: 1 of 6 files written in ")
    assert [line.split()[2] for line in errors] == [
        f"{album}/{name}.png" for name in NAMES[1:]
    ]
    assert_whole(Path("out"), ["a.jxc"])
    expected = compression.compress(blocks(17, 33), tiny_model, with_model_name=False)
    assert Path("out/a.jxc").read_bytes()[44:].startswith(expected[44:])


@pytest.mark.fast
def test_an_output_folder_that_vanishes_is_named_in_one_line(tmp_path):
    path = tmp_path / "out" / "a.jxc"
    path.parent.mkdir()
    with (
        pytest.raises(UserError, match=rf"^cannot write {path}: No such file [^\n]*$"),
        files.atomic_file(path) as temporary,
    ):
        shutil.rmtree(path.parent)
        temporary.write_bytes(b"data")
    assert not path.parent.exists()
