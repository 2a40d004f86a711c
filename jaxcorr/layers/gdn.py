"""Generalized divisive normalization and its approximate inverse."""

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from jaxcorr import ops
from jaxcorr.layers.convolution import channel_product

BETA_MINIMUM = 1e-6
PEDESTAL = 2.0**-36
"""Keeps the gradient of the square finite where a parameter is zero."""


class GDN(nnx.Module):
    """Divides every channel by the local energy of all of them.

    `beta` and `gamma` are held as square roots, bounded below, so that any step of the
    optimizer leaves them in the range where the normalization is defined.

    References:
      Ballé et al., "Density Modeling of Images using a Generalized Normalization
      Transformation", ICLR 2016, https://arxiv.org/abs/1511.06281.
    """

    def __init__(self, channels: int, *, inverse: bool = False):
        """Starts close to the identity: beta = 1, gamma = 0.1 on the diagonal.

        Args:
          channels: Channels of input and output.
          inverse: Whether to multiply instead of divide, in the synthesis.
        """
        self.beta_root = nnx.Param(jnp.sqrt(jnp.ones(channels) + PEDESTAL))
        self.gamma_root = nnx.Param(jnp.sqrt(0.1 * jnp.eye(channels) + PEDESTAL))
        self.inverse = inverse

    def __call__(self, x: Float[Array, "b h w c"]) -> Float[Array, "b h w c"]:
        """`x[i] / sqrt(beta[i] + sum_j gamma[j, i] x[j]**2)`, times it if inverse."""
        wide = jnp.promote_types(x.dtype, jnp.float32)
        beta = _squared(self.beta_root[...].astype(wide), BETA_MINIMUM)
        gamma = _squared(self.gamma_root[...].astype(wide), 0.0)
        energy = channel_product(x**2, gamma.astype(x.dtype)).astype(wide)
        energy = energy + jnp.expand_dims(beta, range(x.ndim - 1))
        factor = jnp.sqrt(energy) if self.inverse else jax.lax.rsqrt(energy)
        return x * factor.astype(x.dtype)


def _squared(root: Array, minimum: float) -> Array:
    bound = (minimum + PEDESTAL) ** 0.5
    return ops.lower_bound(root, bound) ** 2 - PEDESTAL
