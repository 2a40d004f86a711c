"""A sweep against the same runs trained one by one."""

import json

import jax
import numpy as np
import pytest
from support.training_runs import STEPS as TRAINED
from support.training_runs import Runs

from jaxcorr import codec, images, run_directory
from jaxcorr.codec import CodecConfig
from jaxcorr.errors import UserError
from jaxcorr.training import sharding, sweep
from jaxcorr.training.loss import LossConfig
from jaxcorr.training.optimizer import OptimizerConfig
from jaxcorr.training.sharding import MeshConfig
from jaxcorr.training.step import (
    StaticConfig,
    StepConfig,
    evaluation_step,
    initial_state,
    train_step,
)
from jaxcorr.training.sweep import SweepConfig, member_keys, member_weights
from jaxcorr.transforms.minnen import Minnen

STEPS, BATCH, CROP = 4, 4, 64
SWEEP = SweepConfig(
    distortion_weight=(0.01, 0.02), correlation_weight=(0.0, 1.0), seed=(3, 4)
)
MEMBERS = SWEEP.members[2:6]
"""Of both seeds, λ and α."""
RECIPE = StaticConfig(
    codec=CodecConfig(transforms=Minnen(width=6, channels=8)),
    loss=LossConfig(window=3),
    optimizer=OptimizerConfig(learning_rate=1e-3),
    step=StepConfig(),
    steps=STEPS,
)


@pytest.fixture(scope="module")
def crops():
    shape = (STEPS, BATCH, CROP, CROP, 3)
    return np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)


@pytest.fixture(scope="module")
def alone(crops):
    """Metrics of each member by itself: of training, and at the end on crops."""
    found = []
    for member in MEMBERS:
        initial, noise = member_keys(member)
        weights = member_weights(member)
        state = initial_state(RECIPE, codec.initialize(RECIPE.codec, initial))
        trained = []
        for batch in crops:
            state, values = train_step(
                state, batch, weights, noise, static_config=RECIPE
            )
            trained.append(values)
        parameters = jax.tree.map(np.asarray, state.parameters)
        values, made = evaluation_step(
            state.parameters, crops[0], weights, static_config=RECIPE
        )
        found.append((trained, values, made, parameters))
    return found


@pytest.mark.parametrize(
    ("shape", "devices", "together"),
    [
        (MeshConfig(), 1, False),
        (MeshConfig(fsdp=2), 4, False),
        (MeshConfig(fsdp=2), 4, True),
        (MeshConfig(sweep=4), 8, True),
        (MeshConfig(sweep=2, fsdp=2), 8, True),
    ],
)
def test_each_member_trains_as_alone(crops, alone, shape, devices, together):
    mesh = sharding.make_mesh(shape, jax.devices()[:devices])
    initial = [
        codec.initialize(RECIPE.codec, member_keys(member)[0]) for member in MEMBERS
    ]
    states = sweep.initial_member_states(RECIPE, initial)
    states = sharding.shard_state(states, mesh, members=True)
    weights, keys = (
        sweep.stack_member_weights(MEMBERS),
        sweep.stack_member_noise_keys(MEMBERS),
    )
    how = {"static_config": RECIPE, "in_one_program": together}
    for step, batch in enumerate(crops):
        placed = sharding.shard_batch(batch, mesh, BATCH)
        with jax.set_mesh(mesh):
            states, values = sweep.train_members(states, placed, weights, keys, **how)
        for number, (trained, *_) in enumerate(alone):
            for name, value in trained[step].items():
                np.testing.assert_allclose(
                    values[name][number], value, rtol=1e-5, atol=1e-6, err_msg=name
                )
    with jax.set_mesh(mesh):
        images = sharding.shard_images(crops[0], mesh)
        values, made = sweep.evaluate_members(states.parameters, images, weights, **how)
    for number, (_, expected, picture, _) in enumerate(alone):
        loss = expected["rate_distortion"]
        np.testing.assert_allclose(values["rate_distortion"][number], loss, rtol=1e-5)
        np.testing.assert_allclose(made[number], picture, atol=1e-3)


def test_no_activation_is_gathered(crops):
    """They are far larger than any parameter; vectorized members would do it."""
    mesh = sharding.make_mesh(MeshConfig(data=4), jax.devices()[:4])
    initial = [
        codec.initialize(RECIPE.codec, member_keys(member)[0]) for member in MEMBERS[:2]
    ]
    states = sweep.initial_member_states(RECIPE, initial)
    states = sharding.shard_state(states, mesh, members=True)
    weights, keys = (
        sweep.stack_member_weights(MEMBERS[:2]),
        sweep.stack_member_noise_keys(MEMBERS[:2]),
    )
    step = lambda states, batch: sweep.train_members(
        states, batch, weights, keys, static_config=RECIPE, in_one_program=True
    )
    batch = sharding.shard_batch(crops[0], mesh, BATCH)
    with jax.set_mesh(mesh):
        text = jax.jit(step).lower(states, batch).compile().as_text() or ""
    assert " all-reduce" in text
    assert " all-gather" not in text


@pytest.mark.fast
def test_members_are_the_product_in_the_order_seed_distortion_correlation():
    assert [str(member) for member in SWEEP.members] == [
        f"λ {distortion}, α {correlation}, seed {seed}"
        for seed in (3, 4)
        for distortion in (0.01, 0.02)
        for correlation in (0, 1)
    ]
    assert len(SweepConfig().members) == 1


