"""The correlation loss of Ali et al. (NeurIPS 2023) in TensorFlow.

    latent, mean, scale ─► normalize ─► correlation_map ─► masked_norm ─► loss

A port of `jaxcorr/correlation.py`, with the same functions, arguments, values and error
messages. It repeats masks and messages on purpose: this file imports TensorFlow (2.14
or later) and nothing else, so it may be copied, and it works where JAX is not installed
(`pip install --no-deps`). `tests/loss/test_tensorflow_port.py` keeps the two equal.

**Several replicas.** Under `tf.distribute` each replica sees a part of the batch, whose
`correlation_loss` is another, larger number than that of the whole batch. The loss of
the whole batch is the norm of the mean map; each replica counts its share of it:

    z = normalize(latent, mean, scale)
    map = tf.distribute.get_replica_context().all_reduce(
        tf.distribute.ReduceOp.MEAN, correlation_map(z)
    )
    loss = masked_norm(map, "point") / strategy.num_replicas_in_sync

With parts of equal size, the sums of these losses and of their gradients over replicas
equal the loss and the gradient of one device that has the whole batch.
"""

from typing import Any

import tensorflow as tf  # pyright: ignore[reportMissingModuleSource]  # No dependency.

# Cells that a mask leaves out, by their distance in rows and columns from the middle.
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
      stop_scale_gradient: Whether to treat the scale as a constant.
      pool_channels: Whether channels share a map. If not, the loss is the mean over
        channels of the masked norms of `correlation_maps`.

    Returns:
      The loss, a scalar without a unit.

    Raises:
      ValueError: If shapes, window, mask or bound break the rules above.
      tf.errors.InvalidArgumentError: The same, when a `tf.function` runs, for sizes
        that were unknown when it was traced. `jit_compile` drops these checks.

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
      scale_bound: Smallest scale to divide by; positive. Scales below it get no
        gradient; scales at the bound or above get the full gradient.
      stop_scale_gradient: Whether to treat the scale as a constant.

    Returns:
      (latent - mean) / max(scale, scale_bound), in float32 or the wider input type.

    Raises:
      ValueError: If the shapes differ, or the bound is not positive.
    """
    latent, mean, scale = _check_same_shape(latent, mean, scale)
    if not scale_bound > 0:
        raise ValueError(f"`scale_bound` must be positive, but is {scale_bound}.")
    dtype = _accumulator(latent, mean, scale)
    latent, mean, scale = (tf.cast(array, dtype) for array in (latent, mean, scale))
    scale = tf.stop_gradient(scale) if stop_scale_gradient else scale
    # Not `tf.maximum`, so that a scale exactly at the bound gets the full gradient.
    bound = tf.constant(scale_bound, dtype)
    return (latent - mean) / tf.where(scale < bound, bound, scale)


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
    """Computes `correlation_map` of each channel alone: [channels, window, window]."""
    normalized = _check_window(tf.convert_to_tensor(normalized), window)
    flat = tf.reshape(normalized, tf.concat([[-1], tf.shape(normalized)[-3:]], axis=0))
    flat.set_shape([None, *normalized.shape[-3:]])
    maps = _channel_maps(tf.cast(flat, _accumulator(flat)), window)
    return tf.reshape(tf.transpose(maps), [-1, window, window])


def masked_norm(map: Any, mask: Any) -> Any:
    """Computes the squared norm of a map, or of each of several, under a mask.

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
    shape = (None,) if map.shape.rank is None else tuple(map.shape)
    if None in shape[-2:]:
        raise ValueError("The sides of `map` must be known; give them by `set_shape`.")
    if len(shape) < 2 or shape[-1] != shape[-2]:
        raise ValueError(
            f"`map` must have the shape [..., window, window], but has {shape}."
        )
    window = shape[-1]
    if window % 2 != 1 or window < 3:
        raise ValueError(f"The side of `map` must be odd, at least 3, but is {window}.")
    mask = named_mask(mask, window) if isinstance(mask, str) else mask
    weights = tf.convert_to_tensor(mask)
    if tuple(weights.shape) != (window, window):
        raise ValueError(
            f"`mask` must have the shape of the map, {(window, window)}, but has "
            f"{tuple(weights.shape)}."
        )
    dtype = _accumulator(map)
    weighted = tf.cast(weights, dtype) * tf.cast(map, dtype)
    return tf.reduce_sum(weighted**2, axis=(-2, -1))


