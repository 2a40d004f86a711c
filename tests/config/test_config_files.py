import dataclasses
import functools
import runpy

import jax
import numpy as np
import pytest
from support import codecs

from jaxcorr import codec, config_files
from jaxcorr.codec import CodecConfig
from jaxcorr.config import TrainConfig
from jaxcorr.errors import UserError
from jaxcorr.training.optimizer import OptimizerConfig
from jaxcorr.training.step import initial_state, train_step
from jaxcorr.training.sweep import member_weights


def names_in(config: str, variable: str) -> list[str]:
    return list(runpy.run_path(str(config_files.packaged_configs()[config]))[variable])


VARIANTS = {
    "ali2023": ["", *names_in("ali2023", "SYSTEMS")],
    "demo": [""],
    "quickstart": ["", *names_in("quickstart", "START")],
    "recipes": ["", *names_in("recipes", "RECIPES")],
    "study": ["", *names_in("study", "CONTEXTS")],
}
KEY = jax.random.key(0)
TINY = CodecConfig(transforms=codecs.TRANSFORMS["minnen"])
NAMES = [
    f"{name}:{variant}".rstrip(":")
    for name, variants in VARIANTS.items()
    for variant in variants
]


def parse(*arguments) -> TrainConfig:
    return config_files.parse_config(
        [str(argument) for argument in arguments], program="jaxcorr train"
    )


def shrink(config: TrainConfig) -> TrainConfig:
    """Returns the config with little to compute, and a step that many configs share.

    Its tiny codec has the same classes.
    """

    def same_class(part, choices):
        return next(choice for choice in choices if type(choice) is type(part))

    transforms = same_class(config.codec.transforms, codecs.TRANSFORMS.values())
    context = same_class(config.codec.context, codecs.CONTEXTS.values())
    small = dataclasses.replace(config.codec, transforms=transforms, context=context)
    return dataclasses.replace(
        config,
        codec=small,
        steps=10,
        stages=(),
        loss=dataclasses.replace(config.loss, window=3),
        # With warm-up the first step is too small to change a float32.
        optimizer=OptimizerConfig(learning_rate=1e-3),
        step=dataclasses.replace(config.step, transform_dtype="float32"),
        data=dataclasses.replace(config.data, batch_size=2, crop_size=64),
    )


@pytest.mark.fast
@pytest.mark.parametrize("name", NAMES)
def test_every_config_and_variant_builds_a_training_step(name):
    config = parse(name)
    assert config.workdir == "runs/" + name.replace(":", "_")
    parameters = codec.abstract_parameters(config.codec)
    assert sum(array.size for array in parameters.values()) > 100_000

    # All codecs are trained by other tests.
    small = dataclasses.replace(config, codec=TINY)
    side, batch_size = small.data.crop_size, small.data.batch_size
    crops = jax.ShapeDtypeStruct((batch_size, side, side, 3), np.uint8)
    state = jax.eval_shape(
        functools.partial(initial_state, small.static_config),
        codec.abstract_parameters(small.codec),
    )
    step = functools.partial(train_step, static_config=small.static_config)
    weights = member_weights(config.members[0])
    _, values = jax.eval_shape(step, state, crops, weights, KEY)
    assert {"loss", "bpp", "mse", "correlation"} <= values.keys()


@pytest.mark.parametrize("name", VARIANTS)
def test_every_config_trains_a_step(name):
    """Its variants differ in the codec; all codecs are trained by other tests."""
    config = shrink(parse(name))
    before = codecs.draw(config.codec)
    state = initial_state(config.static_config, jax.device_put(before))
    crops = np.random.default_rng(0).integers(256, size=(2, 64, 64, 3), dtype=np.uint8)
    weights, key = member_weights(config.members[0]), KEY
    state, values = train_step(
        state, crops, weights, key, static_config=config.static_config
    )
    assert np.isfinite(values["loss"])
    codecs.assert_every_part_changed(before, state.parameters)


@pytest.mark.fast
def test_every_row_of_the_papers_table_has_a_system():
    rows = {f"cheng_{name}" for name in ("hyperprior", "checkerboard", "charm")}
    rows |= {"minnen_hyperprior", "swint_hyperprior", "cheng_autoregressive"}
    assert set(VARIANTS["ali2023"]) == rows | {""}


