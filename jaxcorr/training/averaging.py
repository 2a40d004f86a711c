"""Exponential moving averages over steps: of parameters, and of statistics."""

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


class StatisticsAverage(NamedTuple):
    """Average over steps of the statistics that the correlation term depends on.

    Attributes:
      count: Steps in the average.
      average: Exponential moving average; zeros before the first step.
    """

    count: Int[Array, "*members"]
    average: PyTree

    def updated(self, statistics: PyTree, decay: float) -> "StatisticsAverage":
        """Returns the average with one more step.

        Args:
          statistics: Statistics of the step.
          decay: Decay per step. The first 1 / (1 - decay) steps have equal weights, so
            that the zeros do not count.
        """
        rate = jnp.maximum(1 - decay, 1 / (self.count + 1))
        average = optax.incremental_update(statistics, self.average, rate)
        return StatisticsAverage(self.count + 1, average)


def empty_average(statistics: PyTree) -> StatisticsAverage:
    """Returns the average of no step.

    Args:
      statistics: Statistics, or their shapes and dtypes.
    """
    zeros = jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), statistics)
    return StatisticsAverage(jnp.int32(0), zeros)
