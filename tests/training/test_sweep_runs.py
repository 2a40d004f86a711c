"""Sweeps that the command trains, and commands that read them."""

import json
from collections.abc import Iterator

import numpy as np
import pytest
from support.training_runs import STEPS, Runs

from jaxcorr import images, run_directory
from jaxcorr.errors import UserError


@pytest.fixture(scope="module")
def runs(tmp_path_factory) -> Iterator[Runs]:
    with Runs(tmp_path_factory.mktemp("sweep")) as runs:
        yield runs


@pytest.fixture(scope="module")
def swept(runs):
    """A sweep of three, trained by the command, whose last member fails."""
    workdir = runs.folder / "swept"
    weights = ("--sweep.distortion-weight", "0.01", "0.1", "1e38")
    status, first, errors = runs.finish(
        workdir, *weights, "--intervals.max-to-keep", "1"
    )
    assert (status, errors) == (0, "")
    return workdir, first


@pytest.fixture(scope="module")
def by_itself(runs, swept):
    """The second member of the sweep, as a run of its own."""
    workdir = runs.folder / "by_itself"
    status, _, errors = runs.finish(workdir, "--sweep.distortion-weight", "0.1")
    assert (status, errors) == (0, "")
    return workdir


def records(workdir, name="metrics.jsonl", member=0):
    lines = map(json.loads, (workdir / name).read_text().splitlines())
    return [line for line in lines if line["member"] == member]


def test_a_member_logs_the_losses_of_a_run_by_itself(swept, by_itself):
    for name in ("metrics.jsonl", "held_out.jsonl"):
        member, alone = records(swept[0], name, 1), records(by_itself, name)
        assert [x["step"] for x in member] == [x["step"] for x in alone]
        losses = [[record["loss"] for record in run] for run in (member, alone)]
        np.testing.assert_allclose(*losses, rtol=1e-5)
    assert (swept[0] / "tensorboard" / "member_1").is_dir()


def test_a_member_that_fails_is_named_and_has_no_model(swept):
    workdir, output = swept
    (line,) = (x for x in output.splitlines() if ": member" in x)
    assert ": member 2 (λ 1e+38, α 0.1, seed 0) stops: loss or gradient" in line
    paths = [f"{workdir}@{number}" for number in (0, 1)]
    assert run_directory.model_paths(workdir) == paths
    with pytest.raises(UserError, match="has no member 2, only 0, 1"):
        run_directory.load(f"{workdir}@2")


def test_the_best_checkpoint_of_each_member_is_kept(swept):
    workdir, _ = swept
    kept = {int(path.name) for path in (workdir / "checkpoints").iterdir()}
    best = set()
    for number in (0, 1):
        losses = {
            record["step"]: record["rate_distortion"]
            for record in records(workdir, "held_out.jsonl", number)
        }
        best.add(min(losses, key=losses.__getitem__))
        model = run_directory.load(f"{workdir}@{number}")
        assert model.provenance.held_out_loss == min(losses.values())
        member = model.provenance.member
        assert member is not None
        assert member.distortion_weight == (0.01, 0.1)[number]
    assert kept == best | {STEPS}


def test_a_sweep_ends_by_coding_photographs_with_each_member(swept):
    workdir, output = swept
    for number in (0, 1):
        folder = workdir / "held_out" / f"member_{number}"
        assert (folder / "comparison.png").is_file()
        assert f"{workdir}@{number}: seed 0, distortion weight" in output


def test_commands_take_one_member_and_evaluate_takes_all(swept, jaxcorr, tmp_path):
    workdir, _ = swept
    photograph = tmp_path / "photographs" / "noise.png"
    noise = np.random.default_rng(0).integers(0, 256, (70, 64, 3), dtype=np.uint8)
    images.write_image(photograph, noise)

    status, output, errors = jaxcorr(
        "evaluate", photograph.parent, "-m", workdir, "--json", "table.json"
    )
    assert (status, errors) == (0, "")
    tables = json.loads((tmp_path / "table.json").read_text())
    assert len(tables) == 2
    for number, table in enumerate(tables):
        assert f"{workdir}@{number}: seed 0, distortion weight" in output
        assert table["model"]["path"] == f"{workdir}@{number}"
        status, alone, _ = jaxcorr(
            "evaluate", photograph.parent, "-m", f"{workdir}@{number}"
        )
        assert status == 0 and f"{table['images'][0]['bytes']} " in alone
    fingerprints = {table["model"]["fingerprint"] for table in tables}
    assert len(fingerprints) == 2

    assert jaxcorr("compress", photograph, "-m", f"{workdir}@1")[0] == 0
    assert jaxcorr("pack", f"{workdir}@1", "-o", "packed")[0] == 0
    file = photograph.with_suffix(".jxc")
    assert jaxcorr("decompress", file, "-m", "packed", "-o", "back.png")[0] == 0
    assert jaxcorr("decompress", file, "-m", workdir, "-o", "same.png")[0] == 0
    assert (tmp_path / "same.png").read_bytes() == (tmp_path / "back.png").read_bytes()
    status, _, errors = jaxcorr("compress", photograph, "-m", workdir, "--force")
    assert status == 2
    assert errors == (
        f"jaxcorr: error: {workdir} is a sweep; choose one of its members: "
        f"{workdir}@0, {workdir}@1, or give a target (bpp, psnr or size) that chooses "
        "for each image\n"
    )
    status, _, errors = jaxcorr("pack", "packed@1", "-o", "again")
    assert status == 2 and "packed is a model: it has no member 1" in errors
