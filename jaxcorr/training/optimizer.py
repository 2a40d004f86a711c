"""The optimizer: gradient clipping, learning-rate schedule, parameter average."""

import dataclasses
import itertools
import math
from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

import jax.numpy as jnp
import optax

from jaxcorr import serialization
from jaxcorr.errors import FieldError, UserError, require
from jaxcorr.training import factories, parameter_groups
from jaxcorr.training.averaging import average_parameters
from jaxcorr.training.muon import muon

METHODS = ("adam", "adamw", "lamb", "muon")
"""Optimizers that settings name without their module."""


class Period(NamedTuple):
    """The steps that a learning-rate schedule spans.

    Attributes:
      start: Steps taken before the first one.
      steps: Number of steps.
    """

    start: int
    steps: int


@serialization.stored("Optimizer")
@dataclasses.dataclass(frozen=True, kw_only=True)
class OptimizerConfig:
    """Optimizer, gradient clipping, learning-rate schedule and parameter average."""

    method: str = "adam"
    """Optimizer: `adam`, `adamw`, `lamb` (You et al. 2020, for large batches), `muon`
    (Jordan 2024; Adam for what is not a kernel), or MODULE:FUNCTION for a factory that
    takes the learning rate, such as `optax:lion`."""
    weight_decay: float = 1e-4
    """Weight decay of `adamw`, `lamb` and `muon`, relative to the learning rate. Other
    optimizers do not use it."""
    weight_decay_on: Literal["all", "kernels"] = "all"
    """Parameters that decay: `all`, or only the `kernels` of convolutions and linear
    layers, not biases, gains, parameters of GDN and the prior."""
    learning_rate: float = 1e-4
    """Peak learning rate."""
    batch_scaling: Literal["none", "square_root", "linear"] = "none"
    """How learning rates grow with the batch: `square_root` (for Adam, Malladi et al.
    2022) or `linear` (for SGD, Goyal et al. 2017) in its ratio to the reference batch
    size. A stage with another batch size has another rate."""
    reference_batch_size: int = 16
    """Batch size for which the learning rate is meant, in crops. Only a batch scaling
    uses it."""
    warmup_steps: int = 0
    """Steps over which the learning rate rises linearly from 0 to its peak."""
    schedule: Literal["drop", "constant", "cosine", "stable_decay"] = "drop"
    """Learning rate after the warm-up. `drop`: constant between drops. `constant`: the
    peak. `cosine`: half a period of a cosine, over all steps. `stable_decay`: the peak,
    then linear decay at the end (warmup-stable-decay)."""
    drop_at: float | Sequence[float] = 0.8
    """Fractions of all steps, from 0 to 1 and ascending, after which the learning rate
    drops. Only the schedule `drop` uses them."""
    drop_factor: float = 0.1
    """Factor by which the learning rate is multiplied at each drop."""
    decay_fraction: float = 0.2
    """Fraction of all steps, from 0 to 1, that the decay of `stable_decay` takes."""
    final_factor: float = 0.0
    """Learning rate at the end of `cosine` and `stable_decay`, from 0 to 1 times the
    peak."""
    gradient_clip: float = 1.0
    """Maximum L2 norm of the gradient of all parameters. Larger gradients are scaled
    down to this norm."""
    ema_decay: float = 0.0
    """Decay per step of the exponential moving average (EMA) of the parameters, such as
    0.999. Evaluations and model folders use the average. 0 for none: they use the
    parameters of the last step."""

    def __post_init__(self):
        """Checks the range of every field."""
        if isinstance(self.drop_at, list):  # A tuple is hashable.
            object.__setattr__(self, "drop_at", tuple(self.drop_at))
        positive, fraction = "positive and finite", "from 0 to 1"
        rate, drop = self.learning_rate, self.drop_factor
        is_method = self.method in METHODS or factories.is_factory_name(self.method)
        rule = f"{', '.join(METHODS)} or MODULE:FUNCTION"
        require(self, "method", rule, is_method)
        is_size = self.reference_batch_size >= 1
        require(self, "reference_batch_size", "at least 1", is_size)
        decay = self.weight_decay
        require(self, "weight_decay", "0 or more and finite", 0 <= decay < math.inf)
        require(self, "learning_rate", positive, 0 < rate < math.inf)
        require(self, "warmup_steps", "0 or more", self.warmup_steps >= 0)
        drops = self._drops
        in_range = all(0 <= drop_at <= 1 for drop_at in drops)
        require(self, "drop_at", fraction, in_range)
        is_ascending = all(x < y for x, y in itertools.pairwise(drops))
        require(self, "drop_at", "in ascending order", is_ascending)
        require(self, "drop_factor", positive, 0 < drop < math.inf)
        require(self, "decay_fraction", fraction, 0 <= self.decay_fraction <= 1)
        require(self, "final_factor", fraction, 0 <= self.final_factor <= 1)
        require(self, "gradient_clip", "positive", self.gradient_clip > 0)
        is_decay = 0 <= self.ema_decay < 1
        require(self, "ema_decay", "at least 0 and below 1", is_decay)

    def for_batch(self, batch_size: int) -> "OptimizerConfig":
        """Returns the settings with the learning rate of a batch size, in crops."""
        if self.batch_scaling == "none":
            return self
        ratio = batch_size / self.reference_batch_size
        factor = math.sqrt(ratio) if self.batch_scaling == "square_root" else ratio
        return dataclasses.replace(
            self, learning_rate=factor * self.learning_rate, batch_scaling="none"
        )

    def learning_rates(self, period: Period) -> optax.Schedule:
        """Returns the learning rate as a function of the steps taken in the run.

        Args:
          period: Steps of the run that the schedule spans.
        """

        def rate(step):
            taken = step - period.start
            rise = jnp.minimum(1.0, (taken + 1) / max(self.warmup_steps, 1))
            return self.learning_rate * rise * self._factor(taken, period.steps)

        return rate

    def transformation(self, period: Period) -> optax.GradientTransformation:
        """Returns the transformation of gradients to parameter updates.

        Args:
          period: Steps of the run that the learning-rate schedule spans.

        Raises:
          FieldError: If `method` names a factory that cannot be imported or called.
        """
        average = [average_parameters(self.ema_decay)] if self.ema_decay else []
        return optax.chain(
            optax.clip_by_global_norm(self.gradient_clip),
            self._optimizer(self.learning_rates(period)),
            *average,
        )

    @property
    def _drops(self) -> tuple[float, ...]:
        drops = self.drop_at
        return (drops,) if isinstance(drops, int | float) else tuple(drops)

    def _factor(self, step, steps: int):
        """Returns the learning rate at a step, relative to its peak."""
        if self.schedule == "constant":
            return 1.0
        if self.schedule == "drop":
            factor = 1.0
            for fraction in self._drops:
                drop = round(fraction * steps)
                factor *= jnp.where(step < drop, 1.0, self.drop_factor)
            return factor
        if self.schedule == "cosine":
            left = 0.5 + 0.5 * jnp.cos(jnp.pi * jnp.clip(step / steps, 0.0, 1.0))
        else:
            decay_steps = max(round(self.decay_fraction * steps), 1)
            left = jnp.clip((steps - step) / decay_steps, 0.0, 1.0)
        return self.final_factor + (1 - self.final_factor) * left

    def _optimizer(self, rate: optax.Schedule) -> optax.GradientTransformation:
        decay_all = self.weight_decay_on == "all"
        decay: dict[str, Any] = {
            "weight_decay": self.weight_decay,
            "mask": None if decay_all else parameter_groups.kernels,
        }
        match self.method:
            case "adam":
                return optax.adam(rate)
            case "adamw":
                return optax.adamw(rate, **decay)
            case "lamb":
                return optax.lamb(rate, **decay)
            case "muon":
                return muon(rate, weight_decay=self.weight_decay, decay_all=decay_all)
        try:
            return factories.call(self.method, rate)
        except UserError as error:
            problem = f"must be a factory of an optimizer, but {error}"
            raise FieldError(self, "method", problem) from error
