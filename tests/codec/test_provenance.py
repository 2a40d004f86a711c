"""The provenance of models, in files of all versions."""

import json
from pathlib import Path

import pytest
from support.paths import ROOT

import jaxcorr
from jaxcorr import saved_model
from jaxcorr.evaluation import metadata, result_files
from jaxcorr.evaluation.metadata import ClassicalMetadata, ModelMetadata
from jaxcorr.provenance import Provenance, SweepMember

pytestmark = pytest.mark.fast

CONFIGS = [
    *sorted((Path(jaxcorr.__file__).parent / "demo").rglob("config.json")),
    *sorted((ROOT / "tests/references/saved").rglob("config.json")),
]
TABLES = [
    path
    for path in sorted((ROOT / "tests/references").glob("*.json"))
    if result_files.RESULT_KEYS <= set(json.loads(path.read_text()))
]


def same_text(first, second):
    """Returns whether two objects are the same JSON, in the same order."""
    return json.dumps(first) == json.dumps(second)


def test_provenance_of_committed_models_survives_reading_and_writing():
    assert len(CONFIGS) > 8
    for path in CONFIGS:
        written = json.loads(path.read_text())["about"]
        provenance = saved_model.read_provenance(path.parent)
        assert same_text(provenance.to_json(), written), path
        assert not provenance.other


def test_metadata_of_earlier_results_survives_reading_and_writing():
    assert TABLES
    for path in TABLES:
        written = json.loads(path.read_text())["model"]
        assert same_text(metadata.from_json(written).to_json(), written), path


def test_each_member_of_a_run_has_its_provenance():
    run = ROOT / "tests/references/saved/runs/sweep/checkpoints/3/models"
    members = [saved_model.read_provenance(run / str(number)) for number in range(4)]
    assert [provenance.step for provenance in members] == [3] * 4
    assert members[3].member == SweepMember(
        seed=5, distortion_weight=0.02, correlation_weight=0.1
    )
    expected = "seed 5, distortion weight 0.02, correlation weight 0.1"
    assert members[3].describe() == expected
    assert all(member.config and member.held_out_loss for member in members)


def test_a_checkpoint_that_was_not_evaluated_has_a_null_loss():
    provenance = Provenance(config={"steps": 3}, step=3)
    assert provenance.to_json() == {
        "run": {"steps": 3},
        "step": 3,
        "held_out_loss": None,
    }
    assert Provenance.from_json(provenance.to_json()) == provenance


def test_unknown_attributes_are_not_written():
    assert Provenance().to_json() == {}
    assert Provenance(step=7).to_json() == {"step": 7}


@pytest.mark.parametrize(
    "other",
    [
        {"teacher": "another model", "step": 7},
        {"member": {"seed": 0}, "step": 7},
        {"member": "all", "step": 7},
        {"run": [], "held_out_loss": "low", "step": 7},
    ],
)
def test_entries_of_other_versions_are_kept(other):
    provenance = Provenance.from_json(other)
    assert provenance.step == 7
    assert provenance.to_json() == other


@pytest.mark.parametrize("damaged", [None, [], "text", 3])
def test_provenance_that_is_not_an_object_is_ignored(damaged):
    assert Provenance.from_json(damaged) == Provenance()


def test_unknown_settings_of_a_member_are_ignored():
    member = {"seed": 1, "distortion_weight": 0.5, "correlation_weight": 0.0}
    provenance = Provenance.from_json({"member": member | {"temperature": 2}})
    assert provenance.member == SweepMember(**member)


def test_a_classical_codec_without_a_title_has_its_name_as_title():
    read = metadata.from_json({"codec": "webp", "quality": 80})
    assert isinstance(read, ClassicalMetadata)
    assert (read.title, read.quality) == ("webp", 80)


def test_a_model_is_described_by_its_settings_in_the_sweep():
    member = SweepMember(seed=0, distortion_weight=0.01, correlation_weight=0)
    model = ModelMetadata(path="run@2", provenance=Provenance(member=member))
    expected = "seed 0, distortion weight 0.01, correlation weight 0"
    assert model.describe() == expected
    assert ModelMetadata(path="demo").describe() == ""
