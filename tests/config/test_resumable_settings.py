"""Settings that may or must not change when a run is resumed."""

import dataclasses
import json
import re
from pathlib import Path

import pytest

from jaxcorr import resume, serialization
from jaxcorr.codec import CodecConfig
from jaxcorr.config import TrainConfig
from jaxcorr.data.sources import DataConfig
from jaxcorr.errors import UserError
from jaxcorr.training.loss import LossConfig
from jaxcorr.transforms.minnen import Minnen

TINY = TrainConfig(
    codec=CodecConfig(transforms=Minnen(width=4, channels=4)),
    loss=LossConfig(window=3),
    data=DataConfig(batch_size=2, crop_size=64, held_out_crops=2),
)


def changed(config: TrainConfig, path: str, value) -> TrainConfig:
    """Returns the config with another value of the field at a dotted path."""
    name, _, rest = path.partition(".")
    inner = changed(getattr(config, name), rest, value) if rest else value
    return dataclasses.replace(config, **{name: inner})


RESUMABLE = {
    "steps": 10,
    "workdir": "elsewhere",
    "step.micro_batches": 2,
    "step.rematerialization": "transforms",
    "mesh.fsdp": 2,
    "distributed.timeout": 5,
    "log_to": ("wandb",),
    "profile.steps": (3, 4),
    "data.source": "folder:elsewhere",
    "data.directory": "elsewhere",
    "data.held_out": "folder:elsewhere",
    "data.workers": 2,
    "intervals.log_every": 1,
    "intervals.eval_every": 5,
    "intervals.checkpoint_every": 5,
    "intervals.max_to_keep": 1,
}
NOT_RESUMABLE = {
    "init_from": "model",
    "codec.transforms.width": 8,
    "codec.likelihood_bound": 1e-9,
    "sweep.distortion_weight": 0.1,
    "sweep.correlation_weight": 0.0,
    "sweep.seed": 1,
    "loss.mask": "short_cross",
    "optimizer.learning_rate": 1e-3,
    "data.batch_size": 4,
    "data.seed": 3,
    "data.augmentation.hue": 30.0,
    "data.held_out_images": 4,
}


@pytest.mark.fast
@pytest.mark.parametrize("path", RESUMABLE)
def test_a_run_resumes_with_changes_that_keep_its_steps(path):
    saved = serialization.to_json(TINY)
    config = changed(TINY, path, RESUMABLE[path])
    assert serialization.to_json(config) != saved
    resume.resumed_config(config, saved, Path("run"))


@pytest.mark.fast
@pytest.mark.parametrize("path", NOT_RESUMABLE)
def test_a_run_does_not_resume_with_settings_of_another_run(path):
    config = changed(TINY, path, NOT_RESUMABLE[path])
    name = path.replace("_", "-")
    rule = re.escape(f"run was started with {name} ")
    with pytest.raises(UserError, match=f"^{rule}.*, not {NOT_RESUMABLE[path]}\\."):
        resume.resumed_config(config, serialization.to_json(TINY), Path("run"))


def test_missing_fields_of_an_earlier_version_take_their_defaults():
    saved = serialization.to_json(TINY)
    del saved["loss"]["stop_scale_gradient"], saved["intervals"]
    del saved["data"]["augmentation"]
    resume.resumed_config(TINY, saved, Path("run"))
    other = changed(TINY, "loss.stop_scale_gradient", True)
    with pytest.raises(UserError, match=r"loss\.stop-scale-gradient False, not True"):
        resume.resumed_config(other, saved, Path("run"))


@pytest.mark.fast
def test_a_run_that_evaluates_on_crops_goes_on_with_crops():
    saved = serialization.to_json(changed(TINY, "data.held_out_images", 0))
    earlier = json.loads(json.dumps(saved))
    del earlier["data"]["held_out_images"]
    for settings in (saved, earlier):
        resumed = resume.resumed_config(TINY, settings, Path("run"))
        assert resumed == changed(TINY, "data.held_out_images", 0)
        other = changed(TINY, "data.held_out_images", 4)
        with pytest.raises(UserError, match=r"data\.held-out-images 0, not 4\."):
            resume.resumed_config(other, settings, Path("run"))
    crops = changed(TINY, "data.held_out_images", 0)
    with pytest.raises(UserError, match=r"data\.held-out-images 16, not 0\."):
        resume.resumed_config(crops, serialization.to_json(TINY), Path("run"))


def test_unknown_settings_are_refused():
    saved = serialization.to_json(TINY)
    saved["loss"]["windows"] = 3
    with pytest.raises(
        UserError,
        match=r"run: LossConfig has no field 'windows' \(did you mean window\?",
    ):
        resume.resumed_config(TINY, saved, Path("run"))
