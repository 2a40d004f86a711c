"""Later names of what the oldest supported JAX and Flax call otherwise or lack."""

from collections.abc import Callable
from typing import Any

import jax
import jax.experimental
from flax import nnx
from jax.sharding import PartitionSpec
from jaxtyping import PyTree

if hasattr(jax, "enable_x64"):
    enable_x64 = jax.enable_x64
else:  # Before jax 0.8.
    enable_x64 = jax.experimental.enable_x64  # pyright: ignore


def constrain_sharding(tree: PyTree, spec: PartitionSpec) -> PyTree:
    """Constrains how arrays are sharded over the current mesh.

    Before jax 0.8 a program of one group of devices, inside `jax.shard_map`, cannot
    constrain them. The compiler then chooses, which may take more memory.
    """
    try:
        return jax.lax.with_sharding_constraint(tree, spec)
    except NotImplementedError:
        return tree


if hasattr(nnx, "List"):
    List, Sequential = nnx.List, nnx.Sequential
else:  # Before flax 0.12, where a list in a module cannot hold functions.

    class _Function(nnx.Module):
        def __init__(self, function: Callable[..., Any]):
            self.function = function

        def __call__(self, *inputs: Any) -> Any:
            return self.function(*inputs)

    class _Sequential(nnx.Sequential):
        def __init__(self, *layers: Callable[..., Any]):
            super().__init__(
                *(x if isinstance(x, nnx.Module) else _Function(x) for x in layers)
            )

    List, Sequential = list, _Sequential  # pyright: ignore


def value_of(variable: nnx.Variable) -> Any:
    """Returns the array of a variable, or its abstract value."""
    if hasattr(nnx.Variable, "get_value"):
        return variable.get_value()
    return variable.value  # Before flax 0.12.
