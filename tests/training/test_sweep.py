"""Members of a sweep against the same codecs trained one by one."""

import jax
import numpy as np
import pytest

from jaxcorr import codec
from jaxcorr.codec import CodecConfig
from jaxcorr.errors import UserError
from jaxcorr.training import evaluation, sharding, sweep
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
"""Members with both seeds, both λ and both α."""
STATIC_CONFIG = StaticConfig(
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
    """Results of each member trained by itself.

    Training metrics of each step, and metrics and reconstructions of the last state.
    """
    results = []
    for member in MEMBERS:
        initial, noise = member_keys(member)
        weights = member_weights(member)
        state = initial_state(
            STATIC_CONFIG, codec.initialize(STATIC_CONFIG.codec, initial)
        )
        history = []
        for batch in crops:
            state, values = train_step(
                state, batch, weights, noise, static_config=STATIC_CONFIG
            )
            history.append(values)
        values, reconstructions = evaluation_step(
            state.parameters, crops[0], weights, static_config=STATIC_CONFIG
        )
        results.append((history, values, reconstructions))
    return results


@pytest.mark.parametrize(
    ("shape", "devices", "in_one_program"),
    [
        (MeshConfig(), 1, False),
        pytest.param(MeshConfig(fsdp=2), 4, False, marks=pytest.mark.slow),
        (MeshConfig(sweep=4), 8, True),
        pytest.param(MeshConfig(sweep=2, fsdp=2), 8, True, marks=pytest.mark.slow),
    ],
)
def test_each_member_trains_as_by_itself(crops, alone, shape, devices, in_one_program):
    mesh = sharding.make_mesh(shape, jax.devices()[:devices])
    initial = [
        codec.initialize(STATIC_CONFIG.codec, member_keys(member)[0])
        for member in MEMBERS
    ]
    states = sweep.initial_member_states(STATIC_CONFIG, initial)
    states = sharding.shard_state(states, mesh, members=True)
    weights = sweep.stack_member_weights(MEMBERS)
    keys = sweep.stack_member_noise_keys(MEMBERS)
    options = {"static_config": STATIC_CONFIG, "in_one_program": in_one_program}
    for step, batch in enumerate(crops):
        sharded = sharding.shard_batch(batch, mesh, BATCH)
        with jax.set_mesh(mesh):
            states, values = sweep.train_members(
                states, sharded, weights, keys, **options
            )
        for number, (history, *_) in enumerate(alone):
            for name, value in history[step].items():
                np.testing.assert_allclose(
                    values[name][number], value, rtol=1e-5, atol=1e-6, err_msg=name
                )
    with jax.set_mesh(mesh):
        sharded = sharding.shard_images(crops[0], mesh)
        values, reconstructions = sweep.evaluate_members(
            evaluation.crop_step, states.parameters, sharded, weights, **options
        )
    for number, (_, expected, images) in enumerate(alone):
        loss = expected["rate_distortion"]
        np.testing.assert_allclose(values["rate_distortion"][number], loss, rtol=1e-5)
        np.testing.assert_allclose(reconstructions[number], images, atol=1e-3)


@pytest.mark.slow
def test_no_activations_are_gathered(crops):
    """They are far larger than parameters. Vectorized members would gather them."""
    mesh = sharding.make_mesh(MeshConfig(data=4), jax.devices()[:4])
    initial = [
        codec.initialize(STATIC_CONFIG.codec, member_keys(member)[0])
        for member in MEMBERS[:2]
    ]
    states = sweep.initial_member_states(STATIC_CONFIG, initial)
    states = sharding.shard_state(states, mesh, members=True)
    weights = sweep.stack_member_weights(MEMBERS[:2])
    keys = sweep.stack_member_noise_keys(MEMBERS[:2])

    def step(states, batch):
        return sweep.train_members(
            states,
            batch,
            weights,
            keys,
            static_config=STATIC_CONFIG,
            in_one_program=True,
        )

    batch = sharding.shard_batch(crops[0], mesh, BATCH)
    with jax.set_mesh(mesh):
        text = jax.jit(step).lower(states, batch).compile().as_text() or ""
    assert " all-reduce" in text
    assert " all-gather" not in text


@pytest.mark.fast
def test_members_are_ordered_by_seed_then_distortion_then_correlation():
    assert [str(member) for member in SWEEP.members] == [
        f"λ {distortion}, α {correlation}, seed {seed}"
        for seed in (3, 4)
        for distortion in (0.01, 0.02)
        for correlation in (0, 1)
    ]
    assert len(SweepConfig().members) == 1


@pytest.mark.fast
def test_values_may_be_a_list_but_not_empty_or_repeated():
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
