"""The command that prepares images: what it writes, prints and refuses."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from support.image_folders import write
from support.paths import ROOT
from support.waiting import wait_until

from jaxcorr.data import image_sets

TWO = ("--tile", "64", "--images-per-shard", "2")
COMMAND = (sys.executable, "-m", "jaxcorr", "prepare", "in", "--tile", "64")


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    """A folder `in` with three images, in the working directory."""
    rng = np.random.default_rng(0)
    for number in range(3):
        image = rng.integers(256, size=(70, 64, 3), dtype=np.uint8)
        write(tmp_path / "in" / f"{number}.png", image)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.fast
def test_tiles_are_written_and_described(jaxcorr, folder):
    status, out, err = jaxcorr("prepare", "in", "-o", "out", "--workers", "1", *TWO)
    assert (status, err) == (0, "")
    size = sum(path.stat().st_size for path in Path("out").glob("tiles-*")) / 1e6
    assert out.splitlines() == [
        f"out: 6 tiles of 3 images in 2 files, {size:.1f} MB",
        "to train on it: --data.source arrayrecord:out",
    ]
    again = jaxcorr("prepare", "folder:in", "-o", "out", "--workers", "1", *TWO)
    assert again == (0, out, "")
    options = ("--downscale", "1", "1.09", "--min-side", "64", "--workers", "1")
    status, out, _ = jaxcorr("prepare", "in", "-o", "smaller", *options, *TWO)
    assert status == 0 and "left out: 2 too small; smaller/left_out.tsv" in out


@pytest.mark.fast
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("", "give a folder of images, or --list for the usual data sets"),
        ("in", "name the folder to write by -o DIR"),
        ("nowhere -o out", "nowhere is not a directory"),
        ("in -o out --downscale 1 2 3", "--downscale takes one number, or the two of"),
        ("in -o out --downscale 0.5", "--downscale must be from 1 to 64 and ascend"),
        ("in -o out --tile 3", "--tile must be 0 or from 64, but is 3"),
        ("in -o out --workers 0", "--workers must be at least 1, but is 0"),
        ("in --data-dir out", "takes one folder of images, --data-dir and --name"),
        ("in -o x --data-dir out --name y", "tiles take -o"),
        ("in -o out --beam-runner X", "needs apache-beam, which is not installed"),
    ],
)
def test_wrong_arguments_are_refused_in_one_line(
    jaxcorr, folder, arguments, message, monkeypatch
):
    monkeypatch.setitem(sys.modules, "apache_beam", None)
    status, out, err = jaxcorr("prepare", *arguments.split())
    assert (status, out, err.count("\n")) == (2, "", 1)
    assert err.startswith("jaxcorr: error: ") and message in err
    assert not Path("out").exists()


@pytest.mark.fast
def test_the_extra_of_a_missing_package_is_named(jaxcorr, folder, monkeypatch):
    monkeypatch.setitem(sys.modules, "array_record.python.array_record_module", None)
    status, _, err = jaxcorr("prepare", "in", "-o", "out")
    assert status == 2
    assert err == (
        "jaxcorr: error: jaxcorr prepare needs array_record, which is not installed: "
        "pip install 'jaxcorr[train]'\n"
    )


@pytest.mark.fast
def test_the_list_names_the_usual_sets(jaxcorr):
    status, out, _ = jaxcorr("prepare", "--list")
    assert status == 0
    for name in "CLIC OpenImages ImageNet Vimeo-90k Kodak Tecnick DIV2K".split():
        assert f"\n{name}" in out
    assert len(image_sets.IMAGE_SETS) == out.count("licence: ") <= out.count("\n  $ ")
    assert all(
        f"  {each.address.split(',')[0]}" in out for each in image_sets.IMAGE_SETS
    )


def children_of(process: int) -> list[int]:
    tasks = Path(f"/proc/{process}/task").glob("*/children")
    return [int(child) for path in tasks for child in path.read_text().split()]


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_killed_command_leaves_no_process_and_goes_on_with_finished_shards(folder):
    rng = np.random.default_rng(0)
    for number in range(60):
        image = rng.integers(256, size=(400, 400, 3), dtype=np.uint8)
        write(folder / "in" / f"{number:02}.png", image)
    options = (*COMMAND, "--images-per-shard", "3")
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    subprocess.run([*options, "-o", "once", "--workers", "1"], env=environment)
    for kill, finished in ((signal.SIGKILL, 2), (signal.SIGINT, 6)):
        command = [*options, "-o", "killed", "--workers", "2"]
        process = subprocess.Popen(command, env=environment)
        wait_until(
            lambda n=finished: len(list(Path("killed").glob("*.json"))) >= n, process
        )
        children = children_of(process.pid)
        assert len(children) >= 2
        process.send_signal(kill)
        assert process.wait(30) in (-signal.SIGKILL, 130)
        deadline = time.monotonic() + 30
        while any(Path(f"/proc/{child}").exists() for child in children):
            assert time.monotonic() < deadline
            time.sleep(0.05)
        assert not Path("killed/data_set.json").exists()
    finished = Path("killed").glob("tiles-*.json")
    shards = [path.with_suffix(".array_record") for path in finished]
    kept = {path: path.stat().st_ino for path in shards}
    assert len(kept) >= 5
    subprocess.run([*options, "-o", "killed", "--workers", "2"], env=environment)
    assert kept == {path: path.stat().st_ino for path in kept}
    files = sorted(path.name for path in Path("once").iterdir())
    assert files == sorted(path.name for path in Path("killed").iterdir())
    for name in files:
        assert Path("once", name).read_bytes() == Path("killed", name).read_bytes()