@pytest.mark.fast
def test_a_config_is_found_by_name_and_by_path(tmp_path, monkeypatch):
    path = config_files.packaged_configs()["study"]
    monkeypatch.chdir(path.parent.parent)
    by_path = parse("configs/study.py:charm")
    monkeypatch.chdir(tmp_path)
    assert parse("study:charm") == parse(f"{path}:charm") == by_path
    assert parse("study") == dataclasses.replace(
        parse("study:none"), workdir="runs/study"
    )


@pytest.mark.fast
def test_every_removed_config_has_a_working_successor():
    packaged = config_files.packaged_configs()
    for old, command in config_files.REMOVED_CONFIGS.items():
        assert old not in packaged
        name, *flags = command.split()
        weight = 0.1 if "_corr" in old or "study" in old else 0.0
        assert parse(name, *flags).sweep.correlation_weight == weight
        with pytest.raises(UserError, match=f"^configs/{old}.py is now {command}$"):
            parse(f"configs/{old}.py")


VARIANTS_FILE = """
from jaxcorr.config import TrainConfig, variant

STEPS = {"short": 2, "long": 7}

def get_config(length):
    return TrainConfig(steps=variant(STEPS, length))
"""


@pytest.mark.fast
def test_a_config_file_of_a_user_may_have_variants(tmp_path):
    path = tmp_path / "own.py"
    path.write_text(VARIANTS_FILE)
    assert parse(f"{path}:long").steps == 7
    with pytest.raises(UserError, match="must be one of short, long, but is 'middle'"):
        parse(f"{path}:middle")
    with pytest.raises(UserError, match=r"own\.py: TypeError.*argument: 'length'"):
        parse(path)


MISFITS_FILE = """
from jaxcorr.codec import CodecConfig
from jaxcorr.config import TrainConfig
from jaxcorr.context.channelwise import Channelwise
from jaxcorr.transforms.{module} import {kind}

def get_config():
    context = Channelwise(slices=4, support=4)
    return TrainConfig(codec=CodecConfig(transforms={kind}(), context=context))
"""
MISFITS = [
    ("Cheng", "context.slices 0", "slices must be at least 1, but is 0"),
    (
        "Cheng",
        "context.slices 2",
        "support must be from 0 to slices (2), but is 4",
    ),
    (
        "Cheng",
        "context.support -1",
        "support must be from 0 to slices (4), but is -1",
    ),
    ("Cheng", "context.hidden 0 4", "hidden must be at least 1 each, but is (0, 4)"),
    (
        "Cheng",
        "context.slices 129",
        "slices must be at most the channels of the latents (128), but is 129",
    ),
    (
        "Swin",
        "context.slices 321",
        "slices must be at most the channels of the latents (320), but is 321",
    ),
    ("Cheng", "transforms.width 127", "width must be even and at least 2, but is 127"),
    (
        "Swin",
        "transforms.window 7",
        "window must be even and at least 2, as windows are shifted by half, but is 7",
    ),
    (
        "Swin",
        "transforms.side-window 0",
        "side-window must be even and at least 2, as windows are shifted by half, "
        "but is 0",
    ),
    ("Swin", "transforms.head-width 0", "head-width must be at least 1, but is 0"),
    (
        "Swin",
        "transforms.head-width 24",
        "widths must be positive multiples of head_width (24), but is",
    ),
    (
        "Swin",
        "transforms.side-widths 64 33",
        "side-widths must be positive multiples of head_width (32), but is (64, 33)",
    ),
    (
        "Swin",
        "transforms.depths 2 -1 2 2",
        "depths must be 0 or more each, but is (2, -1, 2, 2)",
    ),
]


@pytest.mark.fast
@pytest.mark.parametrize("kind, setting, message", MISFITS)
def test_an_invalid_part_is_refused_by_the_name_of_its_field(
    tmp_path, kind, setting, message, capsys
):
    path = tmp_path / "misfit.py"
    path.write_text(MISFITS_FILE.format(module=kind.lower(), kind=kind))
    with pytest.raises((UserError, SystemExit)) as refusal:
        parse(path, *f"--codec.{setting}".split())
    errors = " ".join(capsys.readouterr().err.split())  # tyro breaks its lines.
    part = setting.partition(".")[0]
    assert f"codec.{part}.{message}" in (errors or str(refusal.value))


@pytest.mark.fast
def test_unknown_context_networks_are_refused(tmp_path, capsys):
    path = tmp_path / "misfit.py"
    path.write_text(MISFITS_FILE.format(module="cheng", kind="Cheng"))
    with pytest.raises(SystemExit):
        parse(path, "--codec.context.networks", "heavy")
    assert "--codec.context.networks" in capsys.readouterr().err
