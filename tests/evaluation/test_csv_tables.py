"""Evaluations in CSV, and the tables of the study in `results/`."""

import csv
import importlib
import json
import shutil
import subprocess

import pytest
from support.paths import ROOT

from jaxcorr import run_directory
from jaxcorr.errors import UserError
from jaxcorr.evaluation import csv_tables, held_out, result_files
from jaxcorr.report import ablation, published

pytestmark = pytest.mark.fast

STUDY = ROOT / "results/kodak"
JSON_TABLE = ROOT / "tests/references/evaluation-first-generation.json"
needs_study = pytest.mark.skipif(
    not STUDY.is_dir(), reason="a packed folder has no results/"
)
MAX_LINES = 20_000
MAX_BYTES = 500_000
MEASURED = ["file", "width_px", "height_px", *csv_tables.MEASUREMENTS]


@pytest.fixture
def table():
    """An evaluation of a member of a sweep, as `jaxcorr evaluate --json` writes it."""
    return json.loads(JSON_TABLE.read_text())


@pytest.fixture
def experiments(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "results")
    return importlib.import_module("experiments")


def classical_table(quality, bpp):
    values = {"bytes": 10.5, "bpp": bpp, "psnr_db": 30.0, "ms_ssim": 0.9}
    values |= {"encode_seconds": 0.1, "decode_seconds": 0.2}
    image = {"file": "a.png", "width": 8, "height": 8} | values
    model = {"codec": "avif", "title": "AVIF", "quality": quality, "unit": "q"}
    return {"model": model, "images": [image], "mean": values}


def test_a_table_in_csv_reads_as_the_table_in_json(tmp_path, table):
    csv_tables.write_tables(tmp_path / "study.csv", [table])
    (from_csv,) = result_files.read_results([tmp_path])
    (from_json,) = result_files.read_results([JSON_TABLE])
    assert from_csv.settings == from_json.settings
    assert from_csv.model.to_json() == from_json.model.to_json() | {
        "run": run_directory.upgrade_settings(table["model"]["run"]),
        "held_out_loss": pytest.approx(table["model"]["held_out_loss"]),
    }
    assert from_csv.architecture == from_json.architecture
    assert from_csv.cost == pytest.approx(from_json.cost, rel=1e-6)
    assert from_csv.median_correlation == pytest.approx(from_json.median_correlation)
    for row, expected in zip(from_csv.images, from_json.images, strict=True):
        assert row.keys() == expected.keys() and row["file"] == expected["file"]
        for name in row.keys() - {"file"}:
            assert row[name] == pytest.approx(expected[name], rel=1e-5, abs=1e-6)
    # The committed table has 2 of 24 images, and the means of all.
    rates = [row["bpp"] for row in from_json.images]
    assert from_csv.mean["bpp"] == pytest.approx(sum(rates) / len(rates))


def test_members_and_runs_are_added_and_replaced(tmp_path, table):
    other = json.loads(json.dumps(table))
    other["model"]["path"] = "curves-9@0"
    csv_tables.write_tables(tmp_path / "a.csv", [table])
    csv_tables.write_tables(tmp_path / "b.csv", [other])
    csv_tables.write_tables(tmp_path / "b.csv", [other])
    runs = csv_tables.read_rows(tmp_path / csv_tables.RUNS)
    assert [row["run"] for row in runs] == ["curves-0", "curves-9"]
    assert [each.member for each in result_files.read_results([tmp_path])] == [3, 0]


def test_settings_keep_their_types(tmp_path, table):
    table["model"]["run"]["data"]["split"] = "1e3"
    table["model"]["run"]["data"]["directory"] = "true"
    csv_tables.write_tables(tmp_path / "a.csv", [table])
    (result,) = result_files.read_results([tmp_path])
    settings = result.settings
    assert settings["data.split"] == "1e3" and settings["data.directory"] == "true"
    assert settings["data.flip"] is True and settings["data.feature"] is None
    assert settings["optimizer.learning_rate"] == 0.001


def test_means_are_read_with_the_names_of_their_images(tmp_path):
    tables = [classical_table(quality, quality / 10) for quality in (10, 20)]
    csv_tables.write_means(tmp_path / "classical.csv", tables)
    first, second = result_files.read_results([tmp_path])
    assert (first.quality, second.quality) == (10, 20)
    assert second.mean["bpp"] == 2.0 and second.mean["bpp_y"] is None
    assert first.images == [{"file": "a.png", "width": 8, "height": 8}]
    assert not first.has_cost and first.median_correlation is None


def test_a_history_in_csv_is_read_by_the_name_of_the_model(tmp_path, table):
    log = [
        dict.fromkeys(held_out.COLUMNS.values(), 1.0) | {"step": step}
        for step in (1, 2)
    ]
    csv_tables.write_tables(tmp_path / "a.csv", [table])
    held_out.write_history(tmp_path / csv_tables.HELD_OUT, "curves-0@3", log)
    held_out.write_history(tmp_path / csv_tables.HELD_OUT, "curves-0@2", log[:1])
    (result,) = result_files.read_results([tmp_path])
    assert result.held_out_costs == {1: 1.0, 2: 1.0}


