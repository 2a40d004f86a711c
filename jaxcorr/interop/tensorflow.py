"""The correlation loss in TensorFlow, for code bases that are written in it.

    latent, mean, scale ─► normalize ─► correlation_map ─► masked_norm ─► loss

The same functions as in `jaxcorr.correlation`, with the same arguments, values and
messages. Masks and messages are repeated here on purpose: this file imports TensorFlow
alone, 2.14 or later, so that it works where JAX is not installed (`pip install
--no-deps`), and may be copied.

**Several replicas.** Under `tf.distribute` a replica sees its own part of the batch,
and `correlation_loss` there is the loss of that part: another, larger number. The loss
of the global batch is the norm of the mean map; every replica counts its share of it:

    z = normalize(latent, mean, scale)
    map = tf.distribute.get_replica_context().all_reduce(
        tf.distribute.ReduceOp.MEAN, correlation_map(z)
    )
    loss = masked_norm(map, "point") / strategy.num_replicas_in_sync

With parts of equal size the sum of these losses, and the sum of their gradients that an
optimizer takes, are those of one device that has the whole batch.
"""

from typing import Any

import tensorflow as tf  # pyright: ignore[reportMissingModuleSource]  # No dependency.

# Which cells a named mask leaves out, by their distance in rows and columns from the
# middle of the map.
_EXCLUDED = {
    "point": lambda rows, columns: rows == columns == 0,
    "short_cross": lambda rows, columns: rows + columns <= 1,
    "box": lambda rows, columns: max(rows, columns) <= 1,
    "long_cross": lambda rows, columns: min(rows, columns) == 0,
}


def correlation_loss(
    latent: Any,
    mean: Any,
    scale: Any,
    *,
    window: int = 7,
    mask: Any = "point",
    scale_bound: float = 0.11,
    stop_scale_gradient: bool = False,
    pool_channels: bool = True,
) -> Any:
    """Measures the spatial correlation that an entropy model left in the latents.

    Args:
      latent: Latents of shape [..., height, width, channels], before quantization as
        a rule. Leave out latents that stand for padding.
      mean: Predicted mean of each latent.
      scale: Predicted standard deviation of each latent, in quantization steps.
      window: Side of the map; odd, at least 3 and at most the height and the width.
      mask: Which cells of the map count, as in `masked_norm`.
      scale_bound: Smallest scale to divide by, as in `normalize`.
      stop_scale_gradient: Whether the loss leaves the scale alone, as in `normalize`.
      pool_channels: Whether channels share a map. If not, the loss is the mean over
        channels of the masked norms of `correlation_maps`.

    Returns:
      The loss, a scalar without a unit.

    Raises:
      ValueError: If shapes, window, mask or floor break the rules above. Sizes that are
        unknown when a `tf.function` is traced are checked when it runs, by
        `tf.errors.InvalidArgumentError`, but not under `jit_compile`, which drops
        such checks.

    References:
      Ali et al., "Towards Efficient Image Compression Without Autoregressive Models",
      NeurIPS 2023, https://openreview.net/forum?id=1ihGy9vAIg.
    """
    normalized = normalize(
        latent,
        mean,
        scale,
        scale_bound=scale_bound,
        stop_scale_gradient=stop_scale_gradient,
    )
    measure = correlation_map if pool_channels else correlation_maps
    return tf.reduce_mean(masked_norm(measure(normalized, window=window), mask))


def normalize(
    latent: Any,
    mean: Any,
    scale: Any,
    *,
    scale_bound: float = 0.11,
    stop_scale_gradient: bool = False,
) -> Any:
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
    arrays = [tf.convert_to_tensor(array) for array in (latent, mean, scale)]
    latent, mean, scale = _of_one_shape(*arrays)
    if not scale_bound > 0:
        raise ValueError(f"`scale_bound` must be positive, but is {scale_bound}.")
    dtype = _accumulator(latent, mean, scale)
    latent, mean, scale = (tf.cast(array, dtype) for array in (latent, mean, scale))
    if stop_scale_gradient:
        scale = tf.stop_gradient(scale)
    # A selection, as in JAX, so that the gradient of a scale at the floor is whole.
    floor = tf.constant(scale_bound, dtype)
    return (latent - mean) / tf.where(scale < floor, floor, scale)


def correlation_map(normalized: Any, *, window: int = 7) -> Any:
    """Averages the product of each latent with its neighbor, for every offset.

    Args:
      normalized: Normalized latents of shape [..., height, width, channels].
      window: Side of the map; odd, at least 3 and at most the height and the width.

    Returns:
      The map, [window, window]. Cell [i, j] is the mean of normalized[y, x] *
      normalized[y + i - r, x + j - r], with r = window // 2, over the batch, the
      channels and those (y, x) whose whole window lies inside the latents.

    Raises:
      ValueError: If the latents are empty or have fewer than three axes, or the window
        breaks its rule; sizes unknown to a trace as in `correlation_loss`.
    """
    return tf.reduce_mean(correlation_maps(normalized, window=window), axis=0)


def correlation_maps(normalized: Any, *, window: int = 7) -> Any:
    """Gives every channel a map of its own; `correlation_map` is their mean.

    Arguments and errors are those of `correlation_map`; the maps are of shape
    [channels, window, window].
    """
    normalized = tf.convert_to_tensor(normalized)
    normalized = _with_window_inside(normalized, window)
    sizes = tf.shape(normalized)[-3:]
    flat = tf.reshape(normalized, tf.concat([[-1], sizes], axis=0))
    flat.set_shape([None, *normalized.shape[-3:]])
    maps = _channel_maps(tf.cast(flat, _accumulator(flat)), window)
    return tf.reshape(tf.transpose(maps), [-1, window, window])


