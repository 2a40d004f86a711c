"""Optimizers, learning-rate schedules and the average of the parameters."""

import dataclasses
import importlib
import itertools
import math
from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Int, PyTree

from jaxcorr import serialization
from jaxcorr.errors import FieldError, require

METHODS = {"adam": optax.adam, "adamw": optax.adamw}
"""Optimizers that have a name of their own."""

AVERAGE_WARMUP = 10
"""Steps whose influence on the early average is limited to a tenth each."""


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

    It must be the last in a chain, since it adds the updates to the parameters. The
    average is in its state, so that checkpoints without one keep their structure.

    Args:
      decay: Decay per step. Early steps use a lower one, (1 + step) / (10 + step),
        since the initial parameters are random.
    """

    def init(params: Any) -> AverageState:
        return AverageState(jnp.int32(0), jax.tree.map(jnp.copy, params))

    def update(updates: Any, state: Any, params: Any = None):
        updated = optax.apply_updates(params, updates)
        early = (1 + state.count) / (AVERAGE_WARMUP + state.count)
        rate = 1 - jnp.minimum(decay, early)
        average = optax.incremental_update(updated, state.average, rate)
        return updates, AverageState(state.count + 1, average)

    return optax.GradientTransformation(init, update)


def averaged_parameters(optimizer_state: PyTree) -> PyTree | None:
    """Returns the average of the parameters in a state; None if it has none."""
    states = jax.tree.leaves(
        optimizer_state, is_leaf=lambda node: isinstance(node, AverageState)
    )
    averages = [node.average for node in states if isinstance(node, AverageState)]
    return averages[0] if averages else None


@serialization.stored("Optimizer")
@dataclasses.dataclass(frozen=True, kw_only=True)
class OptimizerConfig:
    """Optimizer, gradient clipping, learning-rate schedule and parameter average."""

    method: str = "adam"
    """Optimizer: `adam`, `adamw`, or the place of a factory that takes the learning
    rate, as `optax:lion`."""
    weight_decay: float = 1e-4
    """Weight decay of `adamw`. Other optimizers do not use it."""
    learning_rate: float = 1e-4
    """Peak learning rate."""
    warmup_steps: int = 0
    """Steps over which the learning rate rises linearly from 0 to its peak."""
    schedule: Literal["drop", "constant", "cosine", "stable_decay"] = "drop"
    """Learning rate after the warm-up. `drop`: constant but for drops. `constant`: the
    peak. `cosine`: half a period of a cosine over all steps. `stable_decay`: constant,
    then linear decay."""
    drop_at: float | Sequence[float] = 0.8
    """Fractions of all steps, from 0 to 1, after which the learning rate drops. Only
    the schedule `drop` uses them."""
    drop_factor: float = 0.1
    """Factor by which the learning rate is multiplied at each drop."""
    decay_fraction: float = 0.2
    """Fraction of all steps that the decay of `stable_decay` takes, at the end."""
    final_factor: float = 0.0
    """Learning rate at the end of `cosine` and `stable_decay`, as a factor of its
    peak."""
    gradient_clip: float = 1.0
    """Maximum L2 norm of the gradient of all parameters. Larger gradients are scaled
    down to this norm."""
    ema_decay: float = 0.0
    """Decay per step of the exponential moving average of the parameters, which
    evaluation and model folders use. 0 for no average: they use the parameters."""

    def __post_init__(self):
        """Checks the range of every field."""
        if isinstance(self.drop_at, list):  # A tuple is hashable.
            object.__setattr__(self, "drop_at", tuple(self.drop_at))
        positive = "positive and finite"
        rate, drop = self.learning_rate, self.drop_factor
        is_method = self.method in METHODS or self.method.count(":") == 1
        require(self, "method", "adam, adamw or MODULE:FUNCTION", is_method)
        decay = self.weight_decay
        require(self, "weight_decay", "0 or more and finite", 0 <= decay < math.inf)
        require(self, "learning_rate", positive, 0 < rate < math.inf)
        require(self, "warmup_steps", "0 or more", self.warmup_steps >= 0)
        drops = self._drops()
        in_range = all(0 <= fraction <= 1 for fraction in drops)
        require(self, "drop_at", "from 0 to 1", in_range)
        is_ascending = all(x < y for x, y in itertools.pairwise(drops))
        require(self, "drop_at", "in ascending order", is_ascending)
        require(self, "drop_factor", positive, 0 < drop < math.inf)
        require(self, "decay_fraction", "from 0 to 1", 0 <= self.decay_fraction <= 1)
        require(self, "final_factor", "from 0 to 1", 0 <= self.final_factor <= 1)
        require(self, "gradient_clip", "positive", self.gradient_clip > 0)
        is_decay = 0 <= self.ema_decay < 1
        require(self, "ema_decay", "at least 0 and below 1", is_decay)

    def schedule_over(self, steps: int) -> optax.Schedule:
        """Returns the learning rate as a function of the step.

        Args:
          steps: Length of the run, in steps.
        """

        def rate(step):
            rise = jnp.minimum(1.0, (step + 1) / max(self.warmup_steps, 1))
            return self.learning_rate * rise * self._factor(step, steps)

        return rate

    def transformation(self, steps: int) -> optax.GradientTransformation:
        """Returns the Optax optimizer.

        Args:
          steps: Length of the run, in steps.

        Raises:
          FieldError: If `method` names a factory that cannot be imported or called.
        """
        average = [average_parameters(self.ema_decay)] if self.ema_decay else []
        return optax.chain(
            optax.clip_by_global_norm(self.gradient_clip),
            self._optimizer(self.schedule_over(steps)),
            *average,
        )

    def _factor(self, step, steps: int):
        """Returns the learning rate at a step, relative to its peak."""
        if self.schedule == "constant":
            return 1.0
        if self.schedule == "drop":
            factor = 1.0
            for fraction in self._drops():
                drop = round(fraction * steps)
                factor *= jnp.where(step < drop, 1.0, self.drop_factor)
            return factor
        if self.schedule == "cosine":
            left = 0.5 + 0.5 * jnp.cos(jnp.pi * jnp.minimum(step / steps, 1.0))
        else:
            decay_steps = max(round(self.decay_fraction * steps), 1)
            left = jnp.clip((steps - step) / decay_steps, 0.0, 1.0)
        return self.final_factor + (1 - self.final_factor) * left

    def _drops(self) -> tuple[float, ...]:
        drops = self.drop_at
        return (drops,) if isinstance(drops, int | float) else tuple(drops)

    def _optimizer(self, rate: optax.Schedule) -> optax.GradientTransformation:
        if self.method == "adamw":
            return optax.adamw(rate, weight_decay=self.weight_decay)
        if self.method in METHODS:
            return METHODS[self.method](rate)
        module, _, name = self.method.partition(":")
        try:
            return getattr(importlib.import_module(module), name)(rate)
        except (ImportError, AttributeError, TypeError) as error:
            problem = f"{self.method} is not a factory of an optimizer: {error}"
            raise FieldError(self, "method", problem) from error
