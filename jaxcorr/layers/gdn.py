"""Generalized divisive normalization and its approximate inverse."""

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from jaxcorr import ops
from jaxcorr.layers import implementations
from jaxcorr.layers.convolution import channel_product
from jaxcorr.layers.phases import depth_to_space, space_to_depth

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
      half_resolution: Whether the input, of even height and width, has half of the
        resolution of an image.

    References:
      Ballé et al., "Density Modeling of Images using a Generalized Normalization
      Transformation", ICLR 2016, https://arxiv.org/abs/1511.06281.
    """

    def __init__(
        self, channels: int, *, inverse: bool = False, half_resolution: bool = False
    ):
        self.beta_root = nnx.Param(jnp.sqrt(jnp.ones(channels) + PEDESTAL))
        self.gamma_root = nnx.Param(jnp.sqrt(0.1 * jnp.eye(channels) + PEDESTAL))
        self.inverse = inverse
        self.half_resolution = half_resolution

    def __call__(self, x: Float[Array, "b h w c"]) -> Float[Array, "b h w c"]:
        """Returns `x[i] / sqrt(beta[i] + sum_j gamma[j, i] x[j]**2)` for channel i.

        The inverse multiplies by the square root instead.
        """
        wide = jnp.promote_types(x.dtype, jnp.float32)
        beta = _square_bounded(self.beta_root[...].astype(wide), BETA_MINIMUM)
        gamma = _square_bounded(self.gamma_root[...].astype(wide), 0.0)
        gamma = gamma.astype(x.dtype)
        return implementations.choose_phases(
            self._normalize,
            self._normalize_phases,
            x,
            beta,
            gamma,
            half_resolution=self.half_resolution,
        )

    def _normalize(self, x: Array, beta: Array, gamma: Array) -> Array:
        energy = channel_product(x**2, gamma).astype(beta.dtype)
        energy = ops.add_bias(energy, beta)
        factor = jnp.sqrt(energy) if self.inverse else jax.lax.rsqrt(energy)
        return x * factor.astype(x.dtype)

    def _normalize_phases(self, x: Array, beta: Array, gamma: Array) -> Array:
        """Normalizes the four phases by a matrix with a block for each."""
        blocks = jax.scipy.linalg.block_diag(*[gamma] * 4)
        phases = self._normalize(space_to_depth(x), jnp.tile(beta, 4), blocks)
        return depth_to_space(phases)


def _square_bounded(root: Array, minimum: float) -> Array:
    """Returns the parameter with this square root, at least `minimum`."""
    bound = (minimum + PEDESTAL) ** 0.5
    return ops.lower_bound(root, bound) ** 2 - PEDESTAL
