"""Configs with overrides of the command line, and mistakes in both."""

import dataclasses
import re
import typing
from pathlib import Path

import pytest

from jaxcorr import codec, config, config_files, trainer
from jaxcorr.codec import CodecConfig
from jaxcorr.config import TrainConfig
from jaxcorr.data.sources import DataConfig
from jaxcorr.errors import UserError
from jaxcorr.training.loss import LossConfig
from jaxcorr.training.sweep import SweepConfig
from jaxcorr.transforms.minnen import Minnen

TINY = TrainConfig(
    codec=CodecConfig(transforms=Minnen(width=4, channels=4)),
    loss=LossConfig(window=3),
    data=DataConfig(batch_size=2, crop_size=64, held_out_crops=2),
)
TINY_FILE = """
from jaxcorr.codec import CodecConfig
from jaxcorr.config import TrainConfig
from jaxcorr.data.sources import DataConfig
from jaxcorr.training.loss import LossConfig
from jaxcorr.transforms.minnen import Minnen

def get_config():
    return TrainConfig(
        codec=CodecConfig(transforms=Minnen(width=4, channels=4)),
        loss=LossConfig(window=3),
        data=DataConfig(batch_size=2, crop_size=64, held_out_crops=2),
    )
"""


@pytest.fixture
def tiny_file(tmp_path) -> Path:
    path = tmp_path / "tiny.py"
    path.write_text(TINY_FILE)
    return path


def parse(*arguments) -> TrainConfig:
    return config_files.parse_config(
        [str(argument) for argument in arguments], program="jaxcorr train"
    )


@pytest.mark.fast
def test_the_command_line_overrides_the_file(tiny_file):
    config = parse(
        tiny_file,
        *"--steps 7 --workdir here --data.source folder:photos".split(),
        *"--sweep.correlation-weight 0.25 --step.transform-dtype bfloat16".split(),
        *"--codec.transforms.width 16 --data.no-flip".split(),
    )
    expected = dataclasses.replace(
        TINY,
        steps=7,
        workdir="here",
        sweep=SweepConfig(correlation_weight=0.25),
        codec=CodecConfig(transforms=Minnen(width=16, channels=4)),
        data=dataclasses.replace(TINY.data, source="folder:photos", flip=False),
        step=dataclasses.replace(TINY.step, transform_dtype="bfloat16"),
    )
    assert config == expected


