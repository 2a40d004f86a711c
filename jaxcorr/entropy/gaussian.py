"""Gaussian conditional: bits of latents with a predicted mean and scale."""

import math

import jax.numpy as jnp
from jax.scipy.special import log_ndtr
from jaxtyping import Array, Float

from jaxcorr import ops

SCALE_BOUND = 0.11
"""Smallest scale, in quantization steps, as in CompressAI. A latent with this scale and
the right mean costs almost nothing."""

_BITS_PER_NAT = 1.4426950408889634


def gaussian_bits(
    residual: Float[Array, "*shape"],
    scale: Float[Array, "*shape"],
    *,
    likelihood_bound: float = 0.0,
) -> Float[Array, "*shape"]:
    """Returns the bits of quantized latents under a Gaussian.

    The likelihood is the integral of the density over a quantization step around the
    latent. It is computed in the log domain, so that bits and gradients stay finite
    and useful where the likelihood itself underflows.

    Args:
      residual: Quantized latents, or latents plus noise, minus their predicted means,
        in quantization steps.
      scale: Standard deviation in quantization steps; at least `SCALE_BOUND`.
      likelihood_bound: Smallest likelihood, 0 for no bound; 1e-9 in CompressAI.

    References:
      Minnen et al., "Joint Autoregressive and Hierarchical Priors for Learned Image
      Compression", NeurIPS 2018, equation 3, https://arxiv.org/abs/1809.02736.
    """
    # The Gaussian is symmetric, and floating point resolves the lower tail of its
    # cumulative function better than the upper one, which is rounded to 1.
    distance = jnp.abs(residual)
    upper = log_ndtr((0.5 - distance) / scale)
    lower = log_ndtr((-0.5 - distance) / scale)
    return bits_between(upper, lower, likelihood_bound=likelihood_bound)


def bits_between(
    log_upper: Float[Array, "*shape"],
    log_lower: Float[Array, "*shape"],
    *,
    likelihood_bound: float = 0.0,
) -> Float[Array, "*shape"]:
    """Returns the bits of an event of probability `exp(log_upper) - exp(log_lower)`.

    Args:
      log_upper: Logarithm of the larger cumulative probability.
      log_lower: Logarithm of the smaller cumulative probability.
      likelihood_bound: Smallest likelihood; 0 for no bound.
    """
    # In the far tails of a wide density both can round to the same number.
    ratio = jnp.minimum(log_lower - log_upper, -jnp.finfo(log_upper.dtype).tiny)
    log_likelihood = log_upper + jnp.log(-jnp.expm1(ratio))
    if likelihood_bound > 0:
        log_likelihood = ops.lower_bound(log_likelihood, math.log(likelihood_bound))
    return -_BITS_PER_NAT * log_likelihood
