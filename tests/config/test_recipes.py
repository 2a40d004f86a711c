"""The recipes of the field, as configs with stages."""

import dataclasses
import json

import jax
import pytest
from support import codecs

from jaxcorr import config_files, run_directory, trainer
from jaxcorr.config import TrainConfig
from jaxcorr.data.sources import DataConfig
from jaxcorr.errors import UserError
from jaxcorr.training import sharding
from jaxcorr.training.checkpoints import IntervalConfig

STEPS = 20
CROPS = {256: 64, 512: 128}


def recipe(name: str) -> TrainConfig:
    return config_files.load_config(f"recipes:{name}")


@pytest.mark.fast
def test_the_weight_of_the_distortion_falls_to_that_of_the_run():
    config = recipe("high_rate_first")
    stages = config.run_stages()
    weights = [stage.members[0].distortion_weight for stage in stages]
    assert weights == [0.0250, 0.0130, 0.0067, 0.0035]
    assert config.members[0].distortion_weight == weights[-1]


@pytest.mark.fast
def test_the_mse_comes_before_ms_ssim():
    first, last = recipe("ms_ssim").run_stages()
    assert first.static_config.loss.distortion == "mse"
    assert last.static_config.loss.distortion == "ms_ssim"
    assert first.members[0].distortion_weight == 0.0130
    assert last.members[0].distortion_weight == 16.64
    rate = last.static_config.learning_rate(jax.numpy.int32(last.stop))
    assert rate == pytest.approx(1e-5)


@pytest.mark.fast
def test_the_last_crops_are_larger_and_fewer():
    first, last = recipe("large_crops").run_stages()
    assert (first.crop_size, first.batch_size) == (256, 32)
    assert (last.crop_size, last.batch_size) == (512, 8)


@pytest.mark.fast
def test_a_run_at_full_scale_needs_held_out_images(tmp_path):
    for name in ("recipes", "ali2023"):
        with pytest.raises(UserError, match=r"give --data\.held-out folder:DIR"):
            trainer.train(name, workdir=str(tmp_path / "run"))
    assert not (tmp_path / "run").exists()
    config = recipe("large_crops")
    trainer.check_held_out(dataclasses.replace(config, steps=1_999_999 // 2, stages=()))
    own = dataclasses.replace(config.data, held_out="folder:validation")
    trainer.check_held_out(dataclasses.replace(config, data=own))
    trainer.check_held_out(TrainConfig())  # Photographs of scikit-image throughout.


@pytest.mark.slow
@pytest.mark.parametrize("name", ["high_rate_first", "ms_ssim", "large_crops"])
def test_twenty_steps_of_each_recipe_pass_through_its_stages(
    name, tmp_path, monkeypatch, capsys
):
    make_mesh = sharding.make_mesh
    monkeypatch.setattr(
        sharding, "make_mesh", lambda shape: make_mesh(shape, jax.devices()[:1])
    )
    full = recipe(name)
    side = 192 if name == "ms_ssim" else CROPS[full.data.crop_size]
    stages = [
        dataclasses.replace(
            stage,
            start=stage.start * STEPS // full.steps,
            crop_size=stage.crop_size and CROPS[stage.crop_size],
            batch_size=stage.batch_size and 2,
        )
        for stage in full.stages
    ]
    config = dataclasses.replace(
        full,
        steps=STEPS,
        workdir=str(tmp_path / "run"),
        stages=stages,
        codec=dataclasses.replace(full.codec, transforms=codecs.TRANSFORMS["minnen"]),
        loss=dataclasses.replace(full.loss, window=3),
        step=dataclasses.replace(full.step, transform_dtype="float32"),
        data=DataConfig(batch_size=4, crop_size=side, held_out_images=1),
        intervals=IntervalConfig(log_every=1, eval_every=STEPS, checkpoint_every=STEPS),
    )
    workdir = trainer.train(config)
    lines = (workdir / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(line)["step"] for line in lines] == list(range(1, STEPS + 1))
    assert run_directory.load(workdir).provenance.step == STEPS
    output = capsys.readouterr().out
    for stage in stages:
        if stage.start:
            assert f": stage from {stage.start}: " in output
