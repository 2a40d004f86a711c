"""Computes activations again in the backward pass, in place of keeping them."""

from collections.abc import Callable
from typing import Any, Literal

import jax
from jaxtyping import Array

Rematerialization = Literal["none", "transforms", "all"]
"""Activations to compute again: none, of each transform, or also of each layer."""


def apply_chain(chain: Any, x: Array, kind: Rematerialization) -> Array:
    """Applies layers one after another.

    Args:
      chain: A module with `layers`, which calls them in turn.
      x: Input of the first layer.
      kind: With `transforms`, only `x` is kept for the backward pass, which computes
        the activations of the whole chain again. With `all`, it then keeps the inputs
        of the layers, and computes what is inside of a layer once more.
    """
    if kind == "none":
        return chain(x)
    if kind == "transforms":
        return jax.checkpoint(lambda x: chain(x))(x)

    def layer_by_layer(x: Array) -> Array:
        for layer in chain.layers:
            x = jax.checkpoint(lambda x, layer=layer: layer(x))(x)
        return x

    return jax.checkpoint(layer_by_layer)(x)


def rematerialized(function: Callable, kind: Rematerialization) -> Callable:
    """Returns a function whose inside is computed again if everything is."""
    if kind != "all":
        return function
    return jax.checkpoint(lambda *arguments: function(*arguments))