def masked_norm(map: Any, mask: Any) -> Any:
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
    map = tf.convert_to_tensor(map)
    sides = [None] if map.shape.rank is None else tuple(map.shape)[-2:]
    if None in sides:
        raise ValueError("The sides of `map` must be known; give them by `set_shape`.")
    if len(sides) < 2 or sides[0] != sides[1]:
        raise ValueError(
            "`map` must have the shape [..., window, window], but has "
            f"{tuple(map.shape)}."
        )
    window = map.shape[-1]
    if window % 2 != 1 or window < 3:
        raise ValueError(f"The side of `map` must be odd, at least 3, but is {window}.")
    weights = tf.convert_to_tensor(
        named_mask(mask, window) if isinstance(mask, str) else mask
    )
    if tuple(weights.shape) != (window, window):
        raise ValueError(
            f"`mask` must have the shape of the map, {(window, window)}, but has "
            f"{tuple(weights.shape)}."
        )
    dtype = _accumulator(map)
    return tf.reduce_sum(
        (tf.cast(weights, dtype) * tf.cast(map, dtype)) ** 2, axis=(-2, -1)
    )


def named_mask(name: str, window: int) -> list[list[float]]:
    """Gives the weights of a mask of this side, row by row; raises as `masked_norm`."""
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


# TensorFlow would keep the products of all offsets for the backward pass, window² times
# the latents. With a gradient of its own there is one offset at a time, both ways.
def _channel_maps(normalized: Any, window: int) -> Any:
    """Maps of [b, h, w, c] that are known to be right, as [window², c]."""
    margin = window // 2

    @tf.custom_gradient
    def maps(z):
        shape = tf.shape(z)
        inner = shape - [0, 2 * margin, 2 * margin, 0]
        count = tf.cast(shape[0] * inner[1] * inner[2], z.dtype)
        centers = tf.slice(z, [0, margin, margin, 0], inner)

        def mean_product(offset):
            row, column = offset // window, offset % window
            neighbors = tf.slice(z, [0, row, column, 0], inner)
            return tf.reduce_sum(centers * neighbors, axis=(0, 1, 2)) / count

        def gradient(upstream):
            to_all_sides = [[0, 0], [margin, margin], [margin, margin], [0, 0]]
            # Zero outside of the centers, so that what lies beyond adds nothing.
            around = tf.pad(tf.pad(centers, to_all_sides), to_all_sides)

            def add(offset, of_centers, of_neighbors):
                row, column = offset // window, offset % window
                weight = upstream[offset] / count
                neighbors = tf.slice(z, [0, row, column, 0], inner)
                opposite = [0, 2 * margin - row, 2 * margin - column, 0]
                return (
                    offset + 1,
                    of_centers + weight * neighbors,
                    of_neighbors + weight * tf.slice(around, opposite, shape),
                )

            any_size = tf.TensorShape([None] * 4)
            _, of_centers, of_neighbors = tf.while_loop(
                lambda offset, *_: offset < window**2,
                add,
                (0, tf.zeros_like(centers), tf.zeros_like(z)),
                shape_invariants=(tf.TensorShape([]), any_size, any_size),
                parallel_iterations=1,
            )
            return tf.pad(of_centers, to_all_sides) + of_neighbors

        offsets = tf.range(window**2)
        products = tf.map_fn(
            mean_product, offsets, fn_output_signature=z.dtype, parallel_iterations=1
        )
        return products, gradient

    return maps(normalized)


def _with_window_inside(normalized: Any, window: int) -> Any:
    """The latents, once it is certain that the window fits into them."""
    rule = "Latents must have the shape [..., height, width, channels] and not be empty"
    shape = None if normalized.shape.rank is None else tuple(normalized.shape)
    if shape is None or len(shape) < 3 or 0 in shape:
        raise ValueError(f"{rule}, but their shape is {shape}.")
    size = tf.size(normalized)
    checks = [] if None not in shape else [tf.debugging.assert_positive(size, rule)]
    rule = "`window` must be odd, at least 3 and at most {}, the smaller side of the "
    sides = [side for side in shape[-3:-1] if side is not None]
    limit = min(sides, default=window)
    if window % 2 != 1 or not 3 <= window <= limit:
        raise ValueError(f"{rule.format(limit)}latents, but is {window}.")
    smaller = tf.reduce_min(tf.shape(normalized)[-3:-1])
    rule = f"{rule.format('the last number here')}latents, but is the one before."
    if len(sides) < 2:
        checks += [tf.debugging.assert_less_equal(window, smaller, message=rule)]
    with tf.control_dependencies(checks):
        return tf.identity(normalized)


def _of_one_shape(*arrays: Any) -> list[Any]:
    """Latent, mean and scale, once it is certain that they have the same shape."""
    rule = "`latent`, `mean` and `scale` must have the same shape, but have"
    first, *others = (array.shape for array in arrays)
    if not all(first.is_compatible_with(other) for other in others):
        latent, mean, scale = (tuple(array.shape) for array in arrays)
        raise ValueError(f"{rule} {latent}, {mean} and {scale}.")
    if all(array.shape.is_fully_defined() for array in arrays):
        return list(arrays)
    first, *others = (tf.shape(array) for array in arrays)
    checks = [
        tf.debugging.assert_equal(first, other, message=f"{rule} these.")
        for other in others
    ]
    with tf.control_dependencies(checks):
        return [tf.identity(array) for array in arrays]


def _accumulator(*arrays: Any) -> Any:
    """At least float32, whatever the arrays hold."""
    double = any(array.dtype == tf.float64 for array in arrays)
    return tf.float64 if double else tf.float32
