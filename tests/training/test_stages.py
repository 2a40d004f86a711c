"""Stages, averaged parameters and branches, in runs of the whole training loop."""

import dataclasses
import itertools
import json
import shutil
from pathlib import Path

import jax
import numpy as np
import pytest
from support.training_runs import SPEED

from jaxcorr import run_directory, train_states, trainer
from jaxcorr.branch import branch_config
from jaxcorr.cli import train as cli_train
from jaxcorr.codec import CodecConfig
from jaxcorr.config import TrainConfig
from jaxcorr.data.sources import DataConfig
from jaxcorr.errors import UserError
from jaxcorr.serialization import from_json, to_json
from jaxcorr.training import checkpoints, sharding, stored_state
from jaxcorr.training.checkpoints import IntervalConfig
from jaxcorr.training.loss import LossConfig
from jaxcorr.training.optimizer import OptimizerConfig
from jaxcorr.training.sharding import MeshConfig
from jaxcorr.training.stages import StageConfig
from jaxcorr.training.sweep import SweepConfig
from jaxcorr.transforms.minnen import Minnen

STEPS, START = 5, 2
CONFIG = TrainConfig(
    steps=STEPS,
    codec=CodecConfig(transforms=Minnen(width=4, channels=4)),
    loss=LossConfig(window=3),
    sweep=SweepConfig(distortion_weight=(0.01, 0.05), correlation_weight=0.1),
    optimizer=OptimizerConfig(learning_rate=1e-3, schedule="cosine", ema_decay=0.5),
    data=DataConfig(batch_size=8, crop_size=64, held_out_images=0, held_out_crops=8),
    stages=(
        StageConfig(
            start=START, distortion_weight=0.02, batch_size=16, learning_rate=4e-4
        ),
    ),
    mesh=MeshConfig(data=2, sweep=2),
    intervals=IntervalConfig(
        log_every=1, eval_every=2, checkpoint_every=1, max_to_keep=STEPS
    ),
)


@pytest.fixture(scope="module", autouse=True)
def _four_devices():
    """Leaves out the other simulated devices, which take time."""
    make_mesh = sharding.make_mesh
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            sharding, "make_mesh", lambda shape: make_mesh(shape, jax.devices()[:4])
        )
        yield


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Path:
    """A run of two members on two groups of devices, whose second stage differs."""
    workdir = tmp_path_factory.mktemp("stages") / "run"
    return trainer.train(dataclasses.replace(CONFIG, workdir=str(workdir)))


TIMES = tuple(SPEED)


def records(workdir: Path, *dropped: str) -> list[dict[str, float]]:
    lines = (workdir / "metrics.jsonl").read_text().splitlines()
    return [
        {name: value for name, value in json.loads(line).items() if name not in dropped}
        for line in lines
    ]


def state_of(workdir: Path, step: int = STEPS) -> dict[str, np.ndarray]:
    """Returns every array of the train state after a step, by its path."""
    config = from_json(TrainConfig, checkpoints.run_settings(workdir, step), "run")
    mesh = sharding.make_mesh(config.mesh)
    abstract = train_states.abstract_state(trainer.make_run(config, mesh))
    state = stored_state.read_state(workdir, step, abstract)
    leaves = jax.tree_util.tree_leaves_with_path(state)
    return {jax.tree_util.keystr(path): np.asarray(leaf) for path, leaf in leaves}


def assert_equal(first: dict[str, np.ndarray], second: dict[str, np.ndarray]) -> None:
    assert first.keys() == second.keys()
    for name, array in first.items():
        np.testing.assert_array_equal(array, second[name], err_msg=name)


