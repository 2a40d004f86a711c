"""The commands with buckets of the page on pods, on an emulator."""

import re
import shlex

import numpy as np
import pytest
from PIL import Image
from support import buckets
from support.codecs import blocks
from support.paths import ROOT

from jaxcorr import files, paths
from jaxcorr.cli import main

BUCKET = "my-bucket"
SMALLER = (
    "--data.crop-size 64 --data.batch-size 8 --data.held-out-images 0 "
    "--data.held-out-crops 2 --loss.window 3 "
    "--codec.transforms.width 8 --codec.transforms.channels 8"
)
"""Settings that make a run of the page short."""


def commands() -> list[list[str]]:
    """Returns the words of each command of the page that names the bucket."""
    text = (ROOT / "docs/guides/on_a_pod.md").read_text().replace("\\\n", " ")
    shell = "\n".join(re.findall(r"```bash\n(.*?)```", text, re.DOTALL))
    calls = re.findall(r"^jaxcorr (.*)$", shell, re.MULTILINE)
    return [shlex.split(call) for call in calls if f"gs://{BUCKET}" in call]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:Sending a large body")  # By gcsfs.
def test_commands_with_buckets_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with buckets.google_emulator(BUCKET):
        bucket = paths.as_path(f"gs://{BUCKET}")
        for name, height in (("a.png", 320), ("more/b.png", 192)):
            with (bucket / "photographs" / name).open("wb") as file:
                Image.fromarray(blocks(height, 320)).save(file, "PNG")
        for words in commands():
            smaller = SMALLER.split() if words[0] == "train" else []
            main.run([*words, *smaller])
        decoded = paths.files_below(bucket / "decoded", ".png")
        assert [path.name for path in decoded] == ["a.png", "b.png"]
        assert np.asarray(Image.open(decoded[0].open("rb"))).shape == (320, 320, 3)
        assert (bucket / "tuned" / "checkpoints" / "20" / "models" / "0").is_dir()
        assert b'"psnr_db"' in files.read_file(bucket / "results.json")
    assert list(tmp_path.iterdir()) == []


def test_the_page_has_commands_with_buckets():
    kinds = [words[0] for words in commands()]
    assert len(kinds) >= 6 and {"train", "evaluate", "prepare"} <= set(kinds)
