"""Folders of tiles: the same bytes however they are made."""

import errno
import functools
import hashlib
import itertools
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.codecs import blocks
from support.image_folders import write, write_damaged
from support.tile_folders import CONFIG, noise, prepare

from jaxcorr.data import (
    array_record_reader,
    listed_images,
    shard_runners,
    shard_writer,
    tile_folder,
    tile_writer,
    tiles,
)
from jaxcorr.data.listed_images import FileImage
from jaxcorr.data.shard_runners import in_processes
from jaxcorr.data.tiles import TileConfig
from jaxcorr.errors import UserError


def hashes(folder: Path) -> dict[str, str]:
    return {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.iterdir()
    }


def stop_after(count: int, jobs):
    """Writes some shards and begins another, as a process that is killed."""
    yield from map(shard_writer.write_shard, itertools.islice(jobs, count))
    raise KeyboardInterrupt


@pytest.mark.fast
def test_all_pixels_are_in_tiles_and_left_out_images_are_counted(photographs, tmp_path):
    written = prepare(photographs, tmp_path / "out")
    assert written.left_out == {"too small": 1, "unreadable": 1}
    assert (written.images, written.tiles, written.shards) == (10, 7 * 6 + 1, 4)
    text = str(written).splitlines()
    assert text[0].startswith(f"{tmp_path / 'out'}: 43 tiles of 8 images in 4 files, ")
    assert "1 too small, 1 unreadable" in text[1]
    lines = (tmp_path / "out" / "left_out.tsv").read_text().splitlines()
    names = [line.split("\t")[0] for line in lines]
    assert names == [f"{photographs}/below/tiny.png", f"{photographs}/cut.png"]
    assert lines[0].endswith("\ttoo small\t200x63 pixels, below 64")
    source = array_record_reader.ArrayRecordReader(tmp_path / "out")
    tiles = [source[number] for number in range(len(source))]
    # The order is that of paths: 0.png to 4.png come first.
    for number in range(5):
        own = tiles[6 * number : 6 * number + 6]
        rows = [np.concatenate(own[:3], 1), np.concatenate(own[3:], 1)]
        np.testing.assert_array_equal(np.concatenate(rows), noise(number))
    assert {tile.shape for tile in tiles} == {(50, 43, 3), (50, 44, 3), (64, 64, 3)}


def test_workers_and_interruptions_do_not_change_a_byte(photographs, tmp_path):
    prepare(photographs, tmp_path / "whole", unique=True)
    prepare(photographs, tmp_path / "workers", in_processes(2), unique=True)
    stopped = tmp_path / "stopped"
    for count in (2, 0, 1):
        with pytest.raises(KeyboardInterrupt):
            runner = functools.partial(stop_after, count)
            prepare(photographs, stopped, runner, unique=True)
    with pytest.raises(UserError, match="stopped is not complete: the same jaxcorr"):
        array_record_reader.ArrayRecordReader(stopped)
    kept = {path: path.stat().st_mtime_ns for path in stopped.glob("*.array_record")}
    assert len(kept) == 3
    (stopped / ".jaxcorr-of-a-killed-process").mkdir()
    prepare(photographs, stopped, unique=True)
    assert kept == {path: path.stat().st_mtime_ns for path in kept}
    assert hashes(stopped) == hashes(tmp_path / "workers") == hashes(tmp_path / "whole")
    assert len(hashes(stopped)) == 4 + 2


@pytest.mark.fast
def test_a_complete_folder_is_described_and_not_written_again(photographs, tmp_path):
    written = prepare(photographs, tmp_path / "out")
    before = hashes(tmp_path / "out")
    runner: Any = functools.partial(pytest.fail, "it writes")
    assert prepare(photographs, tmp_path / "out", runner) == written
    assert hashes(tmp_path / "out") == before


