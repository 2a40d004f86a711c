"""The table of the study by branches compares each arm with its own checkpoint."""

import importlib.util
import math
import os
import subprocess
import sys

import numpy as np
import pytest
from support import image_folders
from support.paths import ROOT

FOLDER = ROOT / "results" / "branches"
HEAD = "weight,image,bpp_y,bpp_z,mse,correlation,centered,normalized_square\n"


@pytest.fixture
def table(tmp_path, monkeypatch):
    """The script, which reads tables below a temporary folder."""
    monkeypatch.syspath_prepend(str(FOLDER))
    for name in ("whole_images", "study", "changes"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    spec = importlib.util.spec_from_file_location(
        "branches_table", FOLDER / "changes.py"
    )
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "branches_table", module)
    spec.loader.exec_module(module)
    monkeypatch.setattr(module.study, "FOLDER", tmp_path)
    yield module
    for name in ("whole_images", "study"):
        sys.modules.pop(name, None)


def write(folder, name, rows):
    (folder / name).mkdir()
    statistics = "0.002,0.0015,1"
    lines = [
        f"{weight},{image},{bpp},0,0,{statistics}\n" for weight, image, bpp in rows
    ]
    (folder / name / "val.csv").write_text(HEAD + "".join(lines))


@pytest.mark.fast
def test_a_change_is_relative_to_the_same_checkpoint_and_image(table, tmp_path):
    write(tmp_path, "none-6000-0.0067-published", [(0, 0, 1), (0, 1, 4), (1, 0, 2)])
    with pytest.raises(ValueError, match="zip"):  # An image is missing.
        table.comparison()


@pytest.mark.fast
def test_pairs_give_a_mean_and_half_an_interval(table, tmp_path):
    for step, factor in ((6000, 1.01), (7000, 1.03)):
        rows = [(0, 0, 1.0), (0, 1, 4.0), (1, 0, factor), (1, 1, 4 * factor)]
        write(tmp_path, f"none-{step}-0.0067-published", rows)
        write(tmp_path, f"none-{step}-0.0067-noise", [(0, 0, 1.0), (0, 1, 4.0)])
    published, noise = table.comparison().rows
    changes = [100 * math.log(1.01), 100 * math.log(1.03)]
    mean, difference = sum(changes) / 2, changes[1] - changes[0]
    half = 12.7062 * difference / 2  # Student's t with one degree of freedom.
    assert published[:3] == ("none", "0.0067", "published 1")
    assert published[3:6] == ("2", "100%", f"{mean:+.2f} ± {half:.2f} %")
    assert published[6:] == ("0.0020", "0.0020", "25%", "25%", "1.00", "1.00")
    assert noise[2:6] == ("noise 0", "2", "100%", "+0.00 ± 0.00 %")


STUDY = """
import sys
from pathlib import Path

import study
from jaxcorr.transforms.minnen import Minnen

folder = Path(sys.argv[1])
study.FOLDER, study.TRANSFORMS = folder, Minnen(width=4, channels=6)
study.WEIGHTS = (0.0067,)
study.main(study.Settings(
    photographs=folder / "train",
    held_out=folder / "val",
    runs=folder / "runs",
    only=("none",),
    arms=("published", "whitening"),
    checkpoints=(8000,),
    trunk_steps=8,
    branch_steps=2,
    deadline=float(sys.argv[2]),
))
"""
"""Runs a part of the study with a tiny codec."""


def run_study(folder, *, deadline=1000.0):
    """Returns what the study prints in a process with one device."""
    process = subprocess.run(
        [sys.executable, "-c", STUDY, folder, str(deadline)],
        env=os.environ | {"PYTHONPATH": f"{ROOT}:{FOLDER}", "XLA_FLAGS": ""},
        capture_output=True,
        text=True,
    )
    assert process.returncode == 0, process.stderr
    return process.stdout


@pytest.mark.slow
def test_the_study_trains_measures_and_goes_on(table, tmp_path):
    for name in ("train", "val"):
        for number in range(4):
            rng = np.random.default_rng(number)
            image = rng.integers(0, 256, (256, 320, 3), np.uint8)
            image_folders.write(tmp_path / name / f"{number}.png", image)
    assert run_study(tmp_path, deadline=0.0) == ""  # Too late for any run.
    assert not (tmp_path / "runs").exists()
    run_study(tmp_path)
    assert [row[:4] for row in table.comparison().rows] == [
        ("none", "0.0067", arm, "1")
        for arm in ("published 1", "published 4", "whitening 1")
    ]
    before = {path: path.stat().st_mtime_ns for path in tmp_path.glob("none-*/*")}
    assert len(before) == 4
    assert {path.name for path in before} == {"val.csv", "metrics.jsonl"}
    said = run_study(tmp_path).splitlines()
    assert len(said) == 3 and all(line.endswith("trained already") for line in said)
    tables = [path for path in before if path.suffix == ".csv"]
    assert all(path.stat().st_mtime_ns == before[path] for path in tables)


@pytest.mark.fast
def test_without_tables_the_remedy_is_named(table):
    with pytest.raises(SystemExit, match=r"run study\.py"):
        table.comparison()
