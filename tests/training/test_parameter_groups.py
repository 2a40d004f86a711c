"""Optimizers for large batches, and groups of parameters."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from optax import contrib
from packaging.version import Version
from support import codecs

from jaxcorr import codec
from jaxcorr.codec import CodecConfig
from jaxcorr.config import TrainConfig
from jaxcorr.data.sources import DataConfig
from jaxcorr.errors import UserError
from jaxcorr.training import parameter_groups
from jaxcorr.training.optimizer import OptimizerConfig, Period
from jaxcorr.training.stages import StageConfig

pytestmark = pytest.mark.fast

NEEDS_MUON = pytest.mark.skipif(
    Version(optax.__version__) < Version("0.2.7"), reason="Muon needs Optax 0.2.7"
)
RATE, DECAY = 0.01, 0.5
ONE_STEP = Period(0, 1)


def update(gradient, parameters, **settings):
    """Returns the first update of an optimizer without clipping."""
    transformation = OptimizerConfig(
        learning_rate=RATE,
        weight_decay=DECAY,
        schedule="constant",
        gradient_clip=1e9,
        **settings,
    ).transformation(ONE_STEP)
    updates, _ = jax.jit(transformation.update)(
        gradient, transformation.init(parameters), parameters
    )
    return jax.device_get(updates)


@pytest.mark.parametrize(
    ("transforms", "context", "others"),
    [
        ("minnen", "checkerboard", {"bias", "gamma_root", "beta_root"}),
        ("cheng", "none", {"bias", "gamma_root", "beta_root"}),
        ("swin", "none", {"bias", "gain", "position_bias"}),
    ],
)
def test_groups_leave_out_biases_gdn_and_priors(transforms, context, others):
    parameters = codec.abstract_parameters(
        CodecConfig(
            transforms=codecs.TRANSFORMS[transforms], context=codecs.CONTEXTS[context]
        )
    )
    decays = parameter_groups.kernels(parameters)
    assert {name.rsplit("/")[-1] for name in decays if decays[name]} == {"kernel"}
    left_out = {name.rsplit("/")[-1] for name in decays if not decays[name]}
    prior = {"0", "1", "2", "3", "4"}  # Layers of the prior.
    assert left_out == others | {name for name in left_out if name in prior}
    assert {name for name in decays if name.startswith("prior/")} == {
        name for name, decay in decays.items() if name[-1].isdigit() and not decay
    }


PARAMETERS = {
    "transforms/analysis/layers/0/kernel": jnp.full((3, 3, 2, 4), 2.0),
    "transforms/analysis/layers/0/bias": jnp.full(4, 2.0),
    "transforms/analysis/layers/1/gamma_root": jnp.full((4, 4), 2.0),
    "prior/matrices/0": jnp.full((4, 3, 1), 2.0),
}
KERNEL = "transforms/analysis/layers/0/kernel"


@pytest.mark.parametrize("method", ["adamw", pytest.param("muon", marks=NEEDS_MUON)])
def test_without_a_gradient_only_the_chosen_group_decays(method):
    zeros = jax.tree.map(jnp.zeros_like, PARAMETERS)
    for group in ("all", "kernels"):
        updates = update(zeros, PARAMETERS, method=method, weight_decay_on=group)
        for name, value in updates.items():
            decays = group == "all" or name == KERNEL
            expected = -RATE * DECAY * 2.0 if decays else 0.0
            np.testing.assert_allclose(value, expected, rtol=1e-6, err_msg=name)


def test_lamb_scales_a_step_to_the_norm_of_each_parameter():
    gradient = jax.tree.map(jnp.ones_like, PARAMETERS)
    updates = update(gradient, PARAMETERS, method="lamb", weight_decay_on="kernels")
    for name, value in updates.items():
        # Adam's first step has one sign everywhere, as has the parameter, so the step
        # is the parameter itself times the learning rate, with and without decay.
        np.testing.assert_allclose(value, -RATE * 2.0, rtol=1e-4, err_msg=name)
    plain: Any = optax.lamb(RATE, weight_decay=DECAY)
    random = {
        name: jnp.asarray(np.random.default_rng(0).normal(size=x.shape), jnp.float32)
        for name, x in PARAMETERS.items()
    }
    state = plain.init(PARAMETERS)
    expected, _ = jax.jit(plain.update)(random, state, PARAMETERS)
    actual = update(random, PARAMETERS, method="lamb")
    for name, value in actual.items():
        np.testing.assert_allclose(value, expected[name], atol=1e-6, err_msg=name)


@NEEDS_MUON
def test_muon_makes_the_update_of_a_kernel_nearly_orthogonal():
    rng = np.random.default_rng(0)
    gradient = {
        name: jnp.asarray(rng.normal(size=x.shape), jnp.float32)
        for name, x in PARAMETERS.items()
    }
    zeros = jax.tree.map(jnp.zeros_like, PARAMETERS)
    updates = update(gradient, zeros, method="muon")
    # A kernel is a matrix of 18 inputs and 4 outputs, with singular values near 1 times
    # 0.2 sqrt(18): Newton-Schulz iterations end between 0.7 and 1.2.
    matrix = -updates[KERNEL].reshape(18, 4) / RATE
    left, _, right = np.linalg.svd(np.asarray(gradient[KERNEL]).reshape(18, 4), False)
    coordinates = left.T @ matrix @ right.T / (0.2 * np.sqrt(18))
    np.testing.assert_allclose(coordinates, np.diag(np.diag(coordinates)), atol=1e-3)
    assert 0.6 < np.diag(coordinates).min() <= np.diag(coordinates).max() < 1.3
    bias = "transforms/analysis/layers/0/bias"
    # Adam's first step, which some versions of Optax lengthen by Nesterov's momentum.
    step = -np.asarray(updates[bias]) * np.sign(gradient[bias]) / RATE
    np.testing.assert_allclose(step, step[0], rtol=1e-4)
    assert step[0] == pytest.approx(1, rel=1e-4) or 1.4 < step[0] < 1.5


def test_muon_of_an_old_optax_is_refused_by_version(monkeypatch):
    monkeypatch.setattr(contrib, "muon", lambda learning_rate, weight_decay: None)
    with pytest.raises(UserError, match=r"needs Optax 0\.2\.7 or newer, but \d"):
        OptimizerConfig(method="muon").transformation(ONE_STEP)


def test_learning_rates_follow_the_rule_of_the_batch():
    def peak(rule, batch, **stage):
        config = TrainConfig(
            steps=10,
            optimizer=OptimizerConfig(
                learning_rate=1e-4,
                schedule="constant",
                batch_scaling=rule,
                reference_batch_size=16,
            ),
            data=DataConfig(batch_size=batch),
            stages=(StageConfig(start=5, **stage),) if stage else (),
        )
        rates = [
            stage.static_config.learning_rate(jnp.int32(stage.start)).item()
            for stage in config.run_stages()
        ]
        assert rates[0] == config.static_config.learning_rate(jnp.int32(0)).item()
        return rates

    assert peak("none", 64) == pytest.approx([1e-4])
    assert peak("square_root", 64) == pytest.approx([2e-4])
    assert peak("linear", 64) == pytest.approx([4e-4])
    assert peak("linear", 4) == pytest.approx([2.5e-5])
    assert peak("square_root", 64, batch_size=16) == pytest.approx([2e-4, 1e-4])
    assert peak("linear", 64, learning_rate=1e-5) == pytest.approx([4e-4, 4e-5])
    with pytest.raises(UserError, match="reference_batch_size must be at least 1"):
        OptimizerConfig(reference_batch_size=0)