def named_mask(name: str, window: int) -> list[list[float]]:
    """Returns the weights of a named mask, row by row; raises as `masked_norm`."""
    if name not in _EXCLUDED:
        raise ValueError(
            f"`mask` must be one of {', '.join(_EXCLUDED)} or an array of weights, "
            f"but is {name!r}."
        )
    distances = [abs(cell - window // 2) for cell in range(window)]
    mask = [[float(not _EXCLUDED[name](i, j)) for j in distances] for i in distances]
    if not any(map(any, mask)):
        raise ValueError(
            f"`mask` must leave at least one cell, but {name!r} leaves none of a "
            f"{window}x{window} map."
        )
    return mask


# TensorFlow would keep the products of all offsets for the backward pass, window² times
# the latents. This gradient works on one offset at a time, as the forward pass does.
def _channel_maps(normalized: Any, window: int) -> Any:
    """Computes the maps of checked latents [b, h, w, c], as [window², c]."""
    margin = window // 2

    @tf.custom_gradient
    def maps(z):
        shape = tf.shape(z)
        inner = shape - [0, 2 * margin, 2 * margin, 0]
        count = tf.cast(shape[0] * inner[1] * inner[2], z.dtype)
        centers = tf.slice(z, [0, margin, margin, 0], inner)

        def shifted(array, offset, size):
            return tf.slice(array, [0, offset // window, offset % window, 0], size)

        def mean_product(offset):
            products = centers * shifted(z, offset, inner)
            return tf.reduce_sum(products, axis=(0, 1, 2)) / count

        def gradient(upstream):
            margins = [[0, 0], [margin, margin], [margin, margin], [0, 0]]
            # Zeros outside of the centers, so that other positions add nothing.
            around = tf.pad(tf.pad(centers, margins), margins)

            def add(offset, center_gradient, neighbor_gradient):
                weight = upstream[offset] / count
                center_gradient += weight * shifted(z, offset, inner)
                opposite = window**2 - 1 - offset
                neighbor_gradient += weight * shifted(around, opposite, shape)
                return offset + 1, center_gradient, neighbor_gradient

            any_size = tf.TensorShape([None] * 4)
            _, center_gradient, neighbor_gradient = tf.while_loop(
                lambda offset, *_: offset < window**2,
                add,
                (0, tf.zeros_like(centers), tf.zeros_like(z)),
                shape_invariants=(tf.TensorShape([]), any_size, any_size),
                parallel_iterations=1,
            )
            return tf.pad(center_gradient, margins) + neighbor_gradient

        offsets = tf.range(window**2)
        products = tf.map_fn(
            mean_product, offsets, fn_output_signature=z.dtype, parallel_iterations=1
        )
        return products, gradient

    return maps(normalized)


def _check_window(normalized: Any, window: int) -> Any:
    """Checks that the window fits into the latents, and returns the latents."""
    rule = "Latents must have the shape [..., height, width, channels] and not be empty"
    shape = None if normalized.shape.rank is None else tuple(normalized.shape)
    if shape is None or len(shape) < 3 or 0 in shape:
        raise ValueError(f"{rule}, but their shape is {shape}.")
    size = tf.size(normalized)
    checks = [] if None not in shape else [tf.debugging.assert_positive(size, rule)]
    sides = [side for side in shape[-3:-1] if side is not None]
    limit = min(sides, default=window)
    rule = "`window` must be odd, at least 3 and at most"
    if window % 2 != 1 or not 3 <= window <= limit:
        raise ValueError(
            f"{rule} {limit}, the smaller side of the latents, but is {window}."
        )
    if len(sides) < 2:
        smaller = tf.reduce_min(tf.shape(normalized)[-3:-1])
        rule = f"{rule} the smaller side of the latents"
        checks += [tf.debugging.assert_less_equal(window, smaller, rule)]
    with tf.control_dependencies(checks):
        return tf.identity(normalized)


def _check_same_shape(*arrays: Any) -> list[Any]:
    """Checks that arrays have the same shape, and returns them as tensors."""
    tensors = [tf.convert_to_tensor(array) for array in arrays]
    shapes = [tensor.shape for tensor in tensors]
    rule = "`latent`, `mean` and `scale` must have the same shape"
    if not all(shapes[0].is_compatible_with(shape) for shape in shapes):
        latent, mean, scale = (tuple(shape) for shape in shapes)
        raise ValueError(f"{rule}, but have {latent}, {mean} and {scale}.")
    if all(shape.is_fully_defined() for shape in shapes):
        return tensors
    first, *others = (tf.shape(tensor) for tensor in tensors)
    checks = [tf.debugging.assert_equal(first, other, rule) for other in others]
    with tf.control_dependencies(checks):
        return [tf.identity(tensor) for tensor in tensors]


def _accumulator(*arrays: Any) -> Any:
    """Returns the type to compute in: float64 if an array has it, else float32."""
    return tf.float64 if any(x.dtype == tf.float64 for x in arrays) else tf.float32
