from typing import Any

import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxcorr.errors import UserError
from jaxcorr.training.averaging import average_of
from jaxcorr.training.optimizer import OptimizerConfig, Period

TEN_STEPS = Period(0, 10)


@pytest.mark.fast
def test_the_learning_rate_rises_linearly_and_drops_once():
    optimizer = OptimizerConfig(
        learning_rate=1.0, warmup_steps=4, drop_at=0.8, drop_factor=0.1
    )
    rate = optimizer.learning_rates(TEN_STEPS)
    np.testing.assert_allclose(
        [np.asarray(rate(step)) for step in range(10)],
        [0.25, 0.5, 0.75, 1, 1, 1, 1, 1, 0.1, 0.1],
        rtol=1e-6,
    )
    assert (
        OptimizerConfig(learning_rate=1.0).learning_rates(TEN_STEPS)(0) == 1
    )  # No warm-up.


def rates(steps, **settings):
    schedule = OptimizerConfig(learning_rate=2.0, **settings).learning_rates(
        Period(0, steps)
    )
    return [np.asarray(schedule(step)).item() for step in range(steps)]


@pytest.mark.fast
def test_schedules_have_known_values():
    assert rates(3, schedule="constant") == [2, 2, 2]
    assert rates(6, drop_at=(1 / 3, 2 / 3), drop_factor=0.5) == [2, 2, 1, 1, 0.5, 0.5]
    half = np.cos(np.pi * np.arange(8) / 8) / 2 + 0.5
    cosine = rates(8, schedule="cosine", final_factor=0.1)
    np.testing.assert_allclose(cosine, 0.2 + 1.8 * half, rtol=1e-6)
    decay = rates(8, schedule="stable_decay", decay_fraction=0.5, warmup_steps=2)
    np.testing.assert_allclose(decay, [1, 2, 2, 2, 2, 1.5, 1, 0.5], rtol=1e-6)


@pytest.mark.fast
@pytest.mark.parametrize("method", ["adam", "adamw", "optax:lion", "optax:sgd"])
def test_methods_take_the_steps_of_optax(method):
    factory = {
        "adam": optax.adam(0.1),
        "adamw": optax.adamw(0.1, weight_decay=0.5),
        "optax:lion": optax.lion(0.1),
        "optax:sgd": optax.sgd(0.1),
    }[method]
    parameters, gradient = jnp.array([[1.0, -2.0, 3.0], [0.1, 0.2, -0.3]])
    expected, _ = factory.update(gradient, factory.init(parameters), parameters)
    transformation = OptimizerConfig(
        method=method, learning_rate=0.1, weight_decay=0.5, schedule="constant"
    ).transformation(TEN_STEPS)
    state = transformation.init(parameters)
    updates, _ = transformation.update(gradient, state, parameters)
    np.testing.assert_allclose(np.asarray(updates), np.asarray(expected), rtol=1e-6)


@pytest.mark.fast
@pytest.mark.parametrize("method", ["optax:nothing", "no_module:adam", "math:pi"])
def test_a_method_that_is_not_a_factory_is_refused_by_name(method):
    with pytest.raises(
        UserError, match=f"must be a factory of an optimizer, but {method}"
    ):
        OptimizerConfig(method=method).transformation(TEN_STEPS)


@pytest.mark.fast
def test_average_follows_the_parameters_with_a_decay_that_rises():
    transformation = OptimizerConfig(
        method="optax:sgd", learning_rate=1.0, schedule="constant", ema_decay=0.3
    ).transformation(TEN_STEPS)
    parameters: Any = jnp.float32(8.0)
    state = transformation.init(parameters)
    assert average_of(state) == parameters
    average, decays = 8.0, [1 / 10, 2 / 11, 3 / 12, 0.3, 0.3]
    for step, decay in enumerate(decays):
        updates, state = transformation.update(jnp.float32(0.5), state, parameters)
        parameters = optax.apply_updates(parameters, updates)
        assert parameters == 7.5 - 0.5 * step
        average = decay * average + (1 - decay) * (7.5 - 0.5 * step)
        assert average_of(state) == pytest.approx(average, rel=1e-6)
    plain = OptimizerConfig().transformation(TEN_STEPS)
    assert average_of(plain.init(parameters)) is None


@pytest.mark.fast
def test_only_gradients_above_the_clip_norm_are_scaled_down():
    def first_moment(scale):
        transformation = OptimizerConfig(gradient_clip=2.0).transformation(TEN_STEPS)
        parameters = {"a": jnp.zeros(3), "b": jnp.zeros(1)}
        gradient = {"a": scale * jnp.array([2.0, 0, 1]), "b": scale * jnp.array([2.0])}
        _, state = transformation.update(gradient, transformation.init(parameters))
        mu = optax.tree.get(state, "mu")
        return 10 * np.concatenate([mu["a"], mu["b"]])  # Adam keeps a tenth of it.

    direction = np.array([2.0, 0, 1, 2])  # Of length 3.
    np.testing.assert_allclose(first_moment(0.5), 0.5 * direction, rtol=1e-6)
    np.testing.assert_allclose(first_moment(50.0), 2 / 3 * direction, rtol=1e-6)
