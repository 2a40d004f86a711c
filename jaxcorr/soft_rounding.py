"""Soft rounding: differentiable functions between the identity and rounding.

References:
  Agustsson and Theis, "Universally Quantized Neural Compression", NeurIPS 2020, section
  4, https://arxiv.org/abs/2006.09952. The paper's α is called sharpness here, since α
  is the weight of the correlation loss in jaxcorr.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, DTypeLike, Float

SHARPNESS_MAXIMUM = 64.0
"""Largest sharpness at which values and gradients are finite in float32."""

_SHARPNESS_MINIMUM = 1e-6
"""Sharpness below which soft rounding equals the identity to float64 accuracy."""

Sharpness = Float[Array, ""] | float
"""Sharpness of soft rounding, from 0 to `SHARPNESS_MAXIMUM`; traced in training."""


def soft_round(
    values: Float[Array, "*shape"], sharpness: Sharpness
) -> Float[Array, "*shape"]:
    """Moves values towards the nearest integer, by a differentiable rising function.

    Integers and half-integers are fixed points. With sharpness `a`, the function is
    `m + tanh(a (x - m)) / (2 tanh(a / 2))` around each half-integer `m`. It is computed
    from the distance to the nearest integer, which stays accurate where the hyperbolic
    tangent is flat.

    Args:
      values: Values in quantization steps.
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

    The slope of the inverse at integers is about `exp(sharpness) / (2 sharpness)`.

    Args:
      values: Softly rounded values, in quantization steps.
      sharpness: As in `soft_round`.
    """
    sharpness = _bounded(sharpness, values.dtype)
    nearest, sign, distance = _from_nearest(values)
    # The inverse hyperbolic tangent is the difference of two logarithms. In this form
    # the argument of neither is near 0.
    rise = jnp.log1p(distance * jnp.expm1(sharpness))
    fall = jnp.log1p(distance * jnp.expm1(-sharpness))
    return nearest + sign * (rise - fall) / (2 * sharpness)


def conditional_mean(
    noisy: Float[Array, "*shape"], sharpness: Sharpness
) -> Float[Array, "*shape"]:
    """Returns the mean of the values that could have produced `noisy`.

    Assumes that the value is uniform on the quantization step that could have produced
    `noisy`. Soft rounding is the same in every step, so this one reaches from
    `conditional_mean - 1/2` to `conditional_mean + 1/2`.

    Args:
      noisy: Softly rounded values plus noise in [-1/2, 1/2).
      sharpness: As in `soft_round`.
    """
    return soft_round_inverse(noisy - 0.5, sharpness) + 0.5


def _bounded(sharpness: Sharpness, dtype: DTypeLike) -> Array:
    return jnp.maximum(jnp.asarray(sharpness, dtype), _SHARPNESS_MINIMUM)


def _from_nearest(values: Array) -> tuple[Array, Array, Array]:
    """Returns the nearest integer, the sign of the distance to it, and the distance."""
    nearest = jnp.round(values)
    # `jnp.sign` and `jnp.abs` would have a gradient of 0 at the integers themselves.
    sign = jnp.where(values < nearest, -1.0, 1.0).astype(values.dtype)
    return nearest, sign, sign * (values - nearest)
