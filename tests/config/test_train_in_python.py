"""`jaxcorr.train` takes a config or its name, and settings to change."""

import re

import pytest

import jaxcorr
from jaxcorr import trainer

pytestmark = pytest.mark.fast


class Started(Exception):
    """A training run that would have started, with its settings."""


@pytest.fixture
def settings_of(monkeypatch, tmp_path):
    """Returns the settings that a call would train with, instead of training."""
    monkeypatch.chdir(tmp_path)

    def start(config):
        raise Started(config)

    monkeypatch.setattr(trainer, "make_mesh", start)

    def call(*arguments, **changes):
        with pytest.raises(Started) as started:
            jaxcorr.train(*arguments, **changes)
        return started.value.args[0]

    return call


def test_a_name_trains_the_packaged_config(settings_of):
    assert settings_of("quickstart") == jaxcorr.load_config("quickstart")
    assert settings_of("quickstart").workdir == "runs/quickstart"
    assert settings_of("quickstart:scratch").workdir == "runs/quickstart_scratch"


def test_changes_reach_the_fields_of_fields_and_leave_the_rest(settings_of):
    packaged = jaxcorr.load_config("quickstart:scratch")
    changed = settings_of(
        packaged,
        steps=20,
        workdir="runs/small",
        codec={"transforms": {"width": 8}, "context": jaxcorr.Checkerboard()},
        sweep=jaxcorr.SweepConfig(correlation_weight=(0.0, 0.1)),
    )
    transforms = packaged.codec.transforms
    assert (changed.steps, changed.workdir) == (20, "runs/small")
    assert changed.codec == jaxcorr.CodecConfig(
        transforms=jaxcorr.Minnen(width=8, channels=transforms.channels),
        context=jaxcorr.Checkerboard(),
    )
    assert len(changed.members) == 2
    for part in ("loss", "optimizer", "data", "intervals"):
        assert getattr(changed, part) == getattr(packaged, part)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"step": {"micro_batch": 2}},
            "has no field 'micro_batch': did you mean micro_",
        ),
        (
            {"epochs": 2},
            "TrainConfig has no field 'epochs': only steps, workdir, init_",
        ),
        ({"codec": {"transforms": {"width": 0}}}, "Minnen.width must be at least 1"),
        (
            {"loss": {"distortion": "ssim"}},
            "LossConfig.distortion must be one of mse, ms_ssim, but is 'ssim'",
        ),
    ],
)
def test_changes_that_do_not_fit_are_refused_in_one_line(changes, message):
    with pytest.raises(jaxcorr.UserError, match=re.escape(message)) as error:
        jaxcorr.train("quickstart", **changes)
    assert "\n" not in str(error.value)
