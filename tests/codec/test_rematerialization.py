"""Activations that the backward pass computes again."""

import functools
import types

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.ad_checkpoint import print_saved_residuals

from jaxcorr.rematerialization import apply_chain, rematerialized

pytestmark = pytest.mark.fast

WEIGHTS = jnp.linspace(0.1, 0.9, 5)


class Chain:
    """Five layers with two activations each."""

    def __init__(self, weights):
        self.layers = [lambda x, w=w: jnp.sin(jnp.cos(w * x)) for w in weights]

    def __call__(self, x):
        for layer in self.layers:
            x = layer(x)
        return x


def loss(weights, kind):
    return apply_chain(Chain(weights), jnp.ones(7), kind).sum()


@pytest.mark.parametrize("kind", ["transforms", "all"])
def test_gradients_do_not_change(kind):
    expected = jax.grad(loss)(WEIGHTS, "none")
    np.testing.assert_allclose(jax.grad(loss)(WEIGHTS, kind), expected, rtol=1e-6)


def test_the_backward_pass_keeps_no_activation(capsys):
    counts = {}
    for kind in ("none", "transforms", "all"):
        print_saved_residuals(functools.partial(loss, kind=kind), WEIGHTS)
        lines = capsys.readouterr().out.splitlines()
        counts[kind] = sum("f32[7]" in line for line in lines)
    assert counts["none"] >= 10
    assert counts["transforms"] <= 1 and counts["all"] <= 1


def test_only_everything_includes_other_functions():
    function = types.SimpleNamespace
    assert rematerialized(function, "transforms") is function
    again = jax.make_jaxpr(jax.grad(rematerialized(lambda x: jnp.sin(x) ** 2, "all")))
    assert str(again(1.0)).count("sin") > 1
