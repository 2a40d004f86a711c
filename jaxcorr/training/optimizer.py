"""Adam with clipped gradients and a schedule of the learning rate."""

import dataclasses
import math

import jax.numpy as jnp
import optax

from jaxcorr import serialization
from jaxcorr.errors import UserError


@serialization.stored("Optimizer")
@dataclasses.dataclass(frozen=True, kw_only=True)
class Optimizer:
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
        """Refuses settings under which nothing would be learned."""
        allowed = {
            "learning_rate": (0 < self.learning_rate < math.inf, "positive and finite"),
            "warmup_steps": (self.warmup_steps >= 0, "0 or more"),
            "drop_at": (0 <= self.drop_at <= 1, "from 0 to 1"),
            "drop_factor": (0 < self.drop_factor < math.inf, "positive and finite"),
            "gradient_clip": (self.gradient_clip > 0, "positive"),
        }
        for name, (within, rule) in allowed.items():
            if not within:
                raise UserError(
                    f"optimizer.{name.replace('_', '-')} must be {rule}, "
                    f"but is {getattr(self, name)}"
                )

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
