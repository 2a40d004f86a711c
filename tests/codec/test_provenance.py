"""Where a model comes from, as files of all versions say it."""

import json
from pathlib import Path

import pytest
from support.paths import ROOT

import jaxcorr
from jaxcorr import saved_model
from jaxcorr.evaluation import metadata, results
from jaxcorr.evaluation.metadata import ClassicalMetadata, ModelMetadata
from jaxcorr.provenance import Provenance, SweepMember

pytestmark = pytest.mark.fast

CONFIGS = [
    Path(jaxcorr.__file__).parent / "demo" / "config.json",
    *sorted((ROOT / "tests/references/saved").rglob("config.json")),
]
TABLES = [
    path
    for path in sorted((ROOT / "results").rglob("*.json"))
    if results.RESULT_KEYS == set(json.loads(path.read_text()))
]


def same_text(first, second):
    """Returns whether two objects are the same JSON, in the same order."""
    return json.dumps(first) == json.dumps(second)


def test_committed_model_folders_say_the_same_once_read_and_written():
    assert len(CONFIGS) > 8
    for path in CONFIGS:
        written = json.loads(path.read_text())["about"]
        known = saved_model.read_provenance(path.parent)
        assert same_text(known.to_json(), written), path
        assert not known.other


def test_committed_tables_say_the_same_once_read_and_written():
    assert len(TABLES) > 50
    for path in TABLES:
        written = json.loads(path.read_text())["model"]
        assert same_text(metadata.from_json(written).to_json(), written), path


def test_a_run_says_where_each_of_its_members_comes_from():
    run = ROOT / "tests/references/saved/runs/sweep/checkpoints/3/models"
    known = [saved_model.read_provenance(run / str(number)) for number in range(4)]
    assert [each.step for each in known] == [3] * 4
    assert known[3].member == SweepMember(
        seed=5, distortion_weight=0.02, correlation_weight=0.1
    )
    expected = "seed 5, distortion weight 0.02, correlation weight 0.1"
    assert known[3].describe() == expected
    assert all(each.config and each.held_out_loss for each in known)


def test_a_checkpoint_that_was_not_evaluated_says_so():
    known = Provenance(config={"steps": 3}, step=3)
    assert known.to_json() == {"run": {"steps": 3}, "step": 3, "held_out_loss": None}
    assert Provenance.from_json(known.to_json()) == known


def test_a_model_of_no_run_says_nothing_of_a_run():
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
def test_what_another_version_wrote_is_kept_as_it_was(other):
    known = Provenance.from_json(other)
    assert known.step == 7
    assert known.to_json() == other


@pytest.mark.parametrize("damaged", [None, [], "text", 3])
def test_what_is_not_an_object_says_nothing(damaged):
    assert Provenance.from_json(damaged) == Provenance()


def test_settings_of_a_member_that_a_later_version_added_are_passed_over():
    member = {"seed": 1, "distortion_weight": 0.5, "correlation_weight": 0.0}
    known = Provenance.from_json({"member": member | {"temperature": 2}})
    assert known.member == SweepMember(**member)


def test_a_table_of_a_classical_codec_without_a_title_is_named_by_the_codec():
    read = metadata.from_json({"codec": "webp", "quality": 80})
    assert isinstance(read, ClassicalMetadata)
    assert (read.title, read.quality) == ("webp", 80)


def test_a_model_is_described_by_its_place_in_the_sweep():
    member = SweepMember(seed=0, distortion_weight=0.01, correlation_weight=0)
    model = ModelMetadata(path="run@2", provenance=Provenance(member=member))
    expected = "seed 0, distortion weight 0.01, correlation weight 0"
    assert model.describe() == expected
    assert ModelMetadata(path="demo").describe() == ""
