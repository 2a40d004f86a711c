"""Many images, and images in a bucket, that are cut into tiles."""

import subprocess
import sys

import pytest
from support import buckets
from support.image_folders import write
from support.tile_folders import noise, prepare

from jaxcorr import files, paths

PEAK = """
import resource, subprocess, sys
subprocess.run([sys.executable, "-m", "jaxcorr", "prepare", *sys.argv[1:]], check=True)
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
"""
"""Prints the largest memory of the processes of a command, in KB."""


@pytest.mark.slow
def test_memory_does_not_grow_with_the_number_of_images(tmp_path):
    write(tmp_path / "image.png", noise(0, 128, 160))  # 60 KB as an array.
    peaks = []
    for count in (500, 4000):
        folder = tmp_path / f"{count}"
        folder.mkdir()
        for number in range(count):
            (folder / f"{number}.png").hardlink_to(tmp_path / "image.png")
        command = [folder, "-o", tmp_path / f"out_{count}", "--tile", "128"]
        done = subprocess.run(
            [sys.executable, "-c", PEAK, *command, "--images-per-shard", "100"],
            capture_output=True,
            text=True,
            check=True,
        )
        peaks.append(int(done.stdout.splitlines()[-1]))
    assert peaks[1] - peaks[0] < 30_000


@pytest.mark.fast
def test_equal_images_in_a_bucket_are_left_out(tmp_path, monkeypatch):
    with buckets.memory_buckets(monkeypatch):
        folder = paths.as_path("gs://bucket/in")
        images = [noise(seed, 64, 64) for seed in (0, 1, 0)]
        for number, image in enumerate(images):
            write(tmp_path / "image.png", image)
            files.write_file(
                folder / f"{number}.png", (tmp_path / "image.png").read_bytes()
            )
        written = prepare(folder, tmp_path / "out", unique=True)
    assert (written.images, written.left_out) == (3, {"duplicate": 1})
