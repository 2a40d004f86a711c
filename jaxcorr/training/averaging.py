"""The exponential moving average of the parameters, which evaluations use."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Int, PyTree

WARMUP_STEPS = 10
"""The decay of an average starts at 1 over this number of steps."""


class AverageState(NamedTuple):
    """State of `average_parameters`.

    Attributes:
      count: Steps taken.
      average: Exponential moving average of the parameters after each step.
    """

    count: Int[Array, "*members"]
    average: PyTree


def average_parameters(decay: float) -> optax.GradientTransformation:
    """Returns a transformation that averages parameters and keeps updates as they are.

    It must be the last one of a chain, since it adds the updates to the parameters.
    The average is a part of the optimizer's state, so a state without one has the same
    structure as in earlier versions.

    Args:
      decay: Decay per step. Step n (from 0) uses (1 + n) / (10 + n) while that is
        lower, since the initial parameters are random.
    """

    def init(params: Any) -> AverageState:
        return AverageState(jnp.int32(0), jax.tree.map(jnp.copy, params))

    def update(updates: Any, state: Any, params: Any = None):
        updated = optax.apply_updates(params, updates)
        early = (1 + state.count) / (WARMUP_STEPS + state.count)
        rate = 1 - jnp.minimum(decay, early)
        average = optax.incremental_update(updated, state.average, rate)
        return updates, AverageState(state.count + 1, average)

    return optax.GradientTransformation(init, update)


def average_of(optimizer_state: PyTree) -> PyTree | None:
    """Returns the average of the parameters in a state; None if it has none."""
    nodes = jax.tree.leaves(
        optimizer_state, is_leaf=lambda node: isinstance(node, AverageState)
    )
    averages = [node.average for node in nodes if isinstance(node, AverageState)]
    return averages[0] if averages else None
