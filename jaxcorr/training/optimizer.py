"""Adam with gradient clipping and a learning-rate schedule."""

import dataclasses
import math

import jax.numpy as jnp
import optax

from jaxcorr import serialization
from jaxcorr.errors import require


@serialization.stored("Optimizer")
@dataclasses.dataclass(frozen=True, kw_only=True)
class OptimizerConfig:
    """Adam with gradient clipping, linear warm-up and one drop of the learning rate."""

    learning_rate: float = 1e-4
    """Peak learning rate of Adam."""
    warmup_steps: int = 0
    """Steps over which the learning rate rises linearly from 0 to its peak."""
    drop_at: float = 0.8
    """Fraction of all steps, from 0 to 1, after which the learning rate drops."""
    drop_factor: float = 0.1
    """Factor by which the learning rate is multiplied at the drop."""
    gradient_clip: float = 1.0
    """Maximum L2 norm of the gradient of all parameters. Larger gradients are scaled
    down to this norm."""

    def __post_init__(self):
        """Checks the range of every field."""
        positive = "positive and finite"
        rate, drop = self.learning_rate, self.drop_factor
        require(self, "learning_rate", positive, 0 < rate < math.inf)
        require(self, "warmup_steps", "0 or more", self.warmup_steps >= 0)
        require(self, "drop_at", "from 0 to 1", 0 <= self.drop_at <= 1)
        require(self, "drop_factor", positive, 0 < drop < math.inf)
        require(self, "gradient_clip", "positive", self.gradient_clip > 0)

    def schedule(self, steps: int) -> optax.Schedule:
        """Returns the learning rate as a function of the step.

        Args:
          steps: Length of the run, in steps.
        """
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
        """Returns the Optax optimizer.

        Args:
          steps: Length of the run, in steps.
        """
        return optax.chain(
            optax.clip_by_global_norm(self.gradient_clip),
            optax.adam(self.schedule(steps)),
        )