@pytest.mark.parametrize("kept", [1, pytest.param(START, marks=pytest.mark.slow)])
def test_a_run_resumes_bit_for_bit_across_a_change_of_stage(run, tmp_path, kept):
    workdir = tmp_path / "run"
    shutil.copytree(run, workdir)
    for step in range(kept + 1, STEPS + 1):
        shutil.rmtree(workdir / "checkpoints" / str(step))
    trainer.train(dataclasses.replace(CONFIG, workdir=str(workdir)))
    assert_equal(state_of(workdir), state_of(run))
    assert records(workdir, *TIMES) == records(run, *TIMES)


def test_a_stage_has_its_own_learning_rate_and_weights(run):
    rates = [x["learning_rate"] for x in records(run) if x["member"] == 0]
    own = 1e-3 * (0.5 + 0.5 * np.cos(np.pi * np.arange(START) / STEPS))
    stage = 4e-4 * (0.5 + 0.5 * np.cos(np.pi * np.arange(3) / 3))
    np.testing.assert_allclose(rates, [*own, *stage], rtol=1e-6)
    for record in records(run):
        own_weight = (0.01, 0.05)[int(record["member"])]
        weight = own_weight if record["step"] <= START else 0.02
        loss = record["bpp"] + weight * record["mse"] + 0.1 * record["correlation"]
        assert record["loss"] == pytest.approx(loss, rel=1e-5)
    held_out = map(json.loads, (run / "held_out.jsonl").read_text().splitlines())
    for record in held_out:  # Losses of all stages compare.
        weight = (0.01, 0.05)[record["member"]]
        loss = record["bpp"] + weight * record["mse"]
        assert record["rate_distortion"] == pytest.approx(loss, rel=1e-5)


def test_models_have_the_average_and_raw_ones_on_request(run):
    before, after = state_of(run, STEPS - 1), state_of(run, STEPS)
    model = run_directory.load(f"{run}@1", checkpoint="newest")
    raw_model = train_states.raw_model(f"{run}@1", checkpoint="newest")
    decay = min(0.5, STEPS / (9 + STEPS))

    def average(state, name):
        (path,) = (path for path in state if f"average['{name}']" in path)
        return state[path][1]

    for name, parameter in model.parameters.items():
        raw = after[f".parameters['{name}']"][1]
        np.testing.assert_array_equal(raw_model.parameters[name], raw)
        np.testing.assert_array_equal(parameter, average(after, name))
        expected = decay * average(before, name) + (1 - decay) * raw
        np.testing.assert_allclose(parameter, expected, rtol=1e-5, atol=1e-7)


def test_a_branch_with_the_same_settings_repeats_the_run(run, tmp_path):
    config = branch_config(run, "3")
    workdir = trainer.train(config, workdir=str(tmp_path / "branch"))
    assert_equal(state_of(workdir), state_of(run))
    expected = [x for x in records(run, *TIMES) if x["step"] > 3]
    assert records(workdir, *TIMES) == expected


def test_branches_of_a_member_are_paired(run, tmp_path):
    config = branch_config(f"{run}@1", "3")
    assert config.members[0] == CONFIG.members[1]
    workdir = trainer.train(
        config,
        workdir=str(tmp_path / "pair"),
        sweep={"distortion_weight": (0.01, 0.03)},
        stages=(),
    )
    first, second = records(workdir)[:2]
    for name in ("step", "bpp", "mse", "correlation"):
        assert first[name] == second[name]
    assert first["loss"] != second["loss"]
    assert first["step"] == 4


def test_a_branch_that_cannot_go_on_is_refused(run, tmp_path):
    with pytest.raises(
        UserError, match="has no checkpoint '9'; there are newest, best"
    ):
        branch_config(run, "9")
    with pytest.raises(UserError, match="holds neither a model nor checkpoints"):
        branch_config(tmp_path)
    with pytest.raises(UserError, match="demo is not a run: a branch needs"):
        branch_config("demo")
    config = branch_config(run, "3")
    refused = {
        "has an average of the parameters": {"optimizer": {"ema_decay": 0.0}},
        "has optimizer.method adam, whose state optax:lion": {
            "optimizer": {"method": "optax:lion"}
        },
        "has codec.transforms.width 4": {"codec": {"transforms": {"width": 8}}},
        "steps must be more than 3": {"steps": 3, "stages": ()},
        "has 2 members and the branch 1": {"sweep": {"distortion_weight": 0.1}},
        "branch: .* has no checkpoint 8": {"branch_step": 8},
        "init_from must be None for a branch": {"init_from": "demo"},
        "given together with branch_step": {"branch_step": None},
    }
    for message, changes in refused.items():
        with pytest.raises(UserError, match=message):
            trainer.train(config, workdir=str(tmp_path / "refused"), **changes)
    assert not (tmp_path / "refused").exists()


