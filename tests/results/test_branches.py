"""The studies of the loss: tables, and runs that are small and go on."""

import math
import os
import subprocess
import sys

import arms
import bars
import bounds
import changes
import facts
import from_scratch
import numpy as np
import pytest
import records
import study
import whole_images
from support import image_folders
from support.paths import ROOT

FOLDER = ROOT / "results" / "branches"
HEAD = "weight,image,bpp_y,bpp_z,mse,correlation,centered,normalized_square\n"


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Returns a folder that has the place of the one with the tables."""
    monkeypatch.setattr(study, "FOLDER", tmp_path)
    return tmp_path


def write(folder, name, rows):
    (folder / name).mkdir()
    statistics = "0.002,0.0015,1"
    lines = [
        f"{weight},{image},{bpp},0,0,{statistics}\n" for weight, image, bpp in rows
    ]
    (folder / name / "val.csv").write_text(HEAD + "".join(lines))


def arm(name, values):
    """Returns an arm with bits and MSE of each image."""
    rows = [
        whole_images.Row(
            weight=1.0,
            image=number,
            bpp_y=bits,
            bpp_z=0.0,
            mse=mse,
            correlation=0.0,
            centered=0.0,
            normalized_square=1.0,
        )
        for number, (bits, mse) in enumerate(values)
    ]
    return arms.Arm(
        trunk="none", rate=0.01, name=name, images="kodak", step=1, rows=tuple(rows)
    )


@pytest.mark.fast
def test_a_change_is_relative_to_the_same_checkpoint_and_image(folder):
    write(folder, "none-6000-0.0067-published", [(0, 0, 1), (0, 1, 4), (1, 0, 2)])
    with pytest.raises(ValueError, match="have other images"):
        changes.comparison()


@pytest.mark.fast
def test_pairs_give_a_mean_and_half_an_interval(folder):
    for step, factor in ((6000, 1.01), (7000, 1.03)):
        rows = [(0, 0, 1.0), (0, 1, 4.0), (1, 0, factor), (1, 1, 4 * factor)]
        write(folder, f"none-{step}-0.0067-published", rows)
        write(folder, f"none-{step}-0.0067-noise", [(0, 0, 1.0), (0, 1, 4.0)])
    published, noise = changes.comparison().rows
    mean, half = 2.0, 12.7062  # Student's t with one degree of freedom.
    assert published[:3] == ("none", "0.0067", "published 1")
    assert published[3:5] == ("2", f"{mean:+.2f} ± {half:.2f} %")
    assert published[5:] == ("0.0020 to 0.0020", "25% to 25%", "1.00 to 1.00")
    assert noise[2:5] == ("no loss, other noise", "2", "+0.00 ± 0.00 %")


@pytest.mark.fast
@pytest.mark.parametrize("module", [changes, from_scratch])
def test_without_tables_the_remedy_is_named(folder, module):
    with pytest.raises(SystemExit, match=r"run study\.py|give both folders"):
        module.comparison()


@pytest.mark.fast
def test_a_model_that_is_measured_again_replaces_its_own_figures(tmp_path):
    def row(model, percent, more=None):
        return bounds.Row(
            model=model,
            context="NoContext",
            predictor="filter",
            percent=percent,
            error=1.0,
            more_percent=more,
        )

    table = tmp_path / "bounds.csv"
    records.update(table, [row("a", 2.0), row("b", 3.0, 0.5)])
    records.update(table, [row("a", 4.0)])
    assert records.read(table, bounds.Row) == [row("b", 3.0, 0.5), row("a", 4.0)]
    printed = records.by_model(
        records.read(table, bounds.Row),
        "predictor",
        name=lambda x: x.predictor,
        cell=lambda x: f"{x.percent:.0f}",
    )
    assert (printed.columns, printed.rows) == (
        ("predictor", "b", "a"),
        (("filter", "3", "4"),),
    )


@pytest.mark.fast
def test_codecs_from_scratch_are_compared_at_quarters_and_at_equal_cost(folder):
    curves = {0.0: (8, 5, 3, 2), from_scratch.WEIGHT: (6, 4, 2, 1)}
    rows = [
        f"{10 * (1 + number)},0,{weight},{cost},0\n"
        for weight, costs in curves.items()
        for number, cost in enumerate(costs)
    ]
    table = folder / "from-scratch-0.0067.csv"
    table.write_text("step,seed,weight,bpp,mse\n" + "".join(rows))
    result = from_scratch.comparison()
    assert result.columns[2:6] == ("10 steps", "20 steps", "30 steps", "40 steps")
    ratios = (6 / 8, 4 / 5, 2 / 3, 1 / 2)
    relative = [f"{100 * (ratio - 1):+.2f} %" for ratio in ratios]
    assert result.rows == (("0.0067", "0", *relative, "40", "30"),)
    assert from_scratch.steps_to(4.0, {10: 8.0, 20: 6.0, 40: 2.0}) == 30
    assert from_scratch.steps_to(9.0, {10: 8.0, 20: 6.0}) == 10


@pytest.mark.fast
def test_a_change_of_the_cost_is_one_of_the_bits_by_their_share_in_each_image(folder):
    bits = (0.5, 0.1)
    base, other = (
        arm(name, [(x, 100 * (cost - x)) for x, cost in zip(bits, costs, strict=True)])
        for name, costs in (("published 0", (1.0, 1.0)), ("published 1", (1.01, 1.02)))
    )
    expected = 1.01 ** (1 / 0.5 / 2) * 1.02 ** (1 / 0.1 / 2) - 1
    assert arms.change_of_bits((base, other)) == pytest.approx(100 * expected)
    assert arms.change((base, other), arms.bits) == pytest.approx(0)
    assert math.isnan(changes.half_interval([1.0]))


@pytest.mark.fast
def test_images_that_agree_leave_no_error():
    base = arm("published 0", [(0.5, 50), (0.1, 10)])
    uniform = arm("published 1", [(0.6, 60), (0.12, 12)])
    other = arm("published 1", [(0.6, 60), (0.1, 10)])
    assert changes.image_error([(base, uniform)]) == pytest.approx(0)
    expected = 100 * math.log(1.2) / 2  # Half of the difference of two images.
    assert changes.image_error([(base, other)]) == pytest.approx(expected)


@pytest.mark.fast
def test_bars_are_drawn_for_each_arm_on_kodak_and_for_the_bound(tmp_path, monkeypatch):
    monkeypatch.setattr(bars, "PICTURE", tmp_path / "bars.png")
    bars.main()
    assert (tmp_path / "bars.png").stat().st_size > 10_000
    paper = {name: saved for name, saved, _ in bars.paper_bars()}
    assert paper["hyperprior"] == pytest.approx(9.5)
    assert paper["checkerboard"] == pytest.approx(100 * (1 - 0.835 / 0.8963))
    drawn = {label: values for label, *values in bars.our_bars()}
    pairs = arms.arm_pairs()["none", 0.0005, "published 1"]
    kodak = [arms.change_of_bits(pair) for pair in arms.on("kodak", pairs)]
    saved, half = drawn["hyperprior, published, auto, λ = 0.0005"]
    assert saved == pytest.approx(-np.mean(kodak)) and 0 < half < 20


@pytest.mark.fast
def test_correlations_of_single_channels_are_counted():
    maps = np.zeros((2, 8, 7, 7))
    maps[:, :, 3, 3] = 2.0
    maps[:, 0, 3, 2] = -2.0  # A correlation of -1.
    maps[:, 7, 3, 4] = 1.0
    shares = facts.channel_shares(maps)
    assert [*shares.values()] == pytest.approx([1.0, 1 / 16])
    maps[:, 1:, 3, 4] = 1.0
    strongest, _ = facts.channel_shares(maps).values()
    assert strongest == pytest.approx(2.25 / 2.75)


TINY = """
import sys
from pathlib import Path