@pytest.mark.fast
def test_lists_may_be_lists_but_not_empty_or_with_repetitions():
    listed = SweepConfig(distortion_weight=[0.1, 0.2])
    assert listed == SweepConfig(distortion_weight=(0.1, 0.2)) != SweepConfig()
    assert hash(listed) != hash(SweepConfig())
    with pytest.raises(UserError, match=r"SweepConfig\.distortion_weight must have"):
        SweepConfig(distortion_weight=())
    with pytest.raises(UserError, match="seed must be without repetitions"):
        SweepConfig(seed=(1, 1))


@pytest.mark.fast
@pytest.mark.parametrize("weight", [-0.1, float("nan"), float("inf"), (0.1, -1.0)])
@pytest.mark.parametrize("name", ["distortion", "correlation"])
def test_a_weight_that_is_negative_or_not_finite_is_refused(name, weight):
    with pytest.raises(
        UserError, match=rf"SweepConfig\.{name}_weight must be 0 or more"
    ):
        SweepConfig(**{f"{name}_weight": weight})


@pytest.fixture(scope="module")
def runs(tmp_path_factory) -> Runs:
    return Runs(tmp_path_factory.mktemp("sweep"))


@pytest.fixture(scope="module")
def swept(runs):
    """A sweep of three, trained by the command, whose last member fails."""
    workdir = runs.folder / "swept"
    weights = ("--sweep.distortion-weight", "0.01", "0.1", "1e38")
    status, first, errors = runs.finish(
        workdir, *weights, "--intervals.max-to-keep", "1"
    )
    assert (status, errors) == (0, "")
    return workdir, first


@pytest.fixture(scope="module")
def by_itself(runs, swept):
    """The second member of the sweep, as a run of its own."""
    workdir = runs.folder / "by_itself"
    status, _, errors = runs.finish(workdir, "--sweep.distortion-weight", "0.1")
    assert (status, errors) == (0, "")
    return workdir


def records(workdir, name="metrics.jsonl", member=0):
    lines = map(json.loads, (workdir / name).read_text().splitlines())
    return [line for line in lines if line["member"] == member]


def test_a_member_of_a_run_logs_what_it_logs_by_itself(swept, by_itself):
    for name in ("metrics.jsonl", "held_out.jsonl"):
        mine, theirs = records(swept[0], name, 1), records(by_itself, name)
        assert [x["step"] for x in mine] == [x["step"] for x in theirs]
        losses = [[each["loss"] for each in run] for run in (mine, theirs)]
        np.testing.assert_allclose(*losses, rtol=1e-5)
    assert (swept[0] / "tensorboard" / "member_1").is_dir()


def test_a_member_that_fails_is_named_and_has_no_model(swept):
    workdir, output = swept
    (line,) = (x for x in output.splitlines() if x.startswith("member"))
    assert line.startswith("member 2 (λ 1e+38, α 0.1, seed 0) stops: loss or gradient")
    paths = [f"{workdir}@{number}" for number in (0, 1)]
    assert run_directory.model_paths(workdir) == paths
    with pytest.raises(UserError, match="has no member 2, only 0, 1"):
        run_directory.load(f"{workdir}@2")


def test_the_best_of_each_member_is_kept(swept):
    workdir, _ = swept
    kept = {int(path.name) for path in (workdir / "checkpoints").iterdir()}
    best = set()
    for number in (0, 1):
        losses = {
            each["step"]: each["rate_distortion"]
            for each in records(workdir, "held_out.jsonl", number)
        }
        best.add(min(losses, key=losses.__getitem__))
        model = run_directory.load(f"{workdir}@{number}")
        assert model.provenance.held_out_loss == min(losses.values())
        member = model.provenance.member
        assert member is not None
        assert member.distortion_weight == (0.01, 0.1)[number]
    assert kept == best | {TRAINED}


def test_a_sweep_ends_with_photographs_of_each_member(swept):
    workdir, output = swept
    for number in (0, 1):
        shown = workdir / "held_out" / f"member_{number}"
        assert (shown / "comparison.png").is_file()
        assert f"{workdir}@{number}: seed 0, distortion weight" in output


def test_commands_take_a_member_or_evaluate_all(swept, jaxcorr, tmp_path):
    workdir, _ = swept
    photograph = tmp_path / "photographs" / "noise.png"
    noise = np.random.default_rng(0).integers(0, 256, (70, 64, 3), dtype=np.uint8)
    images.write_image(photograph, noise)

    status, output, errors = jaxcorr(
        "evaluate", photograph.parent, "-m", workdir, "--json", "table.json"
    )
    assert (status, errors) == (0, "")
    tables = [json.loads((tmp_path / f"table@{n}.json").read_text()) for n in (0, 1)]
    for number, table in enumerate(tables):
        assert f"{workdir}@{number}: seed 0, distortion weight" in output
        assert table["model"]["path"] == f"{workdir}@{number}"
        status, alone, _ = jaxcorr(
            "evaluate", photograph.parent, "-m", f"{workdir}@{number}"
        )
        assert status == 0 and f"{table['images'][0]['bytes']} " in alone
    fingerprints = {table["model"]["fingerprint"] for table in tables}
    assert len(fingerprints) == 2

    assert jaxcorr("compress", photograph, "-m", f"{workdir}@1")[0] == 0
    assert jaxcorr("pack", f"{workdir}@1", "-o", "packed")[0] == 0
    file = photograph.with_suffix(".jxc")
    assert jaxcorr("decompress", file, "-m", "packed", "-o", "back.png")[0] == 0
    status, _, errors = jaxcorr("compress", photograph, "-m", workdir, "--force")
    assert status == 2
    assert errors == (
        f"jaxcorr: error: {workdir} is a sweep; choose one of its members: "
        f"{workdir}@0, {workdir}@1\n"
    )
    status, _, errors = jaxcorr("pack", "packed@1", "-o", "again")
    assert status == 2 and "packed is a model: it has no member 1" in errors
