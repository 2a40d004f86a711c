"""Training on eight simulated devices, and resuming on another mesh."""

import functools
import math
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import PartitionSpec
from support import codecs

import jaxcorr
from jaxcorr import codec, saved_model, trainer
from jaxcorr.codec import CodecConfig
from jaxcorr.errors import UserError
from jaxcorr.training import checkpoints, sharding
from jaxcorr.training.loss import LossConfig
from jaxcorr.training.optimizer import OptimizerConfig
from jaxcorr.training.sharding import MeshConfig
from jaxcorr.training.step import StaticConfig, StepConfig, initial_state, train_step
from jaxcorr.transforms.minnen import Minnen

STEPS, HALF = 20, 10
BATCH, CROP = 8, 64
STATIC_CONFIG = StaticConfig(
    codec=CodecConfig(transforms=Minnen(width=8, channels=8)),
    loss=LossConfig(window=3),
    optimizer=OptimizerConfig(learning_rate=1e-3),
    step=StepConfig(),
    steps=STEPS,
)
WEIGHTS = codecs.weights(correlation_weight=1.0)
KEY = jax.random.key(0)
SHAPES = {
    "data": MeshConfig(),
    "fsdp": MeshConfig(data=1, fsdp=8),
    "both": MeshConfig(data=4, fsdp=2),
}
on_each_shape = pytest.mark.parametrize(
    "name",
    ["both", *(pytest.param(x, marks=pytest.mark.slow) for x in ("data", "fsdp"))],
)


@pytest.fixture(scope="module")
def crops():
    shape = (STEPS, BATCH, CROP, CROP, 3)
    return np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)


@pytest.fixture(scope="module")
def parameters():
    return codec.initialize(STATIC_CONFIG.codec, KEY)


def new_state(parameters, mesh):
    return sharding.shard_state(initial_state(STATIC_CONFIG, parameters), mesh)


def train(state, crops, mesh):
    losses = []
    for batch in crops:
        sharded = sharding.shard_batch(batch, mesh, BATCH)
        weights, key = WEIGHTS, jax.random.key(1)
        with jax.set_mesh(mesh):
            state, metrics = train_step(
                state, sharded, weights, key, static_config=STATIC_CONFIG
            )
        losses.append(metrics["loss"])
    return state, np.array(losses)


@pytest.fixture(scope="module")
def single(crops, parameters):
    """Losses on one device."""
    mesh = sharding.make_mesh(MeshConfig(), jax.devices()[:1])
    return train(new_state(parameters, mesh), crops, mesh)[1]


@pytest.fixture(scope="module")
def half_of(crops, parameters):
    """Returns mesh, state and losses after half of the steps on eight devices."""

    @functools.cache
    def train_half(name):
        mesh = sharding.make_mesh(SHAPES[name])
        return (mesh, *train(new_state(parameters, mesh), crops[:HALF], mesh))

    return train_half


@on_each_shape
def test_eight_devices_train_like_one(half_of, crops, single, name):
    mesh, state, losses = half_of(name)
    copy = jax.tree.map(jnp.copy, state)  # Training donates its buffers.
    _, rest = train(copy, crops[HALF:], mesh)
    np.testing.assert_allclose([*losses, *rest], single, rtol=1e-5)


@on_each_shape
def test_a_step_keeps_parameters_and_moments_sharded(half_of, name):
    mesh, state, _ = half_of(name)
    sharded = sharding.shard_state(jax.device_get(state), mesh)
    for array, expected in zip(*map(jax.tree.leaves, (state, sharded)), strict=True):
        assert array.sharding.is_equivalent_to(expected.sharding, array.ndim)
    kernel = state.parameters["transforms/analysis/layers/2/kernel"]
    shard = kernel.addressable_shards[0].data
    assert shard.size == kernel.size // mesh.shape["fsdp"]


@pytest.mark.parametrize(
    ("saved_on", "shape", "devices"),
    [
        ("both", MeshConfig(), 1),
        pytest.param("data", MeshConfig(), 2, marks=pytest.mark.slow),
        pytest.param("data", MeshConfig(data=1, fsdp=8), 8, marks=pytest.mark.slow),
        pytest.param("fsdp", MeshConfig(), 1, marks=pytest.mark.slow),
        pytest.param("both", MeshConfig(data=2, fsdp=4), 8, marks=pytest.mark.slow),
    ],
)
def test_a_run_resumes_on_another_mesh(
    half_of, crops, single, parameters, tmp_path, saved_on, shape, devices
):
    _, state, losses = half_of(saved_on)
    model = saved_model.make_model(STATIC_CONFIG.codec, parameters)
    with checkpoints.open_checkpoints(tmp_path, max_to_keep=1) as saved:
        saved.save(HALF, state, {0: model}, {})
    mesh = sharding.make_mesh(shape, jax.devices()[:devices])

    def initial():
        return initial_state(STATIC_CONFIG, codec.initialize(STATIC_CONFIG.codec, KEY))

    abstract_state = sharding.shard_abstract_state(jax.eval_shape(initial), mesh)
    with checkpoints.open_checkpoints(tmp_path, max_to_keep=1) as saved:
        step, restored = saved.restore_newest(abstract_state)
    assert step == HALF
    _, rest = train(restored, crops[HALF:], mesh)
    np.testing.assert_allclose([*losses, *rest], single, rtol=1e-5)


