"""Lists of folders: kept between starts, and the same with and without a kept one."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from support.image_folders import write

from jaxcorr import images, runtime
from jaxcorr.data import folder, folder_list, progress

NAMES = ("a-b.png", "a.png", "a/b.png", "a/B.JPG", "a.d/c.png", "b/a/z.webp", "b.png")


@pytest.fixture
def opened(monkeypatch, tmp_path):
    """Keeps lists of any length below `tmp_path`; returns the names that are opened."""
    names = []

    def read_size(path):
        names.append(Path(path).name)
        return read(path)

    read = images.read_size
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(images, "read_size", read_size)
    monkeypatch.setattr(folder_list, "KEPT_FROM", 1)
    return names


@pytest.fixture
def photographs(tmp_path):
    """Five images; number n is 64 + n pixels wide."""
    for number in range(5):
        image = np.zeros((100, 64 + number, 3), np.uint8)
        write(tmp_path / "photographs" / f"{number}.png", image)
    return tmp_path / "photographs"


def lists() -> Path:
    """Returns where lists are kept."""
    folder = runtime.folder_lists()
    assert folder is not None
    return folder


def list_widths(photographs: Path) -> dict[str, int]:
    listed = folder_list.list_folder(photographs)
    return dict(zip(listed.names, listed.sizes[:, 0].tolist(), strict=True))


@pytest.mark.fast
def test_images_are_found_in_the_order_of_their_paths(tmp_path):
    for name in NAMES:
        write(tmp_path / name, np.zeros((8, 8, 3), np.uint8))
    (tmp_path / "b.txt").touch()
    (tmp_path / "folder.png").mkdir()
    (tmp_path / "loop.png").symlink_to("loop.png")
    expected = sorted(tmp_path / name for name in NAMES)
    assert images.find_images(tmp_path) == expected
    listed = folder_list.list_folder(tmp_path)
    assert [tmp_path / name for name in listed.names] == expected


@pytest.mark.fast
def test_a_second_start_opens_no_file(photographs, opened):
    expected = {f"{number}.png": 64 + number for number in range(5)}
    assert list_widths(photographs) == expected
    assert sorted(opened) == sorted(expected)
    opened.clear()
    assert list_widths(photographs) == expected
    # Another crop size is another choice from the same list.
    assert len(folder.open_folder(photographs, crop_size=64)) == 5
    assert opened == []


@pytest.mark.fast
def test_new_changed_and_removed_files_are_noticed(photographs, opened):
    list_widths(photographs)
    opened.clear()
    write(photographs / "1.png", np.zeros((100, 80, 3), np.uint8))
    os.utime(photographs / "3.png", ns=(0, 0))
    (photographs / "2.png").unlink()
    write(photographs / "0b.png", np.zeros((100, 90, 3), np.uint8))
    expected = {"0.png": 64, "0b.png": 90, "1.png": 80, "3.png": 67, "4.png": 68}
    assert list_widths(photographs) == expected
    assert sorted(opened) == ["0b.png", "1.png", "3.png"]
    opened.clear()
    assert list_widths(photographs) == expected
    assert opened == []


@pytest.mark.fast
def test_a_file_that_is_not_an_image_is_not_opened_again(photographs, opened):
    (photographs / "text.png").write_text("not an image")
    assert list_widths(photographs)["text.png"] == 0
    opened.clear()
    assert list_widths(photographs)["text.png"] == 0
    assert opened == []


@pytest.mark.fast
@pytest.mark.parametrize("damage", [b"", b"PK\x03\x04 of another kind"])
def test_a_damaged_list_is_made_anew(photographs, opened, damage):
    expected = list_widths(photographs)
    (kept,) = lists().iterdir()
    kept.write_bytes(damage)
    assert list_widths(photographs) == expected
    assert len(opened) == 10


@pytest.mark.fast
def test_a_list_that_cannot_be_kept_is_made_at_each_start(
    photographs, opened, tmp_path
):
    (tmp_path / "cache").write_text("a file where the folder would be")
    assert list_widths(photographs) == list_widths(photographs)
    assert len(opened) == 10


@pytest.mark.fast
def test_a_short_list_is_not_kept(photographs, opened, monkeypatch):
    monkeypatch.setattr(folder_list, "KEPT_FROM", 6)
    list_widths(photographs)
    assert not lists().exists()


@pytest.mark.fast
def test_a_long_listing_says_how_far_it_is(photographs, opened, monkeypatch, capsys):
    monkeypatch.setattr(progress, "SECONDS_BETWEEN_LINES", 0.0)
    monkeypatch.setattr(folder_list, "CHUNK", 2)
    list_widths(photographs)
    assert capsys.readouterr().err.splitlines() == [
        f"folder:{photographs}: found 2 images",
        f"folder:{photographs}: found 4 images",
        f"folder:{photographs}: read the headers of 2 of 5 images",
        f"folder:{photographs}: read the headers of 4 of 5 images",
        f"folder:{photographs}: read the headers of 5 of 5 images",
    ]


def make_links(root: Path, count: int, target: Path) -> None:
    for number in range(count):
        parent = root / f"{number // 1000:05d}"
        if number % 1000 == 0:
            parent.mkdir(parents=True)
        os.symlink(target, f"{parent}/{number:07d}.png")


LIST_TWICE = """
import sys, time
from pathlib import Path
from jaxcorr import images
from jaxcorr.data import folder

# The first start would open each file, which takes a minute or more.
images.read_size = lambda path: (64, 100)
for _ in range(2):
    before = time.process_time()  # Other programs do not count.
    source = folder.open_folder(Path(sys.argv[1]), crop_size=64)
print(len(source), time.process_time() - before)
"""
"""Run in a process of its own, where no types are checked for each file."""


@pytest.mark.parametrize(
    "count", [2000, pytest.param(1_000_000, marks=pytest.mark.slow)]
)
def test_a_second_start_lists_a_million_images_in_ten_seconds(
    count, photographs, tmp_path, monkeypatch
):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    links = tmp_path / "links"
    make_links(links, count, photographs / "0.png")
    program = [sys.executable, "-c", LIST_TWICE, str(links)]
    output = subprocess.check_output(program, text=True)
    shutil.rmtree(links)  # Pytest would keep them.
    listed, seconds = output.split()
    assert int(listed) == count
    assert float(seconds) < max(1, 10 * count / 1e6)
