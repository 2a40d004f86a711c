import dataclasses
import re
import sys
from pathlib import Path

import jax
import numpy as np
import pytest
import tiny

from jaxcorr import codec, settings
from jaxcorr import config as configs
from jaxcorr.config import Config
from jaxcorr.errors import UserError
from jaxcorr.training.step import initial_state, train_step

CONFIGS = sorted((Path(__file__).parent.parent / "configs").glob("*.py"))


def parse(*arguments) -> Config:
    return configs.parse([str(each) for each in arguments], program="train.py")


def shrunk(config: Config) -> Config:
    """The config with little to compute, and as few other changes as that takes."""
    parts = config.step.micro_batches
    of_kind = lambda kind, choices: next(x for x in choices if type(x) is type(kind))
    transforms = of_kind(config.codec.transforms, tiny.TRANSFORMS.values())
    context = of_kind(config.codec.context, tiny.CONTEXTS.values())
    return dataclasses.replace(
        config,
        codec=dataclasses.replace(config.codec, transforms=transforms, context=context),
        data=dataclasses.replace(config.data, batch_size=2 * parts, crop_size=64),
        objective=dataclasses.replace(config.objective, window=3),
        # Else the first step is too small to change a float32.
        optimizer=dataclasses.replace(config.optimizer, warmup_steps=0),
    )


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_every_config_builds_and_trains_a_step(path):
    config = parse(path)
    assert config.workdir == f"runs/{path.stem}"
    parameters = jax.eval_shape(
        lambda: codec.initialize(config.codec, jax.random.key(0))
    )
    assert sum(array.size for array in parameters.values()) > 100_000

    small = shrunk(config)
    recipe, side = small.recipe, small.data.crop_size
    before = tiny.draw(small.codec)
    state = initial_state(recipe, jax.device_put(before))
    crops = np.random.default_rng(0).integers(
        256, size=(small.data.batch_size, side, side, 3), dtype=np.uint8
    )
    state, values = train_step(
        state, crops, recipe.objective.weights, jax.random.key(1), recipe=recipe
    )
    assert np.isfinite(values["loss"])
    tiny.assert_every_part_moved(before, state.parameters)


PAIRS = [path for path in CONFIGS if path.stem.endswith("_corr")]


@pytest.mark.fast
@pytest.mark.parametrize("path", PAIRS, ids=lambda path: path.stem)
def test_a_pair_of_configs_differs_in_the_weight_of_the_loss_alone(path):
    pair = parse(path), parse(path.with_stem(path.stem.removesuffix("_corr")))
    found = settings.differences(*(settings.to_json(config) for config in pair))
    workdirs = f"runs/{path.stem}", f"runs/{path.stem.removesuffix('_corr')}"
    assert found == {
        ("objective", "correlation_weight"): (0.1, 0.0),
        ("workdir",): workdirs,
    }


@pytest.mark.fast
def test_there_is_a_config_for_every_row_of_the_papers_table():
    rows = {f"cheng_{name}" for name in ("hyperprior", "checkerboard", "charm")}
    rows |= {"minnen_hyperprior", "swint_hyperprior"}
    names = {path.stem for path in CONFIGS}
    assert names >= rows | {f"{row}_corr" for row in rows} | {"cheng_autoregressive"}


@pytest.mark.fast
def test_a_config_imports_from_its_folder_and_leaves_no_trace(tmp_path):
    before = list(sys.path)
    for kind in ("Cheng", "Swin"):
        folder = tmp_path / kind
        folder.mkdir()
        shared = MISFITS_FILE.format(module=kind.lower(), kind=kind)
        (folder / "shared_part.py").write_text(shared)
        (folder / "built_on_it.py").write_text("from shared_part import get_config")
        expected = parse(folder / "shared_part.py")
        found = parse(folder / "built_on_it.py")
        assert found == dataclasses.replace(expected, workdir="runs/built_on_it")
        assert type(found.codec.transforms).__name__ == kind
        assert sys.path == before and "shared_part" not in sys.modules


@pytest.mark.fast
def test_a_mistake_in_what_a_config_imports_is_told_with_its_line(tmp_path):
    (tmp_path / "shared_part.py").write_text("x = 1\ny = x / 0")
    path = tmp_path / "built_on_it.py"
    path.write_text("import shared_part")
    place = re.escape(str(tmp_path / "shared_part.py"))
    with pytest.raises(UserError, match=f"^{place}, line 2: ZeroDivisionError"):
        parse(path)


MISFITS_FILE = """
from jaxcorr.codec import CodecSettings
from jaxcorr.config import Config
from jaxcorr.context.channelwise import Channelwise
from jaxcorr.transforms.{module} import {kind}

def get_config():
    context = Channelwise(slices=4, support=4)
    return Config(codec=CodecSettings(transforms={kind}(), context=context))
"""
MISFITS = [
    ("Cheng", "context.slices 0", "slices must be at least 1, but is 0"),
    (
        "Cheng",
        "context.slices 2",
        "support must be from 0 to 2, codec.context.slices, but is 4",
    ),
    (
        "Cheng",
        "context.support -1",
        "support must be from 0 to 4, codec.context.slices, but is -1",
    ),
    ("Cheng", "context.hidden 0 4", "hidden must be at least 1 each, but is (0, 4)"),
    (
        "Cheng",
        "context.slices 129",
        "slices must be at most 128, the channels of the latents, but is 129",
    ),
    (
        "Swin",
        "context.slices 321",
        "slices must be at most 320, the channels of the latents, but is 321",
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
        "widths must be multiples of codec.transforms.head-width (24), but one is 128",
    ),
    (
        "Swin",
        "transforms.side-widths 64 33",
        "side-widths must be multiples of codec.transforms.head-width (32), but one is "
        "33",
    ),
    (
        "Swin",
        "transforms.depths 2 -1 2 2",
        "depths must be 0 or more, but are (2, -1, 2, 2)",
    ),
]


@pytest.mark.fast
@pytest.mark.parametrize("kind, setting, message", MISFITS)
def test_parts_that_do_not_fit_are_refused_with_the_field(
    tmp_path, kind, setting, message, capsys
):
    path = tmp_path / "misfit.py"
    path.write_text(MISFITS_FILE.format(module=kind.lower(), kind=kind))
    with pytest.raises((UserError, SystemExit)) as refusal:
        parse(path, *f"--codec.{setting}".split())
    said = " ".join(capsys.readouterr().err.split())  # tyro breaks its lines.
    part = setting.partition(".")[0]
    assert f"codec.{part}.{message}" in (said or str(refusal.value))


@pytest.mark.fast
def test_networks_of_no_known_kind_are_refused(tmp_path, capsys):
    path = tmp_path / "misfit.py"
    path.write_text(MISFITS_FILE.format(module="cheng", kind="Cheng"))
    with pytest.raises(SystemExit):
        parse(path, "--codec.context.networks", "heavy")
    assert "--codec.context.networks" in capsys.readouterr().err
