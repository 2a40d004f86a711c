"""Files, model folders and runs of earlier versions, written by `make_saved.py`."""

import dataclasses
import json
import shutil

import jax
import numpy as np
import pytest
from flax import nnx
from support.paths import REFERENCES

from jaxcorr import codec, images, parameters, run_directory, saved_model, trainer
from jaxcorr.bitstream import compression
from jaxcorr.bitstream.container import VERSION
from jaxcorr.codec import CodecConfig
from jaxcorr.config import TrainConfig
from jaxcorr.data.sources import DataConfig
from jaxcorr.errors import UserError
from jaxcorr.training import sharding
from jaxcorr.training.checkpoints import IntervalConfig
from jaxcorr.training.loss import LossConfig
from jaxcorr.training.optimizer import OptimizerConfig
from jaxcorr.training.sweep import SweepConfig
from jaxcorr.transforms.minnen import Minnen

SAVED = REFERENCES / "saved"
FINGERPRINTS = {
    "cheng-none": "05916becf1f27d34",
    "demo-0.1": "50674249537a5cf1",
    "minnen-autoregressive": "b35055fb91bc94c0",
    "minnen-charm-light": "d8bf7bfa9e333514",
    "minnen-charm-reference": "7c7d52bcaeb778cf",
    "minnen-checkerboard": "4d55852cf1ce17ff",
    "minnen-space-channel": "9e9e98cb0f71256e",
    "minnen-none": "ad2bc402d77f0988",
    "swin-none": "b1ce45fd9fa79fa6",
}
DEMO = ("dad0616174763431", "6485a618ab875315", "45e659c055acb6ef", "9c37e2564c365773")
"""Fingerprints of the members of the demo."""
SINGLE = TrainConfig(
    steps=6,
    codec=CodecConfig(transforms=Minnen(width=4, channels=4)),
    loss=LossConfig(window=3),
    optimizer=OptimizerConfig(learning_rate=1e-3, warmup_steps=2, drop_at=0.5),
    data=DataConfig(batch_size=2, crop_size=64, held_out_crops=2),
    intervals=IntervalConfig(
        log_every=1, eval_every=3, checkpoint_every=3, max_to_keep=2
    ),
)
SWEEP = SweepConfig(distortion_weight=(0.01, 0.02), correlation_weight=0.1, seed=(0, 5))
FILES = {1: "image", 2: "format_2"}
"""The saved files of each version of the format."""
RUNS = {"single": SINGLE, "sweep": dataclasses.replace(SINGLE, sweep=SWEEP)}
"""The settings of the saved runs in this version."""


@pytest.fixture(params=FINGERPRINTS, scope="module")
def saved(request):
    folder = SAVED / "models" / request.param
    return FINGERPRINTS[request.param], folder, saved_model.read_model(folder)


def test_a_saved_model_keeps_its_fingerprint(saved):
    fingerprint, _, model = saved
    assert model.fingerprint.hex() == fingerprint


def test_a_saved_model_is_written_unchanged_but_for_its_format(saved, tmp_path):
    _, folder, model = saved
    saved_model.write_model(tmp_path / "again", model)
    before = saved_model.read_config(folder)
    written = saved_model.read_config(tmp_path / "again")
    assert written.pop("format") == saved_model.FORMAT
    assert (folder / "parameters.npz").exists() == (before.pop("format") < 3)
    # Settings that are newer than the folder are written with their defaults.
    settings = [config.pop("codec") for config in (written, before)]
    new = {"hyper_width": None}
    assert settings[0]["transforms"] | new == settings[1]["transforms"] | new
    assert written == before
    # Fingerprints do not depend on how the parameters are stored.
    read = saved_model.read_model(tmp_path / "again")
    assert (read.fingerprint, read.config) == (model.fingerprint, model.config)


@pytest.mark.fast
def test_a_saved_model_folder_of_format_3_holds_the_same_model():
    model = saved_model.read_model(SAVED / "models_3" / "minnen-none")
    assert model.fingerprint.hex() == FINGERPRINTS["minnen-none"]


@pytest.mark.parametrize("name", FILES.values())
def test_a_saved_file_decodes_to_the_committed_pixels(saved, name):
    _, folder, model = saved
    decoded = compression.decompress(folder / f"{name}.jxc", model)
    expected, _ = images.read_image(folder / f"{name}.png")
    assert decoded.shape == expected.shape
    assert np.abs(decoded.astype(int) - expected).max() <= 1


