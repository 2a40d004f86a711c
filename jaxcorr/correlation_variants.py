"""Variants of the correlation loss: other estimators, its weight in bits, its masks.

`correlation_loss` is the squared norm of a map that is estimated from one batch. These
functions estimate the same norm without the noise of the batch, say which weight makes
it a number of bits, and leave out what a context model codes already.

To copy this file, copy `correlation.py` with it and change the line that imports it.
Both need JAX and jaxtyping alone. For TensorFlow,
`jaxcorr/interop/tensorflow_variants.py` repeats most of its functions.
"""

import math
from collections.abc import Collection

import jax
import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Float, Shaped

from jaxcorr import correlation


def unbiased_correlation_loss(
    latent: Float[ArrayLike, "..."],
    mean: Float[ArrayLike, "..."],
    scale: Float[ArrayLike, "..."],
    *,
    window: int = 7,
    mask: str | Shaped[ArrayLike, "..."] = "point",
    scale_bound: float = 0.11,
    stop_scale_gradient: bool = False,
    pool_channels: bool = True,
) -> Float[Array, ""]:
    """Estimates the correlation loss without the floor that a small batch gives it.

    The published loss squares a map that contains noise, and so adds the variance of
    the noise: 48 v²/n for white latents. This one multiplies the maps of different
    images instead, whose noises are independent, and averages over all pairs of them.
    It is 0 on average for white latents, and may be negative. Its expectation is the
    published loss of an infinite batch, or for a single image, whose halves share its
    offsets and statistics, about that of the image.

    Args:
      latent: Latents of shape [batch, height, width, channels]. If the batch has one
        image, the halves of its longer side take the place of two images.
      mean: As in `correlation_loss`.
      scale: As in `correlation_loss`.
      window: As in `correlation_loss`; half an image must hold it if there is only one.
      mask: As in `correlation_loss`.
      scale_bound: As in `correlation_loss`.
      stop_scale_gradient: As in `correlation_loss`.
      pool_channels: As in `correlation_loss`.

    Returns:
      The loss, dimensionless.

    Raises:
      ValueError: As in `correlation_loss`, or if the latents have no batch axis.
    """
    normalized = correlation.normalize(
        latent,
        mean,
        scale,
        scale_bound=scale_bound,
        stop_scale_gradient=stop_scale_gradient,
    )
    maps = part_maps(normalized, window=window)
    if pool_channels:
        maps = jnp.mean(maps, axis=1, keepdims=True)
    norms = jnp.mean(correlation.masked_norm(maps, mask), axis=1)
    norm_of_mean = jnp.mean(correlation.masked_norm(jnp.mean(maps, axis=0), mask))
    return unbiased_norm(norm_of_mean, jnp.mean(norms), parts=len(maps))


def part_maps(
    normalized: Float[ArrayLike, "..."], *, window: int = 7
) -> Float[Array, "parts c {window} {window}"]:
    """Computes the correlation maps of the parts of a batch that share no latent.

    Args:
      normalized: Normalized latents of shape [batch, height, width, channels].
      window: Side of the map, as in `correlation_map`.

    Returns:
      The map of each channel for each image, or for the two halves of a single image.

    Raises:
      ValueError: If the latents have another shape, or a part cannot hold the window.
    """
    normalized = jnp.asarray(normalized)
    if normalized.ndim != 4 or normalized.size == 0:
        raise ValueError(
            "Latents must have the shape [batch, height, width, channels] and not be "
            f"empty, but their shape is {normalized.shape}."
        )
    if len(normalized) == 1:
        normalized = _halves(normalized, window)
    return jax.vmap(lambda part: correlation.correlation_maps(part, window=window))(
        normalized
    )


def unbiased_norm(
    norm_of_mean: Float[ArrayLike, "..."],
    mean_of_norms: Float[ArrayLike, "..."],
    *,
    parts: int,
) -> Float[Array, "..."]:
    """Returns the mean product of the maps of different parts, cell by cell.

    Args:
      norm_of_mean: Masked norm of the mean of all maps.
      mean_of_norms: Mean of the masked norms of the maps.
      parts: Number of maps.

    Returns:
      (parts * norm_of_mean - mean_of_norms) / (parts - 1): the sum over pairs of
      different parts, since the square of a sum has the squares and the pairs.

    Raises:
      ValueError: If there is only one part.
    """
    if parts < 2:
        raise ValueError(f"`parts` must be at least 2, but is {parts}.")
    difference = parts * jnp.asarray(norm_of_mean) - jnp.asarray(mean_of_norms)
    return difference / (parts - 1)


