"""Soft rounding: all that lies between adding noise and rounding.

Latents are rounded softly, noise is added, and the decoder gets the mean of what may
have led there:

    latent ─► soft_round ─► + noise ─► conditional_mean ─► decoder
                                  └──► bits

The sharpness goes from the identity, which leaves noise alone, to rounding.

References:
  Agustsson and Theis, "Universally Quantized Neural Compression", NeurIPS 2020, section
  4, https://arxiv.org/abs/2006.09952. Their α is the sharpness here; α is the weight of
  the correlation loss elsewhere.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array, DTypeLike, Float

SHARPNESS_MAXIMUM = 64.0
"""Up to this sharpness, values and gradients are finite in float32."""

_SHARPNESS_MINIMUM = 1e-6
"""Below it soft rounding is the identity, to the digits of float64."""

Sharpness = Float[Array, ""] | float
"""From 0 to `SHARPNESS_MAXIMUM`; traced in training."""


Bits = Callable[[Float[Array, "*b c"], float], Float[Array, "*b c"]]
"""Quantized latents, and the smallest likelihood of an element, to bits."""


def soft_round(
    values: Float[Array, "*shape"], sharpness: Sharpness
) -> Float[Array, "*shape"]:
    """Draws values towards the nearest integer; differentiable, and rising.

    Integers stay, and so do the middles between them. Between those it is a hyperbolic
    tangent, `m + tanh(a (x - m)) / (2 tanh(a / 2))` around each middle `m`. Here it is
    written with the distance from the nearest integer, which keeps its digits where the
    tangent is flat.

    Args:
      values: In quantization steps.
      sharpness: From 0, the identity, to `SHARPNESS_MAXIMUM`, close to rounding.
    """
    sharpness = _bounded(sharpness, values.dtype)
    nearest, sign, distance = _from_nearest(values)
    rise = jnp.expm1(-2 * sharpness * distance) / jnp.expm1(-sharpness)
    return nearest + sign * rise * jax.nn.sigmoid(sharpness * (2 * distance - 1))


def soft_round_inverse(
    values: Float[Array, "*shape"], sharpness: Sharpness
) -> Float[Array, "*shape"]:
    """What `soft_round` makes `values` of.

    Its slope at integers is about `exp(sharpness) / (2 sharpness)`.

    Args:
      values: In quantization steps.
      sharpness: As in `soft_round`.
    """
    sharpness = _bounded(sharpness, values.dtype)
    nearest, sign, distance = _from_nearest(values)
    # The inverse tangent as a difference of two logarithms, neither of anything near 0.
    rise = jnp.log1p(distance * jnp.expm1(sharpness))
    fall = jnp.log1p(distance * jnp.expm1(-sharpness))
    return nearest + sign * (rise - fall) / (2 * sharpness)


def conditional_mean(
    noisy: Float[Array, "*shape"], sharpness: Sharpness
) -> Float[Array, "*shape"]:
    """Mean of values that give `noisy`, softly rounded and with uniform noise.

    Of values that are uniform over the step which they may lie in: from
    `conditional_mean - 1/2` to `conditional_mean + 1/2`, since soft rounding repeats
    itself in every step.

    Args:
      noisy: Softly rounded values with noise in [-1/2, 1/2).
      sharpness: As in `soft_round`.
    """
    return soft_round_inverse(noisy - 0.5, sharpness) + 0.5


def soft_quantize(
    values: Float[Array, "*b c"],
    centers: Float[Array, "*#b c"],
    noise: Float[Array, "*b c"],
    sharpness: Sharpness,
) -> Float[Array, "*b c"]:
    """What the decoder is trained on instead of latents rounded around `centers`.

    The slope of the conditional mean is very large at few places and small elsewhere.
    Its gradient is that of its mean over the noise, which is 1 everywhere.

    There is none to `centers`, as there is none where noise is added or rounding goes
    straight through. Theirs is a sawtooth, which rises with the center and falls back
    as often as the center has passed a step: on its mean, 0, training is stable; on its
    slopes it diverged.

    References:
      Agustsson and Theis, as above, section 4.2, on the variance of gradients; they
      have no centers.
    """
    soft = soft_round(values - jax.lax.stop_gradient(centers), sharpness)
    mean = conditional_mean(soft + noise, sharpness)
    return soft + jax.lax.stop_gradient(centers + mean - soft)


def soft_bits(
    bits: Bits,
    values: Float[Array, "*b c"],
    centers: Float[Array, "*#b c"],
    noise: Float[Array, "*b c"],
    sharpness: Sharpness,
    *,
    likelihood_floor: float,
) -> Float[Array, "*b c"]:
    """Bits of softly rounded values with noise, by their exact density.

    A noisy value may come from the step around its conditional mean, so its density is
    the probability of that step: `bits` of the conditional mean.

    The gradient to `values` and `centers` is that of the mean over the noise. It is
    exact: the mean over a step has as its slope what the ends of the step differ by.
    That to anything else that `bits` depends on is the plain one.

    Args:
      bits: Bits of the step around each latent.
      values: Latents, in quantization steps.
      centers: What they are rounded around.
      noise: In [-1/2, 1/2).
      sharpness: As in `soft_round`.
      likelihood_floor: What `bits` is given. Gradients lead back from below it.

    References:
      Agustsson and Theis, as above, section 4.2, on the variance of gradients.
    """
    soft = soft_round(values - centers, sharpness)
    mean = jax.lax.stop_gradient(conditional_mean(soft + noise, sharpness))
    slope = bits(values + 0.5, 0.0) - bits(values - 0.5, 0.0)
    through = soft - jax.lax.stop_gradient(soft)
    cost = bits(centers + mean, likelihood_floor)
    return cost + jax.lax.stop_gradient(slope) * through


def _bounded(sharpness: Sharpness, dtype: DTypeLike) -> Array:
    return jnp.maximum(jnp.asarray(sharpness, dtype), _SHARPNESS_MINIMUM)


def _from_nearest(values: Array) -> tuple[Array, Array, Array]:
    """Nearest integers, on which side of them values lie, and how far away."""
    nearest = jnp.round(values)
    # Not `jnp.sign`, and no `jnp.abs`: their slopes at the integers themselves are 0.
    sign = jnp.where(values < nearest, -1.0, 1.0).astype(values.dtype)
    return nearest, sign, sign * (values - nearest)
