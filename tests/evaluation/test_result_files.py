"""Files with results, as `jaxcorr evaluate --json` writes them."""

import dataclasses
import datetime
import json
import shutil

import pytest
from support.evaluations import write_result

from jaxcorr.errors import UserError
from jaxcorr.evaluation import csv_tables, measure, result_files
from jaxcorr.evaluation.environment import Environment, current_environment
from jaxcorr.evaluation.measure import ImageMetrics
from jaxcorr.evaluation.metadata import ClassicalMetadata, ModelMetadata

pytestmark = pytest.mark.fast

ROW = ImageMetrics(file="a.png", width=8, height=4, bytes=9, bpp=2.25, psnr_db=30.0)
KEYS = ["model", "environment", "images", "mean"]


def member_result(number, *, psnr_db=30.0):
    rows = [dataclasses.replace(ROW, psnr_db=psnr_db)]
    return result_files.make_result(rows, ModelMetadata(path=f"run@{number}"))


def test_a_result_has_codec_environment_images_and_means():
    result = json.loads(json.dumps(member_result(0)))
    assert list(result) == KEYS
    assert result["model"] == {"path": "run@0"}
    assert result["images"] == [dataclasses.asdict(ROW)]
    assert result["images"][0]["ms_ssim"] is None
    assert result["mean"] == measure.mean_metrics([ROW])


def test_the_environment_names_versions_device_threads_and_date():
    before = datetime.datetime.now(datetime.UTC).replace(microsecond=0)
    values = member_result(0)["environment"]
    assert list(values) == ["date", "platform", "device", "threads", "versions"]
    assert before <= datetime.datetime.fromisoformat(values["date"])
    assert values["date"].endswith("Z")
    assert values["platform"] in {"cpu", "gpu", "tpu"} and values["device"]
    assert values["threads"] >= 1
    packages = {"python", "jaxcorr", "jax", "jaxlib", "numpy", "pillow"}
    assert packages <= values["versions"].keys()
    assert all(isinstance(text, str) and text for text in values["versions"].values())


def test_a_classical_codec_has_the_device_cpu_and_names_its_library(monkeypatch):
    monkeypatch.setattr("jax.devices", None)  # Asking JAX would be a TypeError.
    codec = ClassicalMetadata(codec="webp", title="WebP", library="Pillow, webp 1.0")
    result = result_files.make_result([ROW], codec)
    assert result["environment"]["platform"] == "cpu"
    assert result["model"]["library"] == "Pillow, webp 1.0"


def test_an_environment_survives_json_and_csv(tmp_path):
    result = member_result(0)
    environment = Environment.from_json(result["environment"])
    assert environment.to_json() == result["environment"]
    (tmp_path / "a.json").write_text(json.dumps(result))
    csv_tables.write_tables(tmp_path / "b" / "a.csv", [result])
    for path in (tmp_path / "a.json", tmp_path / "b" / "a.csv"):
        (read,) = result_files.read_results([path])
        assert read.environment == environment


def test_results_of_earlier_versions_have_an_empty_environment(tmp_path):
    write_result(tmp_path / "a.json", {}, bpp=1.0, psnr=30.0)
    (read,) = result_files.read_results([tmp_path / "a.json"])
    assert read.environment == Environment()
    assert read.environment.hardware() is None


def test_the_hardware_of_a_cpu_includes_its_threads():
    cpu = Environment(platform="cpu", device="Some CPU", threads=2)
    assert cpu.hardware() == "Some CPU, 2 threads"
    gpu = dataclasses.replace(cpu, platform="gpu", device="Some GPU")
    assert gpu.hardware() == "Some GPU"
    assert current_environment().hardware()


def test_a_file_may_hold_one_result_or_several(tmp_path):
    results = [member_result(number) for number in (0, 1)]
    assert result_files.file_content(results[:1]) == results[0]
    (tmp_path / "evaluation.json").write_text(
        json.dumps(result_files.file_content(results))
    )
    for path in (tmp_path, tmp_path / "evaluation.json"):
        read = result_files.read_results([path])
        assert [result.member for result in read] == [0, 1]
    assert len(result_files.read_results([tmp_path, tmp_path])) == 2


def test_a_member_is_found_among_the_results_of_its_sweep(tmp_path):
    results = [member_result(number) for number in (0, 1, 2)]
    (tmp_path / "evaluation.json").write_text(json.dumps(results))
    (read,) = result_files.read_results([tmp_path.parent / f"{tmp_path.name}@1"])
    assert read.member == 1


def test_one_file_replaces_the_files_per_member_of_earlier_versions(tmp_path):
    for number in (0, 1):
        text = json.dumps(member_result(number, psnr_db=10.0))
        (tmp_path / f"evaluation@{number}.json").write_text(text)
    assert len(result_files.read_results([tmp_path])) == 2
    results = [member_result(number) for number in (0, 1)]
    (tmp_path / "evaluation.json").write_text(json.dumps(results))
    read = result_files.read_results([tmp_path])
    assert [result.mean["psnr_db"] for result in read] == [30.0, 30.0]
    shutil.copy(tmp_path / "evaluation@0.json", tmp_path / "other@0.json")
    assert len(result_files.read_results([tmp_path])) == 3


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[]", "is not a table of results of `jaxcorr evaluate`"),
        ("[3]", "is not a table of results of `jaxcorr evaluate`"),
        ('"text"', "is not a table of results of `jaxcorr evaluate`"),
        ('{"version": 1}', "is not a table of results of `jaxcorr evaluate`"),
        ("", "is not complete JSON"),
        ("\xff", "is not a table|is not complete JSON"),
    ],
)
def test_a_file_of_another_kind_is_refused_in_one_line(tmp_path, text, message):
    path = tmp_path / "other.json"
    path.write_text(text)
    with pytest.raises(UserError, match=message) as refused:
        result_files.read_results([path])
    assert "\n" not in str(refused.value) and str(path) in str(refused.value)