@pytest.mark.parametrize(
    "text",
    [
        "model,bpp,psnr_db\n",
        "model,bpp,psnr_db\nx,1.0,30.0\n",  # Means without `images.csv`.
        "model,file,bpp,psnr_db\nx,a.png,1.0,30.0\n",
        "model,file,width_px,height_px,bytes,bpp,psnr_db\nx,a.png,8,8,9,many,30.0\n",
        "model,file,width_px,height_px,bytes,bpp,psnr_db\nx,a.png,8,8,9,1.0,\n",
        "model,file,width_px,height_px,bytes,bpp,psnr_db\nx,a.png,8\n",
    ],
)
def test_a_damaged_table_in_csv_is_refused(tmp_path, text):
    (tmp_path / "a.csv").write_text(text)
    with pytest.raises(UserError, match=r"a\.csv is not a table"):
        result_files.read_results([tmp_path / "a.csv"])


def test_columns_may_be_added(tmp_path, table):
    csv_tables.write_tables(tmp_path / "a.csv", [table])
    rows = csv_tables.read_rows(tmp_path / "a.csv")
    rows = [row | {"note": "sharp", "sigma": "3.5"} for row in rows]
    csv_tables.write_rows(tmp_path / "a.csv", rows)
    (result,) = result_files.read_results([tmp_path])
    assert len(result.images) == len(rows)


def test_other_csv_files_in_a_folder_are_skipped(tmp_path, table):
    csv_tables.write_tables(tmp_path / "a.csv", [table])
    (tmp_path / "prices.csv").write_text("item,price\nx,1\n")
    assert len(result_files.read_results([tmp_path])) == 1


@needs_study
def test_a_run_is_kept_as_csv_with_its_last_held_out_evaluation(
    tmp_path, table, experiments
):
    run = tmp_path / "runs/curves-0"
    run.mkdir(parents=True)
    shutil.copy(JSON_TABLE, run / result_files.RESULTS_FILE)
    metrics = dict.fromkeys(held_out.COLUMNS.values(), 2.0)
    lines = [{"step": step, "member": 3} | metrics for step in (100, 200, 300, 400)]
    lines.append({"step": 400, "member": 2} | metrics)
    text = "\n".join(map(json.dumps, lines)) + '\n{"step": 500, "mem'
    (run / run_directory.HELD_OUT_LOG).write_text(text)
    experiments.keep(run, tmp_path / "curves-0.csv")
    (result,) = result_files.read_results([tmp_path / "curves-0.csv"])
    assert list(result.held_out_costs) == [200, 400]
    assert result.seed == table["model"]["member"]["seed"]
    assert result.settings["data.source"] == "folder:bsds"


@needs_study
def test_the_study_has_the_columns_of_csv_tables():
    for path in sorted(STUDY.glob("*.csv")):
        if not csv_tables.is_table(path):
            continue
        with path.open(newline="") as file:
            rows = list(csv.DictReader(file))
        if path.stem == "classical":
            known = [*csv_tables.CLASSICAL, *csv_tables.MEASUREMENTS]
            expected = [name for name in known if name in rows[0]]
            assert "bpp" in expected and "bpp_y" not in expected
        else:
            expected = ["model", *csv_tables.MEMBER, "fingerprint", "step"]
            expected += ["held_out_loss", *MEASURED]
            models = {row["model"] for row in rows}
            assert len(rows) == 24 * len(models), path
        assert list(rows[0]) == expected, path
        for row in rows:
            assert all(float(row[name]) > 0 for name in ("bpp", "psnr_db", "bytes"))


@needs_study
def test_the_study_has_a_table_and_a_history_of_every_model(experiments):
    evaluations = result_files.read_results([STUDY])
    assert published.are_kodak(evaluations)
    models = [each for each in evaluations if each.trained]
    assert len(models) == 52 and len(evaluations) == 90
    for model in models:
        assert max(model.held_out_costs) == model.settings["steps"]
    names = {path.stem for path in STUDY.glob("*.csv") if csv_tables.is_table(path)}
    missing = {*experiments.EXPERIMENTS, experiments.CLASSICAL} - names
    assert missing == {"weights-high"}


@needs_study
def test_the_study_prints_the_costs_of_the_readme():
    evaluations = result_files.read_results([STUDY / "long.csv"])
    base, with_loss = evaluations
    assert ablation.without_loss(with_loss, evaluations) is base
    assert f"{ablation.cost_change(with_loss, base):+.2f}" == "+1.02"
    assert f"{ablation.held_out_change(with_loss, base):+.2f}" == "+0.60"


@needs_study
def test_the_study_is_small():
    listed = subprocess.run(
        ["git", "ls-files", "results"], cwd=ROOT, capture_output=True, text=True
    )
    if listed.returncode or not listed.stdout:
        pytest.skip("not a clone")
    files = [ROOT / name for name in listed.stdout.splitlines()]
    data = {path: path.read_bytes() for path in files if path.is_file()}
    tables = [content for path, content in data.items() if path.suffix == ".csv"]
    assert sum(content.count(b"\n") for content in tables) <= MAX_LINES
    assert max(map(len, data.values())) <= MAX_BYTES
    others = {path for path in data if path.suffix in (".html", ".json", ".jsonl")}
    assert {path.name for path in others} <= {"metrics.jsonl"}