REFUSED = {
    "--loss.windw 3": "Perhaps you meant: --loss.window",
    "--loss.window x": "Error parsing --loss.window",
    "--steps 1.5": "Error parsing --steps",
    "--loss.mask circle": "--loss.mask",
    "--loss.mask box": "loss.mask: `mask` must leave at least one cell",
    "--loss.window 5": "loss.window must be odd and from 3 to 4",
    "--loss.window 4": "loss.window must be odd",
    "--loss.window -3": "loss.window must be odd",
    "--loss.distortion ms_ssim": "data.crop-size must be at least 161",
    "--sweep.distortion-weight -1": "sweep.distortion-weight must be 0 or more",
    "--sweep.correlation-weight nan": "sweep.correlation-weight must be 0 or more",
    "--codec.transforms.width -1": "transforms.width must be at least 1, but is -1",
    "--codec.transforms.channels 3": "transforms.channels must be even",
    "--codec.likelihood-bound 1": "codec.likelihood-bound must be at least 0",
    "--data.crop-size 100": "data.crop-size must be a multiple of 64, but is 100",
    "--data.crop-size -64": "data.crop-size must be a multiple of 64, but is -64",
    "--data.crop-size 4096": "data.crop-size must be at most",
    "--data.batch-size 0": "data.batch-size must be at least 1",
    "--data.held-out-crops 0": "data.held-out-crops must be at least 1",
    "--data.held-out-images -1": "data.held-out-images must be at least 0",
    "--data.workers -1": "data.workers must be at least 0",
    "--data.seed -1": "data.seed must be in [0, 2**32)",
    "--data.augmentation.scale 0": "error: --data.augmentation.scale must be above 0",
    "--data.augmentation.blur nan": "--data.augmentation.blur must be from 0 to 1",
    "--data.source imagenet": "data.source must be",
    "--data.source folder:/no/such/folder --data.held-out folder:/no/such/images": (
        "/no/such/"
    ),
    "--data.batch-size 12": "data.batch-size must be a multiple of 8 (8 devices",
    "--data.batch-size 8 --step.micro-batches 3": "data.batch-size must be a multiple",
    "--step.micro-batches 0": "step.micro-batches must be at least 1",
    "--step.sharpness-start -1": "step.sharpness-start must be from 0 to 64, but is -1",
    "--step.sharpness-end nan": "step.sharpness-end must be from sharpness_start (1)",
    "--step.sharpness-end 65": "sharpness_start (1) to 64, but is 65",
    "--step.quantization soft": "--step.quantization",
    "--objective.distortion-weight 1": "error: --objective.distortion-weight is "
    "now --sweep.distortion-weight",
    "--objective.correlation_weight=1": "is now --sweep.correlation-weight",
    "--seed 1 2": "error: --seed is now --sweep.seed",
    "--steps 0": "steps must be at least 1",
    "--sweep.seed -1": "sweep.seed must be in [0, 2**32)",
    "--optimizer.learning-rate -0.1": "optimizer.learning-rate must be positive",
    "--optimizer.learning-rate nan": "optimizer.learning-rate must be positive",
    "--optimizer.gradient-clip 0": "optimizer.gradient-clip must be positive",
    "--optimizer.warmup-steps -1": "optimizer.warmup-steps must be 0 or more",
    "--optimizer.drop-at 1.1": "optimizer.drop-at must be from 0 to 1",
    "--optimizer.drop-factor 0": "optimizer.drop-factor must be positive",
    "--intervals.log-every 0": "intervals.log-every must be at least 1",
    "--intervals.max-to-keep 0": "intervals.max-to-keep must be at least 1",
    "--codec.context checkers": "error: --codec.context must be one of none, "
    "checkerboard, charm, space_channel, autoregressive, but is 'checkers' (did you "
    "mean checkerboard?)",
    "--codec.context space-channel": "(did you mean space_channel?)",
    "--codec.context": "--codec.context must be one of none,",
    "--codec.transforms=large": "error: --codec.transforms must be one of minnen, "
    "cheng, swin, but is 'large'",
    "--codec.context checkerboard --codec.context.slices 4": "error: "
    "--codec.context.slices is not a setting of checkerboard; it is one of charm: give "
    "--codec.context charm",
    "--codec.context.groups 2": "is not a setting of none; it is one of space_channel",
    "--codec.context charm --codec.context.groups 2": "is not a setting of charm",
    "--codec.context.no-residual-prediction": "is not a setting of none; it is one of "
    "charm",
    "--codec.context charm --codec.context.slize 2": "error: --codec.context.slize is "
    "not a setting of charm; charm has slices, support,",
    "--codec.transforms cheng --codec.transforms.window 2": "is one of swin",
    "--codec.context charm --codec.context.slices 0": "error: --codec.context.slices "
    "must be at least 1",
    "--codec.context space_channel": "error: --codec.context.groups must be less in "
    "all than the channels of the latents (4)",
    "--init-from /no/such/run": "/no/such/run is not a directory",
}


def plain(text: str) -> str:
    """Returns a text without boxes and line breaks."""
    return " ".join(re.sub("[╭╮╰╯│─]", " ", text).split())


@pytest.mark.fast
@pytest.mark.parametrize("arguments", REFUSED)
def test_a_mistake_is_refused_before_anything_is_compiled_or_written(
    tiny_file, jaxcorr, arguments, monkeypatch
):
    monkeypatch.setattr(codec, "initialize", None)  # Calling it would be a TypeError.
    workdir = tiny_file.parent / "run"
    batch = [] if "batch-size" in arguments else ["--data.batch-size", "8"]
    given = ("--workdir", workdir, *batch, *arguments.split())
    status, _, errors = jaxcorr("train", tiny_file, *given)
    assert status == 2
    assert REFUSED[arguments] in plain(errors)
    assert list(tiny_file.parent.iterdir()) == [tiny_file]


@pytest.mark.parametrize(
    "text, message",
    [
        ("get_config = lambda: 3", r"get_config\(\) returns 3, not a TrainConfig"),
        ("x = 1", "bad.py: KeyError: 'get_config'"),
        ("\n\nimport nothing_of_this_name", "bad.py, line 3: ModuleNotFoundError"),
        (TINY_FILE.replace("window", "windw"), "bad.py, line 11: TypeError.*'windw'"),
        (TINY_FILE.replace("window=3", "window=4"), "loss.window must be odd"),
    ],
)
def test_a_mistake_in_a_config_file_is_reported_with_its_line(tmp_path, text, message):
    path = tmp_path / "bad.py"
    path.write_text(text)
    with pytest.raises(UserError, match=message):
        parse(path)


