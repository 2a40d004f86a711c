"""Soft rounding: a differentiable function between the identity and rounding.

References:
  Agustsson and Theis, "Universally Quantized Neural Compression", NeurIPS 2020, section
  4, https://arxiv.org/abs/2006.09952. Their α is the sharpness here; α is the weight of
  the correlation loss elsewhere.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, DTypeLike, Float

SHARPNESS_MAXIMUM = 64.0
"""Up to this sharpness, values and gradients are finite in float32."""

_SHARPNESS_MINIMUM = 1e-6
"""Below it soft rounding is the identity, to the digits of float64."""

Sharpness = Float[Array, ""] | float
"""From 0 to `SHARPNESS_MAXIMUM`; traced in training."""


def soft_round(
    values: Float[Array, "*shape"], sharpness: Sharpness
) -> Float[Array, "*shape"]:
    """Draws values towards the nearest integer; differentiable, and rising.

    Integers and the middles between them stay. Around each middle `m` it is
    `m + tanh(a (x - m)) / (2 tanh(a / 2))`, written here with the distance from the
    nearest integer, which keeps its digits where the tangent is flat.

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
    """Inverts `soft_round`.

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
    """Mean of the values that could have produced `noisy`.

    Assumes that the value is uniform on the quantization step that could have produced
    `noisy`, which reaches from `conditional_mean - 1/2` to `conditional_mean + 1/2`,
    since soft rounding repeats itself in every step.

    Args:
      noisy: Softly rounded values with noise in [-1/2, 1/2).
      sharpness: As in `soft_round`.
    """
    return soft_round_inverse(noisy - 0.5, sharpness) + 0.5


def _bounded(sharpness: Sharpness, dtype: DTypeLike) -> Array:
    return jnp.maximum(jnp.asarray(sharpness, dtype), _SHARPNESS_MINIMUM)


def _from_nearest(values: Array) -> tuple[Array, Array, Array]:
    """Nearest integers, on which side of them values lie, and how far away."""
    nearest = jnp.round(values)
    # Not `jnp.sign`, and no `jnp.abs`: their slopes at the integers themselves are 0.
    sign = jnp.where(values < nearest, -1.0, 1.0).astype(values.dtype)
    return nearest, sign, sign * (values - nearest)
