"""Generalized divisive normalization and its approximate inverse."""

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from jaxcorr import ops
from jaxcorr.layers.convolution import channel_product

BETA_MINIMUM = 1e-6
"""Smallest value of beta."""
PEDESTAL = 2.0**-36
"""Offset under the square roots of beta and gamma, so that the gradient to a root does
not vanish where beta or gamma is zero."""


class GDN(nnx.Module):
    """Divides each channel by a learned norm of all channels at the same position.

    The parameters are the square roots of `beta` and `gamma`, bounded below. So every
    step of the optimizer keeps them in the range where the normalization is defined.
    Initially, beta is 1 and gamma is 0.1 on the diagonal and 0 elsewhere.

    Args:
      channels: Channels of the input and the output.
      inverse: Whether to multiply instead of divide, as a synthesis transform does.

    References:
      Ballé et al., "Density Modeling of Images using a Generalized Normalization
      Transformation", ICLR 2016, https://arxiv.org/abs/1511.06281.
    """

    def __init__(self, channels: int, *, inverse: bool = False):
        self.beta_root = nnx.Param(jnp.sqrt(jnp.ones(channels) + PEDESTAL))
        self.gamma_root = nnx.Param(jnp.sqrt(0.1 * jnp.eye(channels) + PEDESTAL))
        self.inverse = inverse

    def __call__(self, x: Float[Array, "b h w c"]) -> Float[Array, "b h w c"]:
        """Returns `x[i] / sqrt(beta[i] + sum_j gamma[j, i] x[j]**2)` for channel i.

        The inverse multiplies by the square root instead.
        """
        wide = jnp.promote_types(x.dtype, jnp.float32)
        beta = _square_bounded(self.beta_root[...].astype(wide), BETA_MINIMUM)
        gamma = _square_bounded(self.gamma_root[...].astype(wide), 0.0)
        energy = channel_product(x**2, gamma.astype(x.dtype)).astype(wide)
        energy = energy + jnp.expand_dims(beta, range(x.ndim - 1))
        factor = jnp.sqrt(energy) if self.inverse else jax.lax.rsqrt(energy)
        return x * factor.astype(x.dtype)


def _square_bounded(root: Array, minimum: float) -> Array:
    """Returns the parameter with this square root, at least `minimum`."""
    bound = (minimum + PEDESTAL) ** 0.5
    return ops.lower_bound(root, bound) ** 2 - PEDESTAL