@pytest.mark.parametrize(
    "arguments, message",
    [
        ([], "usage: jaxcorr train CONFIG"),
        (["--steps", "3"], "usage: jaxcorr train CONFIG"),
        (
            ["no_such.py"],
            "no_such.py does not exist: CONFIG must be a Python file, or ",
        ),
        (["no_such"], "or one of ali2023, demo, quickstart, recipes, study"),
        (["demo:large"], "demo.py has no variants"),
        (
            ["study:large"],
            "the variant must be one of none, checkerboard, charm, space",
        ),
        (
            ["configs/cheng_charm_corr.py"],
            "configs/cheng_charm_corr.py is now ali2023:cheng_charm "
            "--sweep.correlation-weight 0.1",
        ),
        (["study_charm", "--steps", "3"], "study_charm is now study:charm"),
    ],
)
def test_a_config_must_be_given_and_exist(arguments, message):
    with pytest.raises(UserError, match=re.escape(message)):
        parse(*arguments)


SETTINGS: dict[str, tuple[list[str], dict]] = {
    "none": ([], {}),
    "checkerboard": ([], {}),
    "autoregressive": ([], {}),
    "charm": (
        ["slices 4", "support 2", "no-residual-prediction"],
        {
            "slices": 4,
            "support": 2,
            "residual_prediction": False,
        },
    ),
    "space_channel": (["groups 1 1"], {"groups": (1, 1)}),
}
"""Flags of each context model, and what they set in Python."""


@pytest.mark.fast
@pytest.mark.parametrize("transforms", config.TRANSFORMS)
@pytest.mark.parametrize("context", config.CONTEXTS)
def test_parts_are_chosen_by_name_as_in_python(tiny_file, transforms, context):
    flags, settings = SETTINGS[context]
    words = [word for flag in flags for word in f"--codec.context.{flag}".split()]
    # A flag may stand before the one that chooses the part.
    chosen = *words, f"--codec.context={context}", "--codec.transforms", transforms
    codec = parse(tiny_file, *chosen).codec
    is_same = transforms == "minnen"  # Then the settings of the file remain.
    kind = config.TRANSFORMS[transforms]
    assert codec == CodecConfig(
        transforms=TINY.codec.transforms if is_same else kind(),
        context=config.CONTEXTS[context](**settings),
    )


@pytest.mark.fast
def test_every_kind_of_part_has_a_name():
    for names, kinds in (
        (config.TRANSFORMS, codec.TransformConfig),
        (config.CONTEXTS, codec.ContextConfig),
    ):
        assert {*names.values()} == {*typing.get_args(kinds)}
    assert set(typing.get_args(config.ContextName)) == set(config.CONTEXTS)
    assert set(typing.get_args(config.TransformsName)) == set(config.TRANSFORMS)


@pytest.mark.fast
def test_the_kind_of_the_config_keeps_its_settings():
    charm = parse("study:charm")
    assert parse("study:charm", "--codec.context", "charm") == charm
    light = "--codec.context.slices", "4", "--codec.context.support", "3"
    context = parse("study:charm", *light).codec.context
    assert context == dataclasses.replace(charm.codec.context, slices=4, support=3)


@pytest.mark.fast
def test_training_in_python_needs_a_run_directory():
    with pytest.raises(UserError, match="workdir must name the run directory"):
        trainer.train(TINY)


@pytest.mark.parametrize("arguments", [["--help"], ["ali2023:cheng_charm", "--help"]])
def test_help_explains_every_setting(arguments, capsys):
    with pytest.raises(SystemExit) as exit:
        parse(*arguments)
    assert exit.value.code == 0
    help_text = plain(capsys.readouterr().out)
    expected = "FLOAT [FLOAT ...]]} α, in bits per pixel per unit of correlation loss"
    assert expected in help_text
    assert "--codec.transforms.width INT" in help_text
    assert "--codec.transforms {minnen,cheng,swin}" in help_text
    contexts = "none,checkerboard,charm,space_channel,autoregressive"
    assert f"--codec.context {{{contexts}}}" in help_text