def averaged_norm(
    average: Float[ArrayLike, "..."],
    map: Float[ArrayLike, "..."],
    mask: str | Shaped[ArrayLike, "..."],
) -> Float[Array, "..."]:
    """Returns the squared norm of an average over steps, with a gradient for this step.

    An average over many steps has little noise, but only the newest map depends on the
    parameters of today. This is the tangent of the norm at the average: its gradient is
    2 · weight² · average · (gradient of `map`), as if `map` were the average.

    Args:
      average: Average of the maps of earlier steps and of this one; a constant.
      map: Map of this step.
      mask: As in `masked_norm`.

    Raises:
      ValueError: As in `masked_norm`, or if the maps have different shapes.
    """
    average, map = jax.lax.stop_gradient(jnp.asarray(average)), jnp.asarray(map)
    if average.shape != map.shape:
        raise ValueError(
            f"`average` must have the shape of `map`, {map.shape}, but has "
            f"{average.shape}."
        )
    value, change = jax.jvp(
        lambda map: correlation.masked_norm(map, mask), (average,), (map - average,)
    )
    return value + change


def natural_weight(
    variance: Float[ArrayLike, ""], *, channels: int, stride: int = 16
) -> Float[Array, ""]:
    """Returns the weight at which the correlation loss is the bits it costs, per pixel.

    Gaussian latents with small correlations lose Σρ² / (4 ln 2) bits each, and Σρ² is
    the correlation loss divided by the squared variance. With this weight the training
    loss counts them twice, once in the rate and once here. It assumes that all channels
    have this variance: if most are nearly 0, the formula counts them, too, and the
    weight is too high.

    Args:
      variance: Mean of the squared normalized latents, such as the middle cell of the
        map. Its gradient is stopped. Below 10⁻⁶ it counts as 10⁻⁶, so that latents of
        zero, whose loss is 0, get a finite weight.
      channels: Channels of the latents; at least 1.
      stride: Distance between two latents, in pixels; at least 1.

    Returns:
      α* = channels / stride² / (4 ln 2) / variance², in bits per pixel: 0.27 for 192
      channels of variance 1.

    Raises:
      ValueError: If `channels` or `stride` is below 1.
    """
    for name, value in (("channels", channels), ("stride", stride)):
        if value < 1:
            raise ValueError(f"`{name}` must be at least 1, but is {value}.")
    variance = jnp.maximum(jax.lax.stop_gradient(jnp.asarray(variance)), 1e-6)
    return channels / stride**2 / (4 * math.log(2)) / variance**2


def context_mask(window: int, seen: Collection[tuple[int, int]]) -> list[list[float]]:
    """Returns the mask that leaves out what a context model sees.

    Correlation with a latent that the context model sees costs no bits, as the model
    can predict from it. Of two latents, one precedes the other, so an offset and its
    opposite are left out together.

    Args:
      window: Side of the map; odd and at least 3.
      seen: Rows and columns from a latent to those that the context model sees.

    Returns:
      The weights, row by row: 0 for the middle and for what is seen, 1 elsewhere.

    Raises:
      ValueError: If the window breaks its rule, or the mask keeps no cell.
    """
    if window % 2 != 1 or window < 3:
        raise ValueError(f"`window` must be odd and at least 3, but is {window}.")
    left_out = {(0, 0), *seen, *((-row, -column) for row, column in seen)}
    side = range(-(window // 2), window // 2 + 1)
    mask = [
        [0.0 if (row, column) in left_out else 1.0 for column in side] for row in side
    ]
    if not any(map(any, mask)):
        raise ValueError(
            "`mask` must leave at least one cell, but the context model sees all of a "
            f"{window}x{window} map."
        )
    return mask


def _halves(image: Array, window: int) -> Array:
    """Cuts an image into the two halves of its longer side."""
    axis = 1 if image.shape[1] >= image.shape[2] else 2
    half = image.shape[axis] // 2
    if not 3 <= window <= min(half, *image.shape[1:3]):
        raise ValueError(
            "`window` must be at least 3 and at most half of the longer side of a "
            f"single image of latents ({half}), but is {window}."
        )
    first = jax.lax.slice_in_dim(image, 0, half, axis=axis)
    last = jax.lax.slice_in_dim(image, -half, None, axis=axis)
    return jnp.concatenate([first, last])
