"""The correlation loss of Ali et al. (NeurIPS 2023), in a file that can be copied.

    latent, mean, scale ─► normalize ─► correlation_map ─► masked_norm ─► loss

`correlation_loss` is that chain. A training step that accumulates gradients calls the
parts: it averages the maps of its micro-batches, and only then takes the norm.

This file needs JAX and jaxtyping alone, and imports nothing from jaxcorr. For code
bases in TensorFlow, `jaxcorr/interop/tensorflow.py` repeats its functions, masks and
messages on purpose. `tests/loss/test_tensorflow_port.py` keeps the two files equal, in
values, gradients and messages.
"""

import functools

import jax
import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Float, Shaped

# The cells that a named mask leaves out, by their distance in rows and in columns from
# the middle of the map.
_EXCLUDED = {
    "point": lambda rows, columns: rows == columns == 0,
    "short_cross": lambda rows, columns: rows + columns <= 1,
    "box": lambda rows, columns: max(rows, columns) <= 1,
    "long_cross": lambda rows, columns: min(rows, columns) == 0,
}


def correlation_loss(
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
    """Measures the spatial correlation that the entropy model leaves in the latents.

    An entropy model that codes each latent independently, from a predicted mean and
    scale, pays for all information that neighboring latents share. Adding this loss
    to the training loss moves that structure to where the entropy model can use it.
    Coding does not change.

    The loss is the squared norm of one correlation map, averaged over the whole batch.
    The mean of the losses of several micro-batches is a different, larger number:
    average their maps instead, and take `masked_norm` of the mean map.

    Args:
      latent: Latents of shape [..., height, width, channels], usually before
        quantization. Leave out latents that only cover padding.
      mean: Predicted mean of each latent.
      scale: Predicted standard deviation of each latent, in quantization steps.
      window: Side of the map; odd, at least 3 and at most the height and the width.
      mask: Cells of the map that count, as in `masked_norm`.
      scale_bound: Smallest scale to divide by, as in `normalize`.
      stop_scale_gradient: Whether the scale gets no gradient, as in `normalize`. If it
        gets one, a model can also lower the loss by predicting scales that are too
        large. The mean of the squared normalized latents then falls below 1.
      pool_channels: Whether all channels share one map. If False, the loss is the mean
        over channels of the masked norms of `correlation_maps`.

    Returns:
      The loss, dimensionless. The authors print it as "Avg Correlation" (0.0454 for a
      model trained without the loss and 0.0107 with it, on one photograph). With the
      default options, white normalized latents of variance v give about 48 v²/n if the
      mean is over n products.

    Raises:
      ValueError: If shapes, window, mask or bound break the rules above.

    References:
      Ali et al., "Towards Efficient Image Compression Without Autoregressive Models",
      NeurIPS 2023, https://openreview.net/forum?id=1ihGy9vAIg. We do not
      know its bound, its gradient of the scale and its pooling of channels; they are
      options here.
    """
    normalized = normalize(
        latent,
        mean,
        scale,
        scale_bound=scale_bound,
        stop_scale_gradient=stop_scale_gradient,
    )
    compute_maps = correlation_map if pool_channels else correlation_maps
    return jnp.mean(masked_norm(compute_maps(normalized, window=window), mask))


def normalize(
    latent: Float[ArrayLike, "..."],
    mean: Float[ArrayLike, "..."],
    scale: Float[ArrayLike, "..."],
    *,
    scale_bound: float = 0.11,
    stop_scale_gradient: bool = False,
) -> Float[Array, "..."]:
    """Expresses latents as deviations from their mean, in units of their scale.

    Args:
      latent: Latents.
      mean: Predicted mean of each latent.
      scale: Predicted standard deviation of each latent, in quantization steps.
      scale_bound: Smallest scale to divide by; positive. A scale below the bound gets a
        gradient of zero; a scale at the bound or above gets its full gradient.
      stop_scale_gradient: Whether to treat the scale as a constant.

    Returns:
      (latent - mean) / max(scale, scale_bound), in float32, or in float64 if an input
      is float64.

    Raises:
      ValueError: If the shapes differ, or the bound is not positive.
    """
    latent, mean, scale = (jnp.asarray(array) for array in (latent, mean, scale))
    if not latent.shape == mean.shape == scale.shape:
        raise ValueError(
            "`latent`, `mean` and `scale` must have the same shape, but have "
            f"{latent.shape}, {mean.shape} and {scale.shape}."
        )
    if not scale_bound > 0:
        raise ValueError(f"`scale_bound` must be positive, but is {scale_bound}.")
    latent, mean, scale = (
        array.astype(_accumulator(latent, mean, scale))
        for array in (latent, mean, scale)
    )
    if stop_scale_gradient:
        scale = jax.lax.stop_gradient(scale)
    # `jnp.maximum` would halve the gradient of a scale that equals the bound, and a
    # codec that bounds its scales produces many such scales.
    return (latent - mean) / jnp.where(scale < scale_bound, scale_bound, scale)


def correlation_map(
    normalized: Float[ArrayLike, "..."], *, window: int = 7
) -> Float[Array, "{window} {window}"]:
    """Averages the product of each latent with its neighbor at every offset.

    The map is neither centered nor divided by a sample variance, so a wrong predicted
    mean raises all of its cells.

    Args:
      normalized: Normalized latents of shape [..., height, width, channels].
      window: Side of the map; odd, at least 3 and at most the height and the width.

    Returns:
      The map. Cell [i, j] is the mean of normalized[y, x] * normalized[y + i - r,
      x + j - r], with r = window // 2, over the batch, the channels and all positions
      (y, x) whose whole window lies inside the latents.

    Raises:
      ValueError: If the latents are empty or have fewer than three axes, or the window
        breaks the rule above.
    """
    return jnp.mean(correlation_maps(normalized, window=window), axis=0)


def correlation_maps(
    normalized: Float[ArrayLike, "..."], *, window: int = 7
) -> Float[Array, "c {window} {window}"]:
    """Computes one correlation map per channel; `correlation_map` is their mean.

    Args:
      normalized: As in `correlation_map`.
      window: As in `correlation_map`.

    Returns:
      The map of each channel.

    Raises:
      ValueError: As in `correlation_map`.
    """
    normalized = jnp.asarray(normalized)
    if normalized.ndim < 3 or normalized.size == 0:
        raise ValueError(
            "Latents must have the shape [..., height, width, channels] and not be "
            f"empty, but their shape is {normalized.shape}."
        )
    limit = min(normalized.shape[-3:-1])
    if window % 2 != 1 or not 3 <= window <= limit:
        raise ValueError(
            f"`window` must be odd, at least 3 and at most {limit}, the smaller side "
            f"of the latents, but is {window}."
        )
    return _channel_maps(normalized.astype(_accumulator(normalized)), window=window)


def masked_norm(
    map: Float[ArrayLike, "..."], mask: str | Shaped[ArrayLike, "..."]
) -> Float[Array, "..."]:
    """Computes the squared norm of the cells of a map that a mask keeps.

    Args:
      map: One or more correlation maps, of shape [..., window, window].
      mask: Weights of the cells, of shape [window, window], or the name of a set of
        cells to leave out: "point" (the middle), "short_cross" (the middle and its 4
        nearest neighbors), "box" (the middle and its 8 neighbors) or "long_cross" (the
        middle row and column). In a 7x7 map the masks keep 48, 44, 40 and 36 cells.

    Returns:
      The sum over cells of (weight * cell)² for each map: not a mean, and without a
      square root.

    Raises:
      ValueError: If the map is not square, its side is even or below 3, the mask has
        another shape or an unknown name, or the mask keeps no cell ("box" in a 3x3
        map).
    """
    map = jnp.asarray(map)
    if map.ndim < 2 or map.shape[-1] != map.shape[-2]:
        raise ValueError(
            f"`map` must have the shape [..., window, window], but has {map.shape}."
        )
    window = map.shape[-1]
    if window % 2 != 1 or window < 3:
        raise ValueError(f"The side of `map` must be odd, at least 3, but is {window}.")
    weights = jnp.asarray(named_mask(mask, window) if isinstance(mask, str) else mask)
    if weights.shape != (window, window):
        raise ValueError(
            f"`mask` must have the shape of the map, {(window, window)}, but has "
            f"{weights.shape}."
        )
    dtype = _accumulator(map)
    weights = jnp.broadcast_to(weights.astype(dtype), map.shape)
    return jnp.sum((weights * map.astype(dtype)) ** 2, axis=(-2, -1))


def named_mask(name: str, window: int) -> list[list[float]]:
    """Returns the weights of a named mask, without using any device.

    Args:
      name: Name of the mask, as in `masked_norm`.
      window: Side of the mask.

    Returns:
      The weights, row by row.

    Raises:
      ValueError: If the name is unknown, or the mask keeps no cell.
    """
    if name not in _EXCLUDED:
        raise ValueError(
            f"`mask` must be one of {', '.join(_EXCLUDED)} or an array of weights, "
            f"but is {name!r}."
        )
    distances = [abs(cell - window // 2) for cell in range(window)]
    mask = [
        [0.0 if _EXCLUDED[name](rows, columns) else 1.0 for columns in distances]
        for rows in distances
    ]
    if not any(map(any, mask)):
        raise ValueError(
            f"`mask` must leave at least one cell, but {name!r} leaves none of a "
            f"{window}x{window} map."
        )
    return mask


@functools.partial(jax.jit, static_argnames="window")
def _channel_maps(
    normalized: Float[Array, "*b h w c"], *, window: int
) -> Float[Array, "c {window} {window}"]:
    """Computes `correlation_maps` for arguments that have been checked."""
    margin = window // 2
    rows, columns = (side - 2 * margin for side in normalized.shape[-3:-1])

    # One offset at a time, recomputed in the backward pass: all offsets at once, or the
    # residuals that autodiff would keep, need window² times the memory of the latents.
    @jax.checkpoint
    def mean_product(offset):
        row, column = divmod(offset, window)
        centers = normalized[..., margin : margin + rows, margin : margin + columns, :]
        neighbors = jax.lax.dynamic_slice_in_dim(normalized, row, rows, axis=-3)
        neighbors = jax.lax.dynamic_slice_in_dim(neighbors, column, columns, axis=-2)
        return jnp.mean(centers * neighbors, axis=(-3, -2))

    # The batch is reduced after the loop, so that the devices of a sharded batch
    # communicate once, not once per offset.
    means = jax.lax.map(mean_product, jnp.arange(window**2))
    means = jnp.mean(means, axis=tuple(range(1, means.ndim - 1)))
    return means.T.reshape(-1, window, window)


def _accumulator(*arrays: Array) -> jnp.dtype:
    """Returns the dtype to compute in: that of the arrays, but at least float32."""
    return jnp.promote_types(jnp.result_type(*arrays), jnp.float32)
