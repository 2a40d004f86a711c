"""The factorized prior against its definition in NumPy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from jaxcorr import compatibility
from jaxcorr.entropy.factorized import FactorizedPrior

CHANNELS = 5


@pytest.fixture(scope="module")
def prior():
    return perturb(FactorizedPrior(CHANNELS, rngs=nnx.Rngs(0)))


def perturb(prior):
    """Moves all parameters, so that channels differ in width and gates are open."""
    rng = np.random.default_rng(0)
    for parameters, deviation in [
        (prior.matrices, 0.5),
        (prior.biases, 1.0),
        (prior.gates, 1.0),
    ]:
        for parameter in parameters:
            change = rng.normal(scale=deviation, size=parameter.shape)
            parameter[...] += jnp.asarray(change, jnp.float32)
    return prior


def softplus(x):
    return np.log1p(np.exp(np.asarray(x, np.float64)))


def cumulative(prior, values):
    """Computes the cumulative probability of each channel by definition, in float64."""
    out = np.empty(values.shape)
    for channel, row in enumerate(np.asarray(values, np.float64)):
        hidden = row[None]
        for index, matrix in enumerate(prior.matrices):
            hidden = softplus(matrix[channel]) @ hidden
            hidden = hidden + np.asarray(prior.biases[index][channel])[:, None]
            if index < len(prior.gates):
                gate = np.tanh(np.asarray(prior.gates[index][channel], np.float64))
                hidden = hidden + gate[:, None] * np.tanh(hidden)
        out[channel] = 1 / (1 + np.exp(-hidden[0]))
    return out


@pytest.mark.fast
def test_logits_equal_the_definition(prior):
    values = np.random.default_rng(1).normal(scale=5, size=(CHANNELS, 40))
    expected = cumulative(prior, values)
    probability = jax.nn.sigmoid(prior.logits(jnp.asarray(values, jnp.float32)))
    np.testing.assert_allclose(probability, expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("widths", [(), (3, 3), (2, 5, 1)])
def test_hidden_widths_can_be_chosen(widths):
    prior = FactorizedPrior(CHANNELS, hidden_widths=widths, rngs=nnx.Rngs(0))
    prior = perturb(prior)
    assert [len(bias[0]) for bias in prior.biases] == [*widths, 1]
    values = np.random.default_rng(1).normal(scale=5, size=(CHANNELS, 40))
    expected = cumulative(prior, values)
    probability = jax.nn.sigmoid(prior.logits(jnp.asarray(values, jnp.float32)))
    np.testing.assert_allclose(probability, expected, rtol=1e-4, atol=1e-6)
    median = np.asarray(prior.median())[:, None]
    np.testing.assert_allclose(cumulative(prior, median), 0.5, rtol=1e-3)


@pytest.mark.fast
def test_bits_equal_the_differences_of_cumulative_probabilities(prior):
    values = np.random.default_rng(1).normal(scale=2, size=(2, 3, 4, CHANNELS))
    flat = values.reshape(-1, CHANNELS).T
    probability = cumulative(prior, flat + 0.5) - cumulative(prior, flat - 0.5)
    expected = -np.log2(probability).T.reshape(values.shape)
    bits = prior.bits(jnp.asarray(values, jnp.float32))
    np.testing.assert_allclose(bits, expected, rtol=1e-4, atol=1e-4)


def test_cumulative_probability_rises_from_0_to_1(prior):
    values = jnp.broadcast_to(jnp.linspace(-1e3, 1e3, 20001), (CHANNELS, 20001))
    logits = prior.logits(values)
    assert jnp.all(jnp.diff(logits, axis=1) > 0)
    assert jnp.all(logits[:, 0] < -20)
    assert jnp.all(logits[:, -1] > 20)


def test_probabilities_of_all_integers_sum_to_1(prior):
    offset = jnp.linspace(-0.5, 0.5, CHANNELS)
    values = jnp.arange(-2000.0, 2001.0)[:, None] + offset[None]
    total = jnp.sum(jnp.exp2(-prior.bits(values)), axis=0)
    np.testing.assert_allclose(total, np.ones(CHANNELS), rtol=1e-4)


@pytest.mark.fast
@pytest.mark.parametrize("probability", [1e-6, 0.1, 0.5, 0.99])
def test_quantiles_invert_the_cumulative_probability(prior, probability):
    values = np.asarray(prior.quantile(probability))[:, None]
    np.testing.assert_allclose(cumulative(prior, values), probability, rtol=1e-3)


def test_median_is_the_middle_quantile_and_has_no_gradient(prior):
    np.testing.assert_array_equal(prior.median(), prior.quantile(0.5))
    graph, state = nnx.split(prior)
    gradient = jax.grad(lambda state: jnp.sum(nnx.merge(graph, state).median()))(state)
    assert all(jnp.all(leaf == 0) for leaf in jax.tree.leaves(gradient))


def test_median_of_another_prior_compiles_nothing(prior, caplog):
    def compilations():
        return [record for record in caplog.records if "ompil" in record.message]

    graph, state = nnx.split(prior)
    another = nnx.merge(graph, jax.tree.map(lambda x: x + 0.25, state))
    prior.median()
    with jax.log_compiles():
        another.median()
    assert not compilations()
    with jax.log_compiles():  # Another probability shows that compilations are logged.
        another.quantile(0.123)
    assert compilations()


@pytest.mark.parametrize("distance", [1e2, -1e4, 1e6])
def test_outliers_have_finite_bits_and_gradients_that_lower_them(prior, distance):
    graph, state = nnx.split(prior)

    def total(state, values):
        return jnp.sum(nnx.merge(graph, state).bits(values))

    values = jnp.full((1, CHANNELS), distance)
    assert jnp.all(jnp.isfinite(prior.bits(values)))
    to_state, to_values = jax.grad(total, (0, 1))(state, values)
    assert all(jnp.all(jnp.isfinite(leaf)) for leaf in jax.tree.leaves(to_state))
    assert jnp.all(jnp.isfinite(to_values))
    assert jnp.all(to_values * jnp.sign(distance) > 0)


@pytest.mark.fast
def test_likelihood_bound_limits_the_bits_and_keeps_a_gradient(prior):
    values = jnp.full((1, CHANNELS), 1e4)
    bits = prior.bits(values, likelihood_bound=1e-9)
    np.testing.assert_allclose(bits, np.full((1, CHANNELS), 9 * np.log2(10)), 1e-6)

    def total(values):
        return jnp.sum(prior.bits(values, likelihood_bound=1e-9))

    assert jnp.all(jax.grad(total)(values) > 0)


def test_bits_of_float64_values_have_float64_accuracy(prior):
    with compatibility.enable_x64(True):
        values = np.random.default_rng(1).normal(size=(20, CHANNELS))
        probability = cumulative(prior, values.T + 0.5) - cumulative(
            prior, values.T - 0.5
        )
        bits = prior.bits(jnp.asarray(values))
        assert bits.dtype == jnp.float64
        np.testing.assert_allclose(bits, -np.log2(probability).T, rtol=1e-10)


def test_initial_densities_are_wide_and_around_zero():
    prior = FactorizedPrior(CHANNELS, rngs=nnx.Rngs(0))
    assert jnp.all(jnp.abs(prior.median()) < 10)
    interquartile_range = prior.quantile(0.75) - prior.quantile(0.25)
    assert jnp.all((interquartile_range > 5) & (interquartile_range < 50))
