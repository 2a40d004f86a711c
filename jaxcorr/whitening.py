"""The bits that causal neighbors would save, as a loss, in a file that can be copied.

    normalized latents ─► neighbor_moments ─► whitening_bits ─► loss in bits per pixel

`whitening_loss` is that chain, and an alternative to `correlation_loss`. It predicts
each latent linearly from its 12 causal neighbors, channel by channel, and counts the
bits that the prediction would save. A training step that accumulates gradients, or that
averages over steps, averages the moments and then takes the bits.

This file needs JAX and jaxtyping alone, and imports nothing from jaxcorr. For
TensorFlow, `jaxcorr/interop/tensorflow_variants.py` repeats its functions.
"""

import functools
import itertools
import math

import jax
import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Float

RADIUS = 2
SIDE = 2 * RADIUS + 1
TAPS = tuple(itertools.product(range(SIDE), repeat=2))[: SIDE * RADIUS + RADIUS + 1]
"""Rows and columns, in a 5x5 square, of the 12 latents before its center in raster
order, and of the center."""
RIDGE = 1e-3
"""Variance that is added to every latent before its neighbors predict it."""
NATS_PER_BIT = math.log(2)
BLOCK = 16
"""Positions in a row whose moments come from one matrix product."""


def whitening_loss(
    normalized: Float[ArrayLike, "..."], *, stride: int = 16, offset: bool = False
) -> Float[Array, ""]:
    """Returns the bits per pixel that linear prediction from neighbors would save.

    With weight 1 it doubles the price of the correlation that it sees. The scale of the
    latents makes no difference, so a model cannot lower this loss with larger scales,
    except where `RIDGE` is a part of the variance of a channel, or with `offset`.
    The bits of n windows have a floor of about 12 / (2 n ln 2) per latent, as 12
    coefficients are fitted: average the moments over training steps.

    Args:
      normalized: Normalized latents of shape [..., height, width, channels], at least
        3 high and 5 wide.
      stride: Distance between two latents, in pixels; at least 1.
      offset: Whether a mean other than zero is priced apart, as in `whitening_bits`.

    Returns:
      The loss, in bits per pixel.

    Raises:
      ValueError: If the latents are empty, too small or have fewer than three axes, or
        `stride` is below 1.
    """
    if stride < 1:
        raise ValueError(f"`stride` must be at least 1, but is {stride}.")
    moments = neighbor_moments(normalized)
    bits = whitening_bits(moments, offset=offset)
    return jnp.mean(bits) * len(bits) / stride**2


def neighbor_moments(
    normalized: Float[ArrayLike, "..."],
) -> Float[Array, "c 14 14"]:
    """Averages the products of each latent, its causal neighbors and the number 1.

    Args:
      normalized: As in `whitening_loss`.

    Returns:
      The second moments of 14 numbers for each channel: the 12 causal neighbors in
      raster order, the latent itself, and 1. The mean is over the batch and over all
      positions whose neighbors lie inside the latents.

    Raises:
      ValueError: As in `whitening_loss`.
    """
    normalized = jnp.asarray(normalized)
    if normalized.ndim < 3 or normalized.size == 0:
        raise ValueError(
            "Latents must have the shape [..., height, width, channels] and not be "
            f"empty, but their shape is {normalized.shape}."
        )
    height, width, channels = normalized.shape[-3:]
    if height <= RADIUS or width < SIDE:
        raise ValueError(
            f"Latents must be at least {RADIUS + 1} high and {SIDE} wide to have "
            f"causal neighbors, but are {height} high and {width} wide."
        )
    dtype = jnp.promote_types(normalized.dtype, jnp.float32)
    flat = normalized.astype(dtype).reshape(-1, height, width, channels)
    return _moments(flat)


