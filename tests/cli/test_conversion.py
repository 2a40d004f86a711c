"""Several files are converted at once."""

import threading
import time
from pathlib import Path

import jax
import pytest
from PIL import Image
from support.codecs import blocks

from jaxcorr.bitstream import coding, shared_batches

pytestmark = pytest.mark.fast


def test_files_are_coded_at_once_and_reported_in_their_order(
    jaxcorr, model_path, monkeypatch
):
    for index, name in enumerate("abcd"):
        Image.fromarray(blocks(17 - index, 33)).save(f"{name}.png")
    command = "compress", "a.png", "b.png", "c.png", "d.png", "-m", model_path
    assert jaxcorr(*command, "--jobs", 1, "-o", "alone")[0] == 0
    encode, together = coding.encode, threading.Barrier(4, timeout=60)
    order = []

    def encode_at_once(model, image, **options):
        row = together.wait()
        time.sleep(0.05 * (image.size[0] - 14))  # The first file is the last to end.
        order.append(row)
        if image.size[0] == 15:
            raise KeyError("entry")
        return encode(model, image, **options)

    monkeypatch.setattr(coding, "encode", encode_at_once)
    status, out, err = jaxcorr(*command, "--jobs", 4, "-o", "together")
    assert status == 1 and len(order) == 4
    assert [line.split(" ->")[0] for line in out.splitlines()] == [
        "a.png",
        "b.png",
        "d.png",
    ]
    error, summary = err.splitlines()
    assert error == "jaxcorr: error: c.png: KeyError: 'entry'"
    assert summary.startswith("jaxcorr: 3 of 4 files written in ")
    assert summary.endswith(" per second)")
    for name in "abd":
        alone = Path("alone", f"{name}.jxc").read_bytes()
        assert Path("together", f"{name}.jxc").read_bytes() == alone
    assert not Path("together/c.jxc").exists()
    status, _, err = jaxcorr(*command, "--jobs", 0)
    assert (status, err) == (2, "jaxcorr: error: --jobs must be at least 1, but is 0\n")


def test_files_are_coded_in_batches_as_on_an_accelerator(
    jaxcorr, model_path, monkeypatch
):
    folder = Path("images")
    folder.mkdir()
    for index in range(6):
        Image.fromarray(blocks(40 + index, 33)).save(folder / f"{index}.png")
    sizes, sharing = [], shared_batches.sharing

    def share(size):
        sizes.append(size)
        return sharing(3)

    monkeypatch.setattr(shared_batches, "sharing", share)
    command = "compress", folder, "-m", model_path, "--jobs", 3
    assert jaxcorr(*command, "-o", "coded")[0] == 0
    assert jaxcorr("decompress", "coded", "-m", model_path, "-o", "out")[0] == 0
    on_cpu = jax.default_backend() == "cpu"
    assert len(sizes) == 2 and sizes[0] == (1 if on_cpu else 3)
    for index in range(6):
        with Image.open(f"out/{index}.png") as picture:
            assert picture.size == (33, 40 + index)
