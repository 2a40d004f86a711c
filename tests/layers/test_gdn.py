"""Generalized divisive normalization against its formula."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from support.reference_layers import apply_gdn, check_dtypes, inputs, randomize

from jaxcorr.layers.gdn import GDN


@pytest.mark.fast
@pytest.mark.parametrize("inverse", [False, True])
@pytest.mark.parametrize("shape", [(2, 3, 4, 5), (7, 1, 1, 1)])
def test_gdn_equals_its_formula(shape, inverse):
    layer = randomize(GDN(shape[-1], inverse=inverse))
    x = inputs(*shape)
    expected = apply_gdn(x, layer, inverse)
    np.testing.assert_allclose(layer(jnp.asarray(x)), expected, rtol=1e-5)


@pytest.mark.parametrize("inverse", [False, True])
@pytest.mark.parametrize("shape", [(1, 6, 6, 3), (2, 1, 3, 3)])
def test_gdn_computes_in_the_dtype_of_its_input(shape, inverse):
    layer, x = randomize(GDN(3, inverse=inverse)), inputs(*shape)
    check_dtypes(layer, x, apply_gdn(x, layer, inverse))


@pytest.mark.parametrize("inverse", [False, True])
def test_initial_gdn_has_beta_1_and_gamma_a_tenth_of_the_identity(inverse):
    x = inputs(4, 5, 1, 3)
    factor = np.sqrt(1 + 0.1 * x**2)
    expected = x * factor if inverse else x / factor
    output = GDN(3, inverse=inverse)(jnp.asarray(x))
    np.testing.assert_allclose(output, expected, rtol=1e-6)


def test_gradient_descent_returns_gdn_parameters_to_their_range():
    layer = GDN(2)
    layer.beta_root[...] = jnp.array([-1.0, -1.0])
    layer.gamma_root[...] = jnp.full((2, 2), -1.0)
    graph, state = nnx.split(layer)
    x = jnp.ones((1, 1, 1, 2))
    gradient = jax.grad(lambda state: jnp.sum(nnx.merge(graph, state)(x)))(state)
    # More energy means less output, so descent raises both parameters.
    for leaf in jax.tree.leaves(gradient):
        assert jnp.all(jnp.isfinite(leaf) & (leaf < 0))


def test_gdn_has_a_finite_gradient_at_zero():
    gradient = jax.grad(lambda x: jnp.sum(GDN(3)(x)))(jnp.zeros((1, 1, 1, 3)))
    np.testing.assert_allclose(gradient, np.ones((1, 1, 1, 3)), rtol=1e-6)
