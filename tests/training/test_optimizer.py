import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxcorr.training.optimizer import OptimizerConfig


@pytest.mark.fast
def test_the_learning_rate_rises_linearly_and_drops_once():
    optimizer = OptimizerConfig(
        learning_rate=1.0, warmup_steps=4, drop_at=0.8, drop_factor=0.1
    )
    rate = optimizer.schedule(steps=10)
    np.testing.assert_allclose(
        [np.asarray(rate(step)) for step in range(10)],
        [0.25, 0.5, 0.75, 1, 1, 1, 1, 1, 0.1, 0.1],
        rtol=1e-6,
    )
    assert OptimizerConfig(learning_rate=1.0).schedule(10)(0) == 1  # No warm-up.


@pytest.mark.fast
def test_only_gradients_above_the_clip_norm_are_scaled_down():
    def first_moment(scale):
        transformation = OptimizerConfig(gradient_clip=2.0).transformation(10)
        parameters = {"a": jnp.zeros(3), "b": jnp.zeros(1)}
        gradient = {"a": scale * jnp.array([2.0, 0, 1]), "b": scale * jnp.array([2.0])}
        _, state = transformation.update(gradient, transformation.init(parameters))
        mu = optax.tree.get(state, "mu")
        return 10 * np.concatenate([mu["a"], mu["b"]])  # Adam keeps a tenth of it.

    direction = np.array([2.0, 0, 1, 2])  # Of length 3.
    np.testing.assert_allclose(first_moment(0.5), 0.5 * direction, rtol=1e-6)
    np.testing.assert_allclose(first_moment(50.0), 2 / 3 * direction, rtol=1e-6)
