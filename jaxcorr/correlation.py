"""The correlation loss of Ali et al. (NeurIPS 2023), free of the rest of jaxcorr.

    latent, mean, scale ─► normalize ─► correlation_map ─► masked_norm ─► loss

`correlation_loss` is that chain. A training step that accumulates gradients calls the
parts: it averages the maps of its micro-batches, and only then takes the norm.
"""

import functools

import jax
import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Float, Shaped

# Which cells a named mask leaves out, by their distance in rows and columns from the
# middle of the map.
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
    """Measures the spatial correlation that an entropy model left in the latents.

    A model that codes each latent on its own, from a predicted mean and scale, pays
    for whatever neighbors still tell about one another. Adding this to the training
    loss moves that structure to where the model can use it; coding does not change.

    The loss is the squared norm of one map, which is the mean over the whole batch.
    Averaging the losses of parts of a batch gives another, larger number: average
    their maps instead, and take `masked_norm` of the result.

    Args:
      latent: Latents of shape [..., height, width, channels], before quantization as
        a rule. Leave out latents that stand for padding.
      mean: Predicted mean of each latent.
      scale: Predicted standard deviation of each latent, in quantization steps.
      window: Side of the map; odd, at least 3 and at most the height and the width.
      mask: Which cells of the map count, as in `masked_norm`.
      scale_bound: Smallest scale to divide by, as in `normalize`.
      stop_scale_gradient: Whether the loss leaves the scale alone, as in `normalize`.
        If not, a model can also lower the loss by predicting scales that are too
        large; the mean of the squared normalized latents, 1 at best, shows it.
      pool_channels: Whether channels share a map. If not, the loss is the mean over
        channels of the masked norms of `correlation_maps`.

    Returns:
      The loss, without a unit. The authors print it as "Avg Correlation" (0.0454
      without the loss and 0.0107 with it, on one photograph). White normalized latents
      of variance v give about 48 v²/n for the defaults and n products in the mean.

    Raises:
      ValueError: If shapes, window, mask or floor break the rules above.

    References:
      Ali et al., "Towards Efficient Image Compression Without Autoregressive Models",
      NeurIPS 2023, https://openreview.net/forum?id=1ihGy9vAIg. The paper leaves open
      the floor, the gradient of the scale and the pooling of channels; they are
      options here.
    """
    normalized = normalize(
        latent,
        mean,
        scale,
        scale_bound=scale_bound,
        stop_scale_gradient=stop_scale_gradient,
    )
    measure = correlation_map if pool_channels else correlation_maps
    return jnp.mean(masked_norm(measure(normalized, window=window), mask))


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
      scale_bound: Smallest scale to divide by; positive. The gradient of a scale below
        it is zero; that of a scale at the floor or above is whole.
      stop_scale_gradient: Whether the scale counts as a constant.

    Returns:
      (latent - mean) / max(scale, scale_bound), in float32 or the wider input type.

    Raises:
      ValueError: If the shapes differ, or the floor is not positive.
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
    # Not `jnp.maximum`: it halves the gradient of a scale that is exactly the floor,
    # and a codec that bounds its scales has many of those.
    return (latent - mean) / jnp.where(scale < scale_bound, scale_bound, scale)


def correlation_map(
    normalized: Float[ArrayLike, "..."], *, window: int = 7
) -> Float[Array, "{window} {window}"]:
    """Averages the product of each latent with its neighbor, for every offset.

    Neither centered nor divided by a sample variance: a wrong mean raises all cells.

    Args:
      normalized: Normalized latents of shape [..., height, width, channels].
      window: Side of the map; odd, at least 3 and at most the height and the width.

    Returns:
      The map. Cell [i, j] is the mean of normalized[y, x] * normalized[y + i - r,
      x + j - r], with r = window // 2, over the batch, the channels and those (y, x)
      whose whole window lies inside the latents.

    Raises:
      ValueError: If the latents are empty or have fewer than three axes, or the window
        breaks its rule.
    """
    return jnp.mean(correlation_maps(normalized, window=window), axis=0)


def correlation_maps(
    normalized: Float[ArrayLike, "..."], *, window: int = 7
) -> Float[Array, "c {window} {window}"]:
    """Gives every channel a map of its own; `correlation_map` is their mean.

    Args:
      normalized: As in `correlation_map`.
      window: As in `correlation_map`.

    Returns:
      The maps of the channels.

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
    """Takes the squared norm of a map, or of each of several, under a mask.

    Args:
      map: Correlation map of shape [..., window, window].
      mask: Weights of the cells, of shape [window, window], or the name of a set of
        cells to leave out: "point" (the middle), "short_cross" (with its 4 neighbors),
        "box" (with its 8 neighbors) or "long_cross" (the middle row and column). In a
        7x7 map they leave 48, 44, 40 and 36 cells.

    Returns:
      The sum over cells of (weight * cell)²; not a mean, and without a root.

    Raises:
      ValueError: If the map is not square with an odd side from 3, the mask has
        another shape or an unknown name, or it leaves no cell ("box" in a 3x3 map).
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
    """Gives the weights of a mask, without the use of any device.

    Args:
      name: As in `masked_norm`.
      window: Side of the mask.

    Returns:
      The weights, row by row.

    Raises:
      ValueError: If the name is unknown, or the mask leaves no cell.
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
    """Computes `correlation_maps` of arguments that are known to be right."""
    margin = window // 2
    rows, columns = (side - 2 * margin for side in normalized.shape[-3:-1])

    # One offset at a time, and recomputed in the backward pass: all the windows at
    # once, or what autodiff would keep of them, take window² times the latents.
    @jax.checkpoint
    def products(offset):
        row, column = divmod(offset, window)
        slice_of = jax.lax.dynamic_slice_in_dim
        centers = normalized[..., margin : margin + rows, margin : margin + columns, :]
        neighbors = slice_of(normalized, row, rows, axis=-3)
        neighbors = slice_of(neighbors, column, columns, axis=-2)
        return jnp.mean(centers * neighbors, axis=(-3, -2))

    # The batch is reduced after the loop, so that devices which share it meet once.
    means = jax.lax.map(products, jnp.arange(window**2))
    means = jnp.mean(means, axis=tuple(range(1, means.ndim - 1)))
    return means.T.reshape(-1, window, window)


def _accumulator(*arrays: Array) -> jnp.dtype:
    """At least float32, whatever the arrays hold."""
    return jnp.promote_types(jnp.result_type(*arrays), jnp.float32)