def test_an_image_encodes_to_the_bytes_of_the_saved_file(saved):
    _, folder, model = saved
    photograph, _ = images.read_image(SAVED.parent / "astronaut.png")
    data = compression.compress(photograph[:75, :100], model, with_model_name=False)
    assert data == (folder / f"{FILES[VERSION]}.jxc").read_bytes()


def test_parameters_have_the_names_of_the_saved_files(saved):
    _, _, model = saved
    built = codec.with_parameters(model.config, model.device_parameters)
    returned = codec.parameters_of(model.config, built)
    assert returned.keys() == model.parameters.keys()
    for name, array in model.parameters.items():
        np.testing.assert_array_equal(returned[name], array)


@pytest.mark.fast
def test_a_module_without_stored_names_is_refused():
    class NewModule(nnx.Module):
        def __init__(self):
            self.gain = nnx.Param(1.0)

    with pytest.raises(KeyError, match="NewModule"):
        parameters.stored_paths(NewModule(), parameters.STORED_NAMES)


@pytest.mark.fast
def test_the_demo_keeps_its_fingerprints():
    models = map(run_directory.load, run_directory.model_paths("demo"))
    assert tuple(model.fingerprint.hex() for model in models) == DEMO


@pytest.mark.fast
def test_settings_of_a_saved_run_are_upgraded():
    folder = SAVED / "runs" / "sweep" / "checkpoints" / "3" / "models" / "1"
    before = saved_model.read_config(folder)["about"]["run"]
    now = run_directory.upgrade_settings(before)
    assert now["sweep"] == {
        "kind": "Sweep",
        "seed": [0, 5],
        "distortion_weight": [0.01, 0.02],
        "correlation_weight": 0.1,
    }
    assert "seed" not in now and "seed" in before
    assert not set(run_directory.WEIGHTS) & now["loss"].keys()
    assert now["data"] == before["data"] | {"held_out_images": 0}
    assert run_directory.upgrade_settings(now) == now
    assert run_directory.upgrade_settings({"steps": 3}) == {"steps": 3}


@pytest.fixture
def saved_run(request, tmp_path, monkeypatch):
    """Settings of a run on one device, whose directory is a copy of a saved run."""
    make_mesh = sharding.make_mesh
    monkeypatch.setattr(
        sharding, "make_mesh", lambda shape: make_mesh(shape, jax.devices()[:1])
    )
    monkeypatch.setenv("JAX_COMPILATION_CACHE_DIR", "none")  # So the run sets none.
    workdir = tmp_path / request.param
    shutil.copytree(SAVED / "runs" / request.param, workdir)
    return dataclasses.replace(RUNS[request.param], workdir=str(workdir))


@pytest.mark.parametrize(
    "saved_run",
    ["sweep", pytest.param("single", marks=pytest.mark.slow)],
    indirect=True,
)
def test_a_saved_run_resumes_to_the_expected_parameters(saved_run):
    workdir = trainer.train(saved_run)
    expected = np.load(SAVED / "runs" / f"{workdir.name}.npz")
    paths = run_directory.model_paths(workdir)
    for number, path in enumerate(paths):
        model = run_directory.load(path, checkpoint="newest")
        for name, array in model.parameters.items():
            # Other machines round differently: a step moves parameters by up to 1e-3.
            np.testing.assert_allclose(
                array, expected[f"{number}/{name}"], rtol=1e-6, atol=1e-6
            )
    lines = (workdir / "metrics.jsonl").read_text().splitlines()
    logged = [json.loads(line) for line in lines]
    steps = [(metrics["step"], metrics["member"]) for metrics in logged]
    held_out = (workdir / "held_out.jsonl").read_text()
    assert "bpp" in held_out and "correlation_crop" not in held_out
    assert steps == [(step, n) for step in (4, 5, 6) for n in range(len(paths))]


OTHER_RUNS = {
    "sweep.distortion-weight": {"distortion_weight": (0.01, 0.03)},
    "sweep.correlation-weight": {"correlation_weight": 0.2},
    "sweep.seed": {"seed": (0, 6)},
}


@pytest.mark.fast
@pytest.mark.parametrize("saved_run", ["sweep"], indirect=True)
@pytest.mark.parametrize("name", OTHER_RUNS)
def test_a_saved_run_does_not_resume_with_other_settings(saved_run, name):
    sweep = dataclasses.replace(saved_run.sweep, **OTHER_RUNS[name])
    with pytest.raises(UserError, match=rf"was started with {name} .*, not "):
        trainer.train(dataclasses.replace(saved_run, sweep=sweep))