def test_the_command_takes_a_branch_in_place_of_a_config(run):
    arguments = ("--branch", str(run), "--checkpoint", "4", "--steps", "9")
    config = cli_train.parse(arguments, program="jaxcorr train")
    expected = dataclasses.replace(branch_config(run, "4"), steps=9)
    assert config == expected
    assert config.workdir == f"{run}_from_4"
    newest = cli_train.parse((f"--branch={run}@1",), program="jaxcorr train")
    assert newest == branch_config(f"{run}@1", str(STEPS))
    with pytest.raises(UserError, match="leave out quickstart, and give"):
        cli_train.parse(("quickstart", *arguments), program="jaxcorr train")


@pytest.mark.fast
def test_stages_take_the_stream_of_crops_in_turn(tmp_path):
    config = dataclasses.replace(CONFIG, mesh=MeshConfig(), workdir=str(tmp_path))
    mesh = trainer.make_mesh(config)
    run = trainer.make_run(config, mesh)
    data = trainer.open_sources(config, run)

    def read(start: int) -> list[np.ndarray]:
        return list(trainer.read_batches(run, data, start))

    every = read(0)
    assert [len(batch) for batch in every] == [8, 8, 16, 16, 16]
    plain = dataclasses.replace(config, stages=())
    stream = itertools.chain.from_iterable(
        trainer.read_batches(
            trainer.make_run(plain, mesh),
            trainer.open_sources(plain, trainer.make_run(plain, mesh)),
            0,
        )
    )
    np.testing.assert_array_equal(np.concatenate(every)[:40], list(stream))
    for start in (1, START, 4):
        for batch, resumed in zip(every[start:], read(start), strict=True):
            np.testing.assert_array_equal(batch, resumed)


@pytest.mark.fast
def test_settings_of_stages_are_read_from_json():
    assert (
        from_json(TrainConfig, json.loads(json.dumps(to_json(CONFIG))), "run") == CONFIG
    )


@pytest.mark.fast
def test_stages_that_cannot_follow_are_refused():
    refused = {
        r"stage from step 2: .*crop_size must be a multiple of 64, but is 100": {
            "crop_size": 100
        },
        "stage from step 2: loss.window must be odd and from 3 to": {"crop_size": 64},
        "stage from step 2: data.crop-size must be at least": {"distortion": "ms_ssim"},
        "stage from step 2: .*batch_size must be at least 1": {"batch_size": 0},
        "stage from step 2: .*learning_rate must be positive": {"learning_rate": 0.0},
    }
    config = dataclasses.replace(
        CONFIG,
        stages=(),
        loss=LossConfig(window=7),
        data=DataConfig(batch_size=8, crop_size=128),
    )
    for message, changes in refused.items():
        with pytest.raises(UserError, match=message):
            dataclasses.replace(config, stages=(StageConfig(start=START, **changes),))
    with pytest.raises(UserError, match="after less than 5 steps, but starts after 5"):
        dataclasses.replace(config, stages=(StageConfig(start=5),))
    with pytest.raises(UserError, match="starts after 2 steps follows one after 2"):
        dataclasses.replace(config, stages=(StageConfig(start=2), StageConfig(start=2)))
    with pytest.raises(UserError, match="distortion_weight must be 0 or more"):
        StageConfig(distortion_weight=-1.0)