def whitening_bits(
    moments: Float[ArrayLike, "..."], *, offset: bool = False
) -> Float[Array, "..."]:
    """Returns the bits per latent that linear prediction would save.

    Args:
      moments: Second moments of shape [..., 14, 14], as of `neighbor_moments`.
      offset: Whether to predict with a constant as well. The bits are then those of the
        neighbors around the mean b of the channel, plus the b² / (2 ln 2) bits that
        coding with the mean 0 costs. Without it, a mean other than zero counts as
        correlation, in part.

    Returns:
      ½ log2 of the ratio of the second moment of the latent to that of its prediction
      error, for each channel; 0 for white latents.

    Raises:
      ValueError: If the moments have another shape.
    """
    moments = jnp.asarray(moments)
    count = len(TAPS)
    if moments.ndim < 2 or moments.shape[-2:] != (count + 1, count + 1):
        raise ValueError(
            f"`moments` must have the shape [..., {count + 1}, {count + 1}], but has "
            f"{moments.shape}."
        )
    mean = moments[..., -1, :-1]
    covariance = moments[..., :-1, :-1]
    if offset:
        covariance = covariance - mean[..., :, None] * mean[..., None, :]
    ridge = RIDGE * jnp.eye(count, dtype=moments.dtype)
    covariance = covariance + jnp.broadcast_to(ridge, covariance.shape)
    ratio = covariance[..., -1, -1] / _left_variance(covariance)
    bits = 0.5 * jnp.log(ratio) / NATS_PER_BIT
    return bits + 0.5 * mean[..., -1] ** 2 / NATS_PER_BIT if offset else bits


@jax.jit
def _left_variance(covariance: Float[Array, "*n k k"]) -> Float[Array, "*n"]:
    """Returns the variance of the last variable that the others leave unpredicted.

    It is the Schur complement, by eliminating one variable after another. The gradient
    of `jnp.linalg.cholesky` has two batched calls of LAPACK, each of which holds a
    thread while it waits for others: on a CPU with two cores they may wait for ever.
    """
    for _ in range(covariance.shape[-1] - 1):
        column = covariance[..., 1:, :1]
        explained = column * jnp.swapaxes(column, -1, -2) / covariance[..., :1, :1]
        covariance = covariance[..., 1:, 1:] - explained
    return covariance[..., 0, 0]


@jax.jit
def _moments(normalized: Float[Array, "b h w c"]) -> Float[Array, "c 14 14"]:
    """Computes `neighbor_moments` for an argument that has been checked.

    A matrix product per channel has the products of all pairs of columns, of which the
    moments need those near the diagonal. It is many times as fast as the products of
    shifted latents are one after another. Blocks of columns keep the matrices small.
    """
    batch, height, width, _ = normalized.shape
    rows, columns, count = height - RADIUS, width - SIDE + 1, len(TAPS)
    planes = jnp.moveaxis(normalized, -1, 0)
    blocks = [
        _window_sums(planes[..., start : start + BLOCK + SIDE - 1])
        for start in range(0, columns, BLOCK)
    ]
    products, sums = (
        functools.reduce(jnp.add, parts) for parts in zip(*blocks, strict=True)
    )
    positions = batch * rows * columns
    products = products[:, :count, :count] / positions
    means = sums[:, :count] / positions
    last_row = jnp.pad(means, ((0, 0), (0, 1)), constant_values=1)
    moments = jnp.concatenate([products, means[..., None]], axis=2)
    return jnp.concatenate([moments, last_row[:, None]], axis=1)


def _window_sums(
    planes: Float[Array, "c b h w"],
) -> tuple[Float[Array, "c 15 15"], Float[Array, "c 15"]]:
    """Sums windows of 3 rows and 5 columns, and products in them, over positions."""
    channels, _, height, width = planes.shape
    lines = RADIUS + 1
    rows = [planes[:, :, line : line + height - RADIUS] for line in range(lines)]
    # Not one einsum of all these axes, which takes a CPU twice as long.
    flat = jnp.stack(rows, axis=3).reshape(channels, -1, lines * width)
    products = jnp.einsum(
        "cni,cnj->cij", flat, flat, precision=jax.lax.Precision.HIGHEST
    ).reshape(channels, lines, width, lines, width)
    sums = jnp.sum(flat, axis=1).reshape(channels, lines, width)
    windows = [slice(x, x + SIDE) for x in range(width - SIDE + 1)]
    products = functools.reduce(jnp.add, [products[:, :, x, :, x] for x in windows])
    sums = functools.reduce(jnp.add, [sums[..., x] for x in windows])
    size = lines * SIDE
    return products.reshape(channels, size, size), sums.reshape(channels, size)
