import dataclasses

import numpy as np
import pytest

from jaxcorr import codec, run_directory, saved_model
from jaxcorr.codec import CodecConfig
from jaxcorr.errors import UserError
from jaxcorr.provenance import Provenance
from jaxcorr.run_directory import CHECKPOINTS, MODELS
from jaxcorr.transforms.minnen import Minnen

pytestmark = pytest.mark.fast

SETTINGS = CodecConfig(transforms=Minnen(width=3, channels=4))


@pytest.fixture(scope="module")
def model():
    shapes = codec.abstract_parameters(SETTINGS)
    rng = np.random.default_rng(0)
    parameters = {
        name: rng.normal(scale=0.3, size=shapes[name].shape) for name in sorted(shapes)
    }
    return saved_model.make_model(SETTINGS, parameters)


def make_run(path, model, losses):
    """Writes a run directory, with a model folder in every checkpoint."""
    for step, loss in losses.items():
        provenance = Provenance(step=step, held_out_loss=loss)
        folder = path / CHECKPOINTS / str(step) / MODELS / "0"
        saved_model.write_model(
            folder, dataclasses.replace(model, provenance=provenance)
        )
    # An incomplete checkpoint has a longer name and no model.
    (path / CHECKPOINTS / "900.orbax-checkpoint-tmp-3").mkdir(parents=True)
    return path


@pytest.fixture(scope="module")
def run(model, tmp_path_factory):
    losses = {5: 2.0, 20: 1.0, 100: 1.5, 120: None}
    return make_run(tmp_path_factory.mktemp("run"), model, losses)


@pytest.mark.parametrize(
    ("checkpoint", "step"), [("newest", 120), ("best", 20), ("5", 5), ("100", 100)]
)
def test_a_checkpoint_is_chosen_by_name_or_step(run, checkpoint, step):
    assert run_directory.load(run, checkpoint=checkpoint).provenance.step == step


def test_the_best_checkpoint_is_loaded_by_default(run):
    assert run_directory.load(str(run)).provenance.step == 20


def test_the_newest_checkpoint_is_the_best_if_none_was_evaluated(model, tmp_path):
    run = make_run(tmp_path, model, {5: None, 20: None})
    assert run_directory.load(run).provenance.step == 20


@pytest.mark.parametrize("checkpoint", ["6", "900", "oldest", "-5", ""])
def test_a_missing_checkpoint_is_refused(run, checkpoint):
    message = f"no checkpoint '{checkpoint}'; there are newest, best, 5, 20, 100, 120"
    with pytest.raises(UserError, match=message):
        run_directory.load(run, checkpoint=checkpoint)


def test_a_model_folder_of_a_run_is_loaded(run, model):
    loaded = run_directory.load(run / CHECKPOINTS / "100" / MODELS / "0")
    assert loaded.fingerprint == model.fingerprint
    assert loaded.provenance.step == 100


def test_a_partly_deleted_checkpoint_is_ignored(model, tmp_path):
    run = make_run(tmp_path, model, {5: 1.0})
    (run / CHECKPOINTS / "3" / MODELS / "0").mkdir(parents=True)
    assert run_directory.load(run).provenance.step == 5
    with pytest.raises(UserError, match="no checkpoint '3'; there are newest, best, 5"):
        run_directory.load(run, checkpoint="3")


def test_paths_without_a_model_are_refused(tmp_path):
    with pytest.raises(UserError, match="nowhere is not a directory"):
        run_directory.load(tmp_path / "nowhere")
    message = "holds neither a model nor checkpoints of a run"
    with pytest.raises(UserError, match=message):
        run_directory.load(tmp_path)
    (tmp_path / CHECKPOINTS).mkdir()
    with pytest.raises(UserError, match=message):
        run_directory.load(tmp_path)


def test_parameters_are_transferred_to_the_device_once(model):
    placed = model.device_parameters
    assert placed is model.device_parameters
    np.testing.assert_array_equal(
        placed["prior/biases/0"], model.parameters["prior/biases/0"]
    )


def test_a_folder_of_numbered_model_folders_is_read_like_a_sweep(model, tmp_path):
    for name in ("0", "2", "other"):
        saved_model.write_model(tmp_path / "set" / name, model)
    folder = tmp_path / "set"
    assert run_directory.model_paths(folder) == [f"{folder}@0", f"{folder}@2"]
    loaded = run_directory.load(f"{folder}@2", checkpoint="newest")
    assert (loaded.fingerprint, loaded.path) == (model.fingerprint, f"{folder}@2")
    with pytest.raises(UserError, match=r"set has no member 1, only 0, 2$"):
        run_directory.load(f"{folder}@1")
    with pytest.raises(UserError, match=r"holds 2 models; choose .*set@0, .*set@2$"):
        run_directory.load(folder)


def test_a_folder_of_one_numbered_model_folder_is_that_model(model, tmp_path):
    saved_model.write_model(tmp_path / "0", model)
    assert run_directory.model_paths(tmp_path) == [str(tmp_path)]
    assert run_directory.load(tmp_path).fingerprint == model.fingerprint
