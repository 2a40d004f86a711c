"""The wheel works without the repository."""

import os
import subprocess
import sys
import zipfile

import pytest
from support.paths import ROOT

TRAIN = "import sys; from jaxcorr.cli.main import main; sys.argv[0] = 'jaxcorr'; main()"


@pytest.mark.slow
def test_a_wheel_trains_its_own_configs(tmp_path):
    build = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", str(ROOT)]
    subprocess.run([*build, "--wheel-dir", str(tmp_path)], check=True)
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path / "installed")
    configs = sorted(p.stem for p in (tmp_path / "installed").rglob("configs/*.py"))
    assert configs == sorted(path.stem for path in (ROOT / "configs").glob("*.py"))

    small = "--codec.transforms.width 4 --codec.transforms.channels 4 --steps 1"
    small += " --loss.window 3 --data.crop-size 64 --data.batch-size 2"
    small += " --data.held-out-crops 2"
    done = subprocess.run(
        [sys.executable, "-c", TRAIN, "train", "quickstart", *small.split()],
        env=os.environ | {"PYTHONPATH": str(tmp_path / "installed"), "XLA_FLAGS": ""},
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "comparison.png, are in runs/quickstart/held_out" in done.stdout
    assert (tmp_path / "runs" / "quickstart" / "checkpoints" / "1").is_dir()
