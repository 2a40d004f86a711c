"""Evaluations that are read back from tables."""

import json

import pytest
from support import evaluations
from support.evaluations import model_metadata, write_result
from support.paths import ROOT

from jaxcorr import run_directory
from jaxcorr.errors import UserError
from jaxcorr.evaluation import result_files, results
from jaxcorr.report import rd_curves
from jaxcorr.report.labels import curve_labels

pytestmark = pytest.mark.fast


@pytest.fixture
def runs(tmp_path):
    return evaluations.write_runs(tmp_path / "runs")


OLD = ROOT / "tests/references/evaluation-first-generation.json"
"""A table from before members of a sweep had a section of the config."""


def test_tables_of_both_generations_of_settings_are_on_one_curve(tmp_path):
    old = json.loads(OLD.read_text())
    assert "seed" in old["model"]["run"] and "sweep" not in old["model"]["run"]
    new = json.loads(OLD.read_text())
    run, member = new["model"]["run"], new["model"]["member"]
    weights = {name: run["objective"].pop(name) for name in run_directory.WEIGHTS}
    run["sweep"] = {"kind": "Sweep", **weights, "seed": [run.pop("seed"), 7]}
    member |= {"seed": 7, "distortion_weight": 0.5}
    for name, table in (("old", old), ("new", new)):
        (tmp_path / f"{name}.json").write_text(json.dumps(table))
    found = result_files.read_results([tmp_path / "old.json", tmp_path / "new.json"])
    assert results.differing_settings(found) == set()
    (curve,) = rd_curves.group_into_curves(found, curve_labels(found))
    assert set(curve.series) == {0, 7}


def test_a_table_that_is_named_twice_counts_once(runs):
    assert len(result_files.read_results([runs, runs / "seed-0"])) == 16


@pytest.mark.parametrize(
    "broken",
    [
        {"images": [{"width": 1, "height": 1, "bpp": 1.0, "psnr_db": 1.0}]},
        {"mean": {}},
        {"model": []},
        {"model": "tiny"},
        {"model": {"run": {}}},
        {"model": {"run": {"codec": {}}}},
    ],
)
def test_an_incomplete_table_is_refused(tmp_path, broken):
    write_result(tmp_path / "a.json", {}, bpp=1.0, psnr=30.0)
    table = json.loads((tmp_path / "a.json").read_text()) | broken
    (tmp_path / "a.json").write_text(json.dumps(table))
    with pytest.raises(UserError, match=r"a\.json is not a table"):
        result_files.read_results([tmp_path])


def test_a_damaged_table_is_refused(tmp_path):
    (tmp_path / "cut.json").write_text('{"model": ')
    with pytest.raises(UserError, match=r"cut\.json is not complete JSON"):
        result_files.read_results([tmp_path])


def test_tables_of_samples_and_of_checkpoints_are_not_evaluations(runs):
    for place in ("held_out", "held_out/member_1"):
        path = runs / "seed-0" / place / "table.json"
        write_result(path, {}, bpp=1.0, psnr=30.0, images=["a"])
    path = runs / "seed-0/checkpoints/1/x.json"
    write_result(path, {}, bpp=1.0, psnr=30.0, images=["a"])
    assert len(result_files.read_results([runs])) == 16


def test_a_model_trained_for_another_distortion_has_no_cost(tmp_path):
    model = model_metadata(2.4, 0.0, distortion="ms_ssim")
    write_result(tmp_path / "a.json", model, bpp=0.3, psnr=30.0)
    (result,) = result_files.read_results([tmp_path])
    assert not result.has_cost
    with pytest.raises(UserError, match="it needs a model trained for MSE"):
        _ = result.cost
