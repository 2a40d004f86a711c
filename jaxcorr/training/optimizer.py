"""Adam with clipped gradients and a schedule of the learning rate."""

import dataclasses
import math

import jax.numpy as jnp
import optax

from jaxcorr import serialization
from jaxcorr.errors import require


@serialization.stored("Optimizer")
@dataclasses.dataclass(frozen=True, kw_only=True)
class OptimizerConfig:
    """How gradients become steps."""

    learning_rate: float = 1e-4
    """Highest step size of Adam."""
    warmup_steps: int = 0
    """Steps over which the learning rate rises from zero."""
    drop_at: float = 0.8
    """Fraction of all steps after which the learning rate is lower."""
    drop_factor: float = 0.1
    """What the learning rate is multiplied by at the drop."""
    gradient_clip: float = 1.0
    """Largest norm of the whole gradient; a longer one is scaled down to it."""

    def __post_init__(self):
        """Checks the ranges."""
        positive = "positive and finite"
        rate, drop = self.learning_rate, self.drop_factor
        require(self, "learning_rate", positive, 0 < rate < math.inf)
        require(self, "warmup_steps", "0 or more", self.warmup_steps >= 0)
        require(self, "drop_at", "from 0 to 1", 0 <= self.drop_at <= 1)
        require(self, "drop_factor", positive, 0 < drop < math.inf)
        require(self, "gradient_clip", "positive", self.gradient_clip > 0)

    def schedule(self, steps: int) -> optax.Schedule:
        """Learning rate at each step of a run of this length."""
        drop = round(self.drop_at * steps)

        def rate(step):
            rise = jnp.minimum(1.0, (step + 1) / max(self.warmup_steps, 1))
            return (
                self.learning_rate
                * rise
                * jnp.where(step < drop, 1.0, self.drop_factor)
            )

        return rate

    def transformation(self, steps: int) -> optax.GradientTransformation:
        """The optimizer of a run of this length."""
        return optax.chain(
            optax.clip_by_global_norm(self.gradient_clip),
            optax.adam(self.schedule(steps)),
        )