import from_scratch
import study
from jaxcorr.transforms.minnen import Minnen

folder = Path(sys.argv[1])
study.FOLDER, study.TRANSFORMS = folder, Minnen(width=4, channels=6)
study.WEIGHTS = (0.0067,)
folders = {
    "photographs": folder / "train",
    "held_out": folder / "val",
    "runs": folder / "runs",
}
"""
STUDY = """
study.main(study.Settings(
    only=("none",),
    arms=("published", "whitening"),
    checkpoints=(8000,),
    trunk_steps=8,
    branch_steps=2,
    deadline=float(sys.argv[2]),
    **folders,
))
"""
"""Runs a part of the study by branches with a tiny codec."""
FROM_SCRATCH = """
from_scratch.main(from_scratch.Settings(
    rates=study.WEIGHTS, steps=int(sys.argv[2]), every=1, images=2, **folders
))
"""


def run(script, folder, argument):
    """Returns what a script prints in a process with one device."""
    process = subprocess.run(
        [sys.executable, "-c", TINY + script, folder, str(argument)],
        env=os.environ | {"PYTHONPATH": f"{ROOT}:{FOLDER}", "XLA_FLAGS": ""},
        capture_output=True,
        text=True,
    )
    assert process.returncode == 0, process.stderr
    return process.stdout


@pytest.fixture
def photographs(folder):
    """Writes images for training and for measurements."""
    for name in ("train", "val"):
        for number in range(4):
            rng = np.random.default_rng(number)
            image = rng.integers(0, 256, (256, 320, 3), np.uint8)
            image_folders.write(folder / name / f"{number}.png", image)


@pytest.mark.slow
def test_the_study_trains_measures_and_goes_on(folder, photographs):
    assert run(STUDY, folder, 0) == ""  # Too late for any run.
    assert not (folder / "runs").exists()
    run(STUDY, folder, 1000)
    assert [row[:4] for row in changes.comparison().rows] == [
        ("none", "0.0067", arm, "1")
        for arm in ("published 1", "published 4", "whitening 1")
    ]
    before = {path: path.stat().st_mtime_ns for path in folder.glob("none-*/*")}
    assert len(before) == 4
    assert {path.name for path in before} == {"val.csv", "metrics.jsonl"}
    said = run(STUDY, folder, 1000).splitlines()
    assert len(said) == 3 and all(line.endswith("trained already") for line in said)
    tables = [path for path in before if path.suffix == ".csv"]
    assert all(path.stat().st_mtime_ns == before[path] for path in tables)


@pytest.mark.slow
def test_codecs_from_scratch_differ_in_the_loss_alone_and_go_on(folder, photographs):
    lines = 2 + len(from_scratch.SEEDS)
    printed = run(FROM_SCRATCH, folder, 4).splitlines()[-lines:]
    table = folder / "from-scratch-0.0067.csv"
    rows = records.read(table, from_scratch.Row)
    assert len(rows) == 4 * len(from_scratch.SEEDS) * 2
    assert all(line.startswith("|") for line in printed)
    kept = table.read_bytes()
    again = run(FROM_SCRATCH, folder, 4).splitlines()
    assert again[-lines:] == printed
    assert not any("s/step" in line for line in again)  # Nothing is trained again.
    assert table.read_bytes() == kept
