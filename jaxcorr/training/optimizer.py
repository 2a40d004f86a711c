"""Adam with clipped gradients and a schedule of the learning rate."""

import dataclasses

import jax.numpy as jnp
import optax

from jaxcorr.errors import UserError


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
        for name in ("learning_rate", "gradient_clip"):
            if getattr(self, name) <= 0:
                raise UserError(
                    f"optimizer.{name.replace('_', '-')} must be positive, "
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