@pytest.mark.fast
def test_a_folder_with_other_content_is_refused(photographs, tmp_path):
    out = tmp_path / "out"
    prepare(photographs, out)
    other = TileConfig(tile=128, min_side=64)
    with pytest.raises(UserError, match="tiles with tile 64, not 128; give another -o"):
        prepare(photographs, out, config=other)
    with pytest.raises(UserError, match="tiles with unique False, not True"):
        prepare(photographs, out, unique=True)
    (photographs / "4.png").rename(photographs / "5.png")
    with pytest.raises(UserError, match="tiles with other images; give another -o"):
        prepare(photographs, out)
    with pytest.raises(UserError, match="photographs is not empty and holds no tiles"):
        prepare(photographs, photographs)
    with pytest.raises(UserError, match=r"left_out.tsv is not a directory"):
        prepare(photographs, out / "left_out.tsv")


@pytest.mark.fast
def test_images_that_are_not_cut_stay_the_files_that_they_are(photographs, tmp_path):
    config = TileConfig(tile=256, min_side=1)
    prepare(photographs, tmp_path / "out", config=config, images_per_shard=100)
    path = tmp_path / "out" / "tiles-00000-of-00001.array_record"
    reader = array_record_reader._open(path)
    stored = [reader.read([number])[0] for number in range(9)]
    names = [f"{n}.png" for n in range(5)] + ["below/small.jpg", "below/tiny.png"]
    assert stored[:7] == [(photographs / name).read_bytes() for name in names]
    assert stored[7][:4] == b"RIFF", "a BMP file becomes WebP"
    source = array_record_reader.ArrayRecordReader(tmp_path / "out")
    np.testing.assert_array_equal(source[7], np.repeat(noise(7)[..., :1], 3, -1))


@pytest.mark.fast
def test_images_are_made_smaller_before_they_are_measured_and_cut(tmp_path):
    for number in range(3):
        write(tmp_path / "in" / f"{number}.png", noise(number, 128, 256))
    write(tmp_path / "in" / "z.png", noise(3, 127, 256))
    config = TileConfig(tile=64, min_side=64, downscale=(2.0, 2.0))
    written = prepare(tmp_path / "in", tmp_path / "half", config=config)
    assert written.tiles == 8 and not written.left_out  # 127 / 2 is rounded to 64.
    config = TileConfig(tile=64, min_side=64, downscale=(1.0, 3.0))
    written = prepare(tmp_path / "in", tmp_path / "random", config=config)
    sizes = [round(128 / config.divisor(number)) for number in range(3)]
    sizes.append(round(127 / config.divisor(3)))
    assert written.left_out == {"too small": sum(size < 64 for size in sizes)}
    assert 0 < written.left_out["too small"] < 4
    again = prepare(
        tmp_path / "in", tmp_path / "again", config=config, images_per_shard=1
    )
    assert again.tiles == written.tiles


@pytest.mark.fast
def test_files_that_equal_earlier_ones_are_left_out_on_request(photographs, tmp_path):
    write(photographs / "y.png", noise(3)[:, ::-1])  # As long, but different.
    written = prepare(photographs, tmp_path / "out", unique=True)
    assert written.left_out["duplicate"] == 1
    line = (tmp_path / "out" / "left_out.tsv").read_text().splitlines()[-1]
    name = f"{photographs}/z.png\tduplicate\tthe same file as {photographs}/3.png"
    assert line == name


@pytest.mark.fast
def test_a_failing_disk_stops_the_work_and_leaves_nothing_out(
    photographs, tmp_path, monkeypatch
):
    def fail(self):
        if self.key == "2.png":
            raise UserError("2.png cannot be read") from OSError(errno.EIO, "I/O error")
        return read(self)

    read = FileImage.read
    with monkeypatch.context() as patch:
        patch.setattr(FileImage, "read", fail)
        with pytest.raises(UserError, match=r"2.png cannot be read"):
            prepare(photographs, tmp_path / "out")
    assert not list((tmp_path / "out").glob("*.array_record"))
    (photographs / "0.png").chmod(0o600)
    assert prepare(photographs, tmp_path / "out").tiles == 43


@pytest.mark.fast
def test_a_vanished_file_stops_the_work(photographs, tmp_path):
    images = listed_images.list_images([str(photographs)])
    (photographs / "1.png").unlink()
    with pytest.raises(UserError, match=r"1\.png cannot be read as an image: No such"):
        tile_writer.write_tiles(
            images, tmp_path / "out", CONFIG, runner=in_processes(1)
        )