@pytest.mark.fast
@pytest.mark.parametrize(
    ("shape", "fsdp", "spec"),
    [
        ((5, 5, 3, 192), 8, PartitionSpec(None, None, None, "fsdp")),
        ((5, 5, 320, 192), 8, PartitionSpec(None, None, "fsdp")),
        ((5, 5, 3, 6), 4, PartitionSpec()),
        ((192, 192), 8, PartitionSpec("fsdp")),
        ((192,), 1, PartitionSpec()),
        ((), 8, PartitionSpec()),
    ],
)
def test_the_largest_divisible_axis_is_split(shape, fsdp, spec):
    assert sharding.parameter_spec(shape, fsdp) == spec


@pytest.mark.fast
def test_an_axis_of_size_minus_one_takes_the_remaining_devices():
    def sizes(**shape):
        return tuple(sharding.make_mesh(MeshConfig(**shape)).shape.values())

    assert sizes() == (1, 8, 1)
    assert sizes(fsdp=4) == (1, 2, 4)
    assert sizes(data=2, fsdp=-1) == (1, 2, 4)
    assert sizes(data=1, fsdp=2, sweep=4) == (4, 1, 2)


@pytest.mark.fast
@pytest.mark.parametrize(
    ("shape", "message"),
    [
        (
            {"fsdp": 3},
            "data -1 x mesh.fsdp 3 x mesh.sweep 1 must make up the 8 devices",
        ),
        ({"data": 4}, "must make up the 8 devices"),
        ({"data": 0}, r"MeshConfig\.data must be at least 1, or -1, but is 0"),
        ({"fsdp": -1}, "the only -1 of .*, but they are -1, -1 and 1"),
    ],
)
def test_a_mesh_that_does_not_match_the_devices_is_refused(shape, message):
    with pytest.raises(UserError, match=message):
        sharding.make_mesh(MeshConfig(**shape))


@pytest.mark.fast
@pytest.mark.parametrize("batch_size, micro_batches", [(12, 1), (8, 2)])
def test_a_batch_that_does_not_split_evenly_is_refused(batch_size, micro_batches):
    mesh = sharding.make_mesh(MeshConfig())
    sharding.check_batch(mesh, 16, micro_batches)
    with pytest.raises(UserError, match=r"data\.batch-size must be a multiple of"):
        sharding.check_batch(mesh, batch_size, micro_batches)


@pytest.mark.fast
def test_a_batch_of_a_later_stage_is_named_by_the_stage():
    stage = jaxcorr.StageConfig(start=5, batch_size=12)
    config = jaxcorr.TrainConfig(steps=10, stages=(stage,))
    with pytest.raises(UserError, match=r"^stage from step 5: data\.batch-size must"):
        trainer.make_mesh(config)


@pytest.mark.fast
def test_a_sweep_that_does_not_split_evenly_is_refused():
    mesh = sharding.make_mesh(MeshConfig(sweep=4))
    sharding.check_members(mesh, 8)
    with pytest.raises(UserError, match=r"mesh\.sweep must divide the 6 members"):
        sharding.check_members(mesh, 6)


@on_each_shape
def test_only_parameters_are_gathered(half_of, crops, name):
    """Activations are far larger, and stay on the device that has the image."""
    mesh, state, _ = half_of(name)
    batch = sharding.shard_batch(crops[0], mesh, BATCH)
    with jax.set_mesh(mesh):
        lowered = train_step.lower(
            state, batch, WEIGHTS, KEY, static_config=STATIC_CONFIG
        )
        text = lowered.compile().as_text()
    shapes = re.findall(r"= \w+\[([\d,]*)\]\S* all-gather\(", text or "")
    sizes = [math.prod(map(int, shape.split(","))) for shape in shapes]
    largest = max(array.size for array in state.parameters.values())
    assert max(sizes, default=0) <= largest
    assert bool(sizes) == (mesh.shape["fsdp"] > 1)


@pytest.mark.fast
def test_images_that_do_not_split_evenly_are_replicated(crops):
    mesh = sharding.make_mesh(MeshConfig())
    for count, spec in ((8, PartitionSpec(("data", "fsdp"))), (6, PartitionSpec())):
        sharded = sharding.shard_images(crops[0][:count], mesh)
        expected = jax.sharding.NamedSharding(mesh, spec)
        assert sharded.sharding.is_equivalent_to(expected, sharded.ndim)
        np.testing.assert_array_equal(sharded, crops[0][:count])
