"""Records of what made a run, and of its images."""

import dataclasses
import json
import shutil
import subprocess
from fractions import Fraction
from typing import Any

import jax
import numpy as np
import pytest
from support.paths import REFERENCES

from jaxcorr import data_record, start_record, trainer
from jaxcorr.codec import CodecConfig
from jaxcorr.config import TrainConfig
from jaxcorr.data import built_in
from jaxcorr.data.mixture import Mixture
from jaxcorr.data.sources import DataConfig, training_source
from jaxcorr.errors import UserError
from jaxcorr.training import loop, sharding
from jaxcorr.training.loss import LossConfig
from jaxcorr.training.optimizer import OptimizerConfig
from jaxcorr.transforms.minnen import Minnen

pytestmark = pytest.mark.fast


SINGLE = TrainConfig(
    steps=6,
    codec=CodecConfig(transforms=Minnen(width=4, channels=4)),
    loss=LossConfig(window=3),
    optimizer=OptimizerConfig(learning_rate=1e-3, warmup_steps=2, drop_at=0.5),
    data=DataConfig(batch_size=2, crop_size=64, held_out_crops=2),
)
"""Settings of the saved run that is resumed."""


@pytest.fixture
def repository(tmp_path):
    """A repository with a committed config."""
    folder = tmp_path / "repository"
    folder.mkdir()
    (folder / "mine.py").write_text("1")
    name = ("-c", "user.name=a", "-c", "user.email=a@b")
    for command in (["init", "-q"], ["add", "."], [*name, "commit", "-qm", "First"]):
        subprocess.run(["git", "-C", folder, *command], check=True)
    return folder


def test_the_state_of_a_config_in_git_is_known(repository):
    config = repository / "mine.py"
    clean = start_record.git_state(config)
    assert clean is not None and len(clean["commit"]) == 40
    assert not clean["is_changed"]
    untracked = repository / "new.py"
    untracked.write_text("2")
    assert start_record.git_state(config) == clean
    assert start_record.git_state(untracked) == clean | {"is_changed": True}
    config.write_text("3")
    assert start_record.git_state(config) == clean | {"is_changed": True}


def test_each_start_adds_a_record(tmp_path, monkeypatch):
    monkeypatch.setenv("JAX_SOMETHING", "on")
    monkeypatch.setenv("SECRET_TOKEN", "x")
    for step in (0, 7):
        start_record.write_start(tmp_path, TrainConfig(), step=step)
    paths = sorted((tmp_path / "starts").iterdir())
    records = [json.loads(path.read_text()) for path in paths]
    assert [record["step"] for record in records] == [0, 7]
    assert records[0]["config"] is None
    assert records[0]["devices"] == {"cpu": 8}
    assert records[0]["environment"]["JAX_SOMETHING"] == "on"
    assert "SECRET_TOKEN" not in records[0]["environment"]
    assert records[0]["versions"].keys() >= {"Python", "jax", "flax", "numpy"}


def images(count, *, seed=0, size=(40, 50)):
    rng = np.random.default_rng(seed)
    return list(rng.integers(0, 200, (count, *size, 3)).astype(np.uint8))


def record(training, held_out=None):
    crops = np.stack(images(2, seed=9, size=(16, 16)))
    return data_record.describe({64: training}, crops if held_out is None else held_out)


def test_images_are_recognized_in_another_place(tmp_path):
    data_record.write(tmp_path, record(images(5)))
    nearly = [image + np.uint8(1) for image in images(5)]  # Of another decoder.
    data_record.check(tmp_path, record(nearly), moved=["data.source"])
    other_crops = np.stack(images(2, seed=9, size=(16, 16)))
    other_crops[1] //= 2
    refused = {
        "was trained on 5 images, but data.source has 4": record(images(4)),
        r"training image 0 is not that of earlier starts \(data.source changed\)": (
            record(images(5, seed=1))
        ),
        "held-out 1 is not that": record(
            images(5),
            np.stack([*images(1, seed=9, size=(16, 16)), *images(1, size=(16, 16))]),
        ),
    }
    for message, other in refused.items():
        with pytest.raises(UserError, match=message):
            data_record.check(tmp_path, other, moved=["data.source"])


def mixture(*weights, seeds=(0, 1)):
    parts: Any = [images(5, seed=seed) for seed in seeds]
    return Mixture(parts, [Fraction(weight) for weight in weights])


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (mixture(3, 7), "on a mixture of 7:3, but data.source has a mixture of 3:7: "),
        (
            mixture(7, 3, seeds=(0, 2)),
            "source 1 of the mixture: training image 0 is not that",
        ),
        ([*images(5), *images(5, seed=1)], "has one source: give the same weights"),
    ],
)
def test_a_mixture_goes_on_with_the_same_weights_and_sources(tmp_path, other, message):
    data_record.write(tmp_path, record(mixture("0.7", "0.3")))
    data_record.check(tmp_path, record(mixture(7, 3)), moved=["data.source"])
    with pytest.raises(UserError, match=message):
        data_record.check(tmp_path, record(other), moved=["data.source"])


def test_a_mixture_that_an_earlier_version_recorded_keeps_its_place(tmp_path):
    earlier = record(mixture(7, 3))
    del earlier["training"]["64"][data_record.MIXTURE]
    data_record.write(tmp_path, earlier)
    data_record.check(tmp_path, record(mixture(7, 3)), moved=[])
    with pytest.raises(UserError, match=r"no record of its mixture, so data\.source"):
        data_record.check(tmp_path, record(mixture(7, 3)), moved=["data.source"])


def test_a_run_without_a_record_keeps_its_places_and_gets_one(tmp_path):
    with pytest.raises(UserError, match="no record of its images, so data"):
        data_record.check(tmp_path, record(images(5)), moved=["data.source"])
    data_record.check(tmp_path, record(images(5)), moved=[])
    data_record.check(tmp_path, record(images(5)), moved=["data.source"])


def test_colors_are_means_of_blocks():
    image = np.zeros((8, 4, 3), np.uint8)
    image[:2, :1] = 40
    (look,) = record([image])["training"]["64"]["first"]
    assert look["size"] == [8, 4]
    assert look["colors"] == [40, 40, 40] + [0] * 45


def test_built_in_photographs_have_a_record():
    source = training_source(DataConfig())
    training = record(source)["training"]["64"]
    assert training["count"] == len(source) and len(training["first"]) == 3


def test_a_resumed_run_takes_its_images_from_another_folder(tmp_path, monkeypatch):
    make_mesh, resumed = sharding.make_mesh, []
    monkeypatch.setattr(
        sharding, "make_mesh", lambda shape: make_mesh(shape, jax.devices()[:1])
    )
    monkeypatch.setattr(loop, "train", lambda run, *_: resumed.append(run))
    workdir, photographs = tmp_path / "run", tmp_path / "photographs"
    shutil.copytree(REFERENCES / "saved" / "runs" / "single", workdir)
    photographs.mkdir()
    for name in built_in.TRAINING:
        shutil.copy(built_in.held_out_paths()[0].with_name(name), photographs)
    config = dataclasses.replace(SINGLE, workdir=str(workdir))
    moved = {"source": f"folder:{photographs}"}
    with pytest.raises(UserError, match="has no record of its images"):
        trainer.train(config, data=moved)
    trainer.train(config)
    trainer.train(config, data=moved)
    assert len(resumed) == 2
    (photographs / built_in.TRAINING[-1]).unlink()
    with pytest.raises(
        UserError, match=r"15 images, but data\.source has 14: give the"
    ):
        trainer.train(config, data=moved)
    assert len(resumed) == 2
