"""Large images are read, coded and written by rows, as small ones are as a whole."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from support import compilation
from support.codecs import blocks

from jaxcorr import images
from jaxcorr.bitstream import memory, planes
from jaxcorr.images import row_reader

RGB = blocks(330, 150)
OPACITY = np.add.outer(np.arange(330), np.arange(150)).clip(0, 255).astype(np.uint8)
KINDS = {
    "color.jpg": Image.fromarray(RGB),
    "gray.tif": Image.fromarray(RGB).convert("L"),
    "clear.png": Image.fromarray(np.dstack([RGB, OPACITY])),
}


def test_files_and_pictures_do_not_depend_on_reading_by_rows(
    jaxcorr, model_path, monkeypatch
):
    """The budget of memory gives many windows, and a strip has 8 rows of latents."""
    monkeypatch.setattr(planes, "STRIP", 8)
    monkeypatch.setattr(memory, "LARGEST_WINDOW", 128 * 160)
    monkeypatch.setattr(row_reader, "BAND_PIXELS", 3000)
    for name, image in KINDS.items():
        image.save(name)
    options = "-m", model_path, "--memory", "520MB"
    for folder, largest in (("whole", 2**21), ("rows", 0)):
        monkeypatch.setattr(row_reader, "WHOLE_PIXELS", largest)
        assert jaxcorr("compress", *KINDS, *options, "-o", f"{folder}/")[0] == 0
        assert jaxcorr("decompress", folder, *options, "-o", folder)[0] == 0
    for name, image in KINDS.items():
        coded = [Path(folder, name).with_suffix(".jxc") for folder in ("whole", "rows")]
        assert coded[0].read_bytes() == coded[1].read_bytes()
        whole, rows = (images.read(path.with_suffix(".png")) for path in coded)
        np.testing.assert_array_equal(whole.rgb, rows.rgb)
        np.testing.assert_equal(whole.alpha, rows.alpha)
        assert whole.is_gray == rows.is_gray == (image.mode == "L")


LIMITED = """
import os, resource, sys
os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:2])  # Stacks of threads count.
resource.setrlimit(resource.RLIMIT_DATA, (600 * 2**20, -1))
from jaxcorr.cli.main import main
sys.argv = ["jaxcorr", "compress", "-m", "demo", *sys.argv[1:]]
main()
"""
"""Program that compresses with little memory."""


@pytest.mark.skipif(sys.platform != "linux", reason="needs limits of Linux")
def test_an_image_that_a_limit_of_the_process_does_not_allow_is_named(tmp_path):
    Image.new("RGB", (5952, 3968)).save(tmp_path / "large.png")
    Image.new("RGB", (64, 64)).save(tmp_path / "small.png")
    done = subprocess.run(
        [sys.executable, "-c", LIMITED, "large.png", "small.png", "-o", "out/"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        env=os.environ | {"XLA_FLAGS": compilation.flags(devices=1)},
    )
    assert done.returncode == 2, done.stderr
    assert "large.png" in done.stderr and "5952 x 3968 pixels needs" in done.stderr
    assert "GB are left: end other programs, or try it with --memory" in done.stderr
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["small.jxc"]


def test_what_reading_by_rows_finds_wrong_is_said_once(
    jaxcorr, model_path, monkeypatch
):
    monkeypatch.setattr(row_reader, "WHOLE_PIXELS", 0)
    KINDS["clear.png"].save("clear.png")
    data = Path("clear.png").read_bytes()
    Path("cut.png").write_bytes(data[: len(data) // 2])
    status, _, err = jaxcorr("compress", "cut.png", "-m", model_path)
    expected = "cut.png cannot be read as an image: image file is truncated"
    assert (status, err) == (2, f"jaxcorr: error: {expected}\n")
    assert not Path("cut.jxc").exists()
    white = "compress", "clear.png", "-m", model_path, "--background", "white"
    assert jaxcorr(*white)[2] == "jaxcorr: clear.png: transparency laid over white\n"