@pytest.mark.fast
def test_images_of_which_none_can_be_used_are_refused(tmp_path):
    write(tmp_path / "in" / "a.png", noise(0, 20, 20))
    write_damaged(tmp_path / "in" / "b.png", noise(1))
    message = "no image can be used: 1 too small, 1 unreadable"
    with pytest.raises(UserError, match=message):
        prepare(tmp_path / "in", tmp_path / "out")


@pytest.mark.fast
def test_what_is_no_source_or_number_is_refused(photographs, tmp_path):
    for source in ("mix:1*folder:a+1*folder:b", "builtin:"):
        with pytest.raises(UserError, match="cannot be cut into tiles; give DIR, "):
            listed_images.list_images([source])
    with pytest.raises(UserError, match="nowhere is not a directory"):
        listed_images.list_images(["folder:nowhere"])
    with pytest.raises(UserError, match="--images-per-shard must be at least 1, not 0"):
        prepare(photographs, tmp_path / "out", images_per_shard=0)
    with pytest.raises(UserError, match="--workers must be at least 1, but is 0"):
        in_processes(0)


@pytest.mark.fast
def test_apache_beam_is_named_if_it_is_missing(monkeypatch):
    monkeypatch.setitem(sys.modules, "apache_beam", None)
    with pytest.raises(
        UserError, match=r"needs apache-beam, .* pip install apache-beam"
    ):
        shard_runners.in_beam("DirectRunner")


@pytest.mark.fast
def test_tiles_can_be_cut_again(photographs, tmp_path):
    prepare(photographs, tmp_path / "large", config=TileConfig(tile=0, min_side=64))
    small = tmp_path / "small"
    images = listed_images.list_images([f"arrayrecord:{tmp_path / 'large'}"])
    tile_writer.write_tiles(images, small, CONFIG, runner=in_processes(1))
    prepare(photographs, tmp_path / "direct")
    first, second = (
        array_record_reader.ArrayRecordReader(path)
        for path in (small, tmp_path / "direct")
    )
    assert len(first) == len(second)
    for number in range(len(first)):
        np.testing.assert_array_equal(first[number], second[number])


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["multi_threading", "multi_processing"])
def test_a_pipeline_of_beam_writes_the_same_bytes(photographs, tmp_path, mode):
    pytest.importorskip("apache_beam", reason="`nox -s beam` installs apache-beam")
    prepare(photographs, tmp_path / "processes")
    options = ("--direct_num_workers=2", f"--direct_running_mode={mode}")
    runner = shard_runners.in_beam("DirectRunner", options)
    prepare(photographs, tmp_path / "beam", runner)
    assert hashes(tmp_path / "beam") == hashes(tmp_path / "processes")


@pytest.mark.fast
def test_tiles_are_stored_as_jpeg_on_request(tmp_path):
    picture = blocks(130, 100)
    write(tmp_path / "in" / "a.png", picture)
    config = TileConfig(tile=65, min_side=1, jpeg=95)
    prepare(tmp_path / "in", tmp_path / "out", config=config)
    reader = array_record_reader._open(next((tmp_path / "out").glob("tiles-*")))
    stored = [reader.read([number])[0] for number in range(reader.num_records())]
    assert len(stored) == 4 and all(data[:2] == b"\xff\xd8" for data in stored)
    source = array_record_reader.ArrayRecordReader(tmp_path / "out")
    expected = list(tiles.cut(picture, 65))
    for index, tile in enumerate(expected):
        difference = np.abs(source[index].astype(int) - tile)
        assert 0 < difference.mean() < 8
    other = TileConfig(tile=65, min_side=1)
    with pytest.raises(UserError, match="holds tiles with jpeg 95, not 0"):
        prepare(tmp_path / "in", tmp_path / "out", config=other)


@pytest.mark.fast
def test_a_folder_of_an_earlier_version_is_gone_on_with(photographs, tmp_path):
    written = prepare(photographs, tmp_path / "out")
    path = tmp_path / "out" / tile_folder.DATA_SET
    found = tile_folder.read_json(path)
    del found["settings"]["jpeg"]
    tile_folder.write_json(path, found)
    assert prepare(photographs, tmp_path / "out") == written
