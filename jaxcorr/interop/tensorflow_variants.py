"""Variants of the correlation loss in TensorFlow: without a floor, in bits, its weight.

Ports of `jaxcorr/correlation_variants.py` and `jaxcorr/whitening.py`, with the same
arguments, values and error messages. To copy this file, copy `tensorflow.py` with it.
Both import TensorFlow (2.14 or later) and nothing else.

**Several replicas.** Average over replicas what the losses are made of, as `tensorflow`
does with its map, then divide the loss by the number of replicas: the moments of
`neighbor_moments`; or the mean of `part_maps` over parts, and the mean of the norms of
its maps, for `unbiased_norm` with the number of parts of all replicas.

**Averages over steps.** To give a loss the gradient that it has at an average over
steps, pass it `tf.stop_gradient(average - moments) + moments`, where `average` has the
moments of this step in it. The same holds for maps.
"""

import math
from typing import Any

import tensorflow as tf  # pyright: ignore[reportMissingModuleSource]  # No dependency.

from jaxcorr.interop.tensorflow import correlation_maps, masked_norm, normalize

_RADIUS = 2
_SIDE = 2 * _RADIUS + 1
# Rows and columns of the 12 causal neighbors in raster order, and of the latent.
_TAPS = [divmod(tap, _SIDE) for tap in range(_SIDE * _RADIUS + _RADIUS + 1)]
_RIDGE = 1e-3


def unbiased_correlation_loss(
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
    """Estimates the correlation loss without the floor that a small batch gives it.

    It multiplies the maps of different images in place of squaring one map. It is 0 on
    average for white latents, and may be negative.

    Args:
      latent: Latents of shape [batch, height, width, channels]. If the batch has one
        image, the halves of its longer side take the place of two images.
      mean: As in `correlation_loss`, as all that follow.
      scale: Predicted standard deviation of each latent.
      window: Side of the map; half an image must hold it if there is only one.
      mask: Which cells count.
      scale_bound: Smallest scale to divide by.
      stop_scale_gradient: Whether to treat the scale as a constant.
      pool_channels: Whether channels share a map.

    Returns:
      The loss, a scalar without a unit.

    Raises:
      ValueError: As in `correlation_loss`, or if the latents have no batch axis.
      tf.errors.InvalidArgumentError: As in `correlation_loss`, and when a `tf.function`
        that was traced without a batch size gets one image.
    """
    normalized = normalize(
        latent,
        mean,
        scale,
        scale_bound=scale_bound,
        stop_scale_gradient=stop_scale_gradient,
    )
    maps = part_maps(normalized, window=window)
    if pool_channels:
        maps = tf.reduce_mean(maps, axis=1, keepdims=True)
    norm_of_mean = tf.reduce_mean(masked_norm(tf.reduce_mean(maps, axis=0), mask))
    mean_of_norms = tf.reduce_mean(masked_norm(maps, mask))
    parts = tf.shape(maps)[0] if maps.shape[0] is None else maps.shape[0]
    return unbiased_norm(norm_of_mean, mean_of_norms, parts=parts)


def part_maps(normalized: Any, *, window: int = 7) -> Any:
    """Computes the correlation maps of the parts of a batch that share no latent.

    Args:
      normalized: Normalized latents of shape [batch, height, width, channels].
      window: Side of the map, as in `correlation_map`.

    Returns:
      The map of each channel for each image, or for the two halves of a single image:
      [parts, channels, window, window].

    Raises:
      ValueError: If the latents have another shape, or a part cannot hold the window.
    """
    normalized = tf.convert_to_tensor(normalized)
    shape = _static_shape(normalized)
    if shape is None or len(shape) != 4 or 0 in shape:
        raise ValueError(
            "Latents must have the shape [batch, height, width, channels] and not be "
            f"empty, but their shape is {shape}."
        )
    if shape[0] == 1:
        normalized = _halves(normalized, window)
    # The channels of all images, as those of a single one.
    batch, height, width, channels = tf.unstack(tf.shape(normalized))
    joined = tf.transpose(normalized, [1, 2, 0, 3])
    joined = tf.reshape(joined, [height, width, batch * channels])
    joined.set_shape([*normalized.shape[1:3], None])
    maps = correlation_maps(joined, window=window)
    maps = tf.reshape(maps, [batch, channels, window, window])
    return tf.ensure_shape(maps, [normalized.shape[0], shape[3], window, window])


def unbiased_norm(norm_of_mean: Any, mean_of_norms: Any, *, parts: Any) -> Any:
    """Returns the mean product of the maps of different parts, cell by cell.

    Args:
      norm_of_mean: Masked norm of the mean of all maps.
      mean_of_norms: Mean of the masked norms of the maps.
      parts: Number of maps; an integer, or a tensor.

    Returns:
      (parts * norm_of_mean - mean_of_norms) / (parts - 1).

    Raises:
      ValueError: If there is only one part.
      tf.errors.InvalidArgumentError: The same, if `parts` is a tensor.
    """
    rule = "`parts` must be at least 2"
    is_known = isinstance(parts, int)
    if is_known and parts < 2:
        raise ValueError(f"{rule}, but is {parts}.")
    checks = [] if is_known else [tf.debugging.assert_greater_equal(parts, 2, rule)]
    norm_of_mean = tf.convert_to_tensor(norm_of_mean)
    with tf.control_dependencies(checks):
        parts = tf.cast(parts, norm_of_mean.dtype)
    return (parts * norm_of_mean - mean_of_norms) / (parts - 1)


def natural_weight(variance: Any, *, channels: int, stride: int = 16) -> Any:
    """Returns the weight at which the correlation loss is the bits it costs, per pixel.

    Args:
      variance: Mean of the squared normalized latents, such as the middle cell of the
        map. Its gradient is stopped. Below 10⁻⁶ it counts as 10⁻⁶.
      channels: Channels of the latents; at least 1.
      stride: Distance between two latents, in pixels; at least 1.

    Returns:
      channels / stride² / (4 ln 2) / variance², in bits per pixel.

    Raises:
      ValueError: If `channels` or `stride` is below 1.
    """
    _check_positive(channels=channels, stride=stride)
    variance = tf.maximum(tf.stop_gradient(tf.convert_to_tensor(variance)), 1e-6)
    return channels / stride**2 / (4 * math.log(2)) / variance**2


def whitening_loss(normalized: Any, *, stride: int = 16, offset: bool = False) -> Any:
    """Returns the bits per pixel that linear prediction from neighbors would save.

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
      tf.errors.InvalidArgumentError: The same, when a `tf.function` runs, for sizes
        that were unknown when it was traced. `jit_compile` drops these checks.
    """
    _check_positive(stride=stride)
    bits = whitening_bits(neighbor_moments(normalized), offset=offset)
    return tf.reduce_sum(bits) / stride**2


def neighbor_moments(normalized: Any) -> Any:
    """Averages the products of each latent, its causal neighbors and the number 1.

    Keeps 14 times the memory of the latents for the backward pass.

    Args:
      normalized: As in `whitening_loss`.

    Returns:
      Second moments for each channel, [channels, 14, 14], of the 12 causal neighbors in
      raster order, the latent itself, and 1; over all positions that have neighbors.

    Raises:
      ValueError: As in `whitening_loss`.
    """
    normalized = _check_latents(tf.convert_to_tensor(normalized))
    dtype = tf.float64 if normalized.dtype == tf.float64 else tf.float32
    height, width, channels = tf.unstack(tf.shape(normalized)[-3:])
    flat = tf.reshape(tf.cast(normalized, dtype), [-1, height, width, channels])
    planes = tf.transpose(flat, [3, 0, 1, 2])
    rows, columns = height - _RADIUS, width - _SIDE + 1
    inner = [channels, tf.shape(flat)[0], rows, columns]
    shifted = [tf.slice(planes, [0, 0, row, column], inner) for row, column in _TAPS]
    windows = tf.stack([*shifted, tf.ones_like(shifted[0])], axis=1)
    windows = tf.reshape(windows, [channels, len(_TAPS) + 1, -1])
    products = tf.matmul(windows, windows, transpose_b=True)
    moments = products / tf.cast(tf.shape(windows)[-1], dtype)
    moments.set_shape([normalized.shape[-1], len(_TAPS) + 1, len(_TAPS) + 1])
    return moments


def whitening_bits(moments: Any, *, offset: bool = False) -> Any:
    """Returns the bits per latent that linear prediction would save.

    Args:
      moments: Second moments of shape [..., 14, 14], as of `neighbor_moments`.
      offset: Whether to predict with a constant as well. The bits are then those of the
        neighbors around the mean b of the channel, plus the b² / (2 ln 2) bits that
        coding with the mean 0 costs. Without it, a mean other than zero counts as
        correlation, in part.

    Returns:
      ½ log2 of the second moment of the latent over that of its prediction error, for
      each channel; 0 for white latents.

    Raises:
      ValueError: If the moments have another shape.
    """
    moments = tf.convert_to_tensor(moments)
    shape, count = _static_shape(moments), len(_TAPS)
    if shape is None or len(shape) < 2 or shape[-2:] != (count + 1, count + 1):
        raise ValueError(
            f"`moments` must have the shape [..., {count + 1}, {count + 1}], but has "
            f"{shape}."
        )
    mean = moments[..., -1, :-1]
    covariance = moments[..., :-1, :-1]
    if offset:
        covariance -= mean[..., :, None] * mean[..., None, :]
    # The last row of the factor is that of the latent, and the square of its last entry
    # is the variance that its neighbors leave (the Schur complement).
    covariance += _RIDGE * tf.eye(count, dtype=moments.dtype)
    root = tf.linalg.cholesky(covariance)
    ratio = covariance[..., -1, -1] / root[..., -1, -1] ** 2
    bits = 0.5 / math.log(2) * tf.math.log(ratio)
    return bits + 0.5 / math.log(2) * mean[..., -1] ** 2 if offset else bits


def _halves(image: Any, window: int) -> Any:
    """Cuts an image into the two halves of its longer side."""
    sides = tuple(image.shape[1:3])
    if None in sides:
        raise ValueError(
            "The sides of a single image must be known; give them by `set_shape`."
        )
    longer = 0 if sides[0] >= sides[1] else 1
    half = sides[longer] // 2
    if not 3 <= window <= min(half, *sides):
        raise ValueError(
            "`window` must be at least 3 and at most half of the longer side of a "
            f"single image of latents ({half}), but is {window}."
        )
    axis = longer + 1
    halves = tf.split(image, [half, sides[longer] - 2 * half, half], axis=axis)
    return tf.concat([halves[0], halves[2]], axis=0)


def _check_latents(normalized: Any) -> Any:
    """Checks that latents have causal neighbors, and returns them."""
    rule = "Latents must have the shape [..., height, width, channels] and not be empty"
    shape = _static_shape(normalized)
    if shape is None or len(shape) < 3 or 0 in shape:
        raise ValueError(f"{rule}, but their shape is {shape}.")
    checks = []
    if None in shape:
        checks.append(tf.debugging.assert_positive(tf.size(normalized), rule))
    height, width = shape[-3:-1]
    least = [_RADIUS + 1, _SIDE]
    rule = f"Latents must be at least {least[0]} high and {least[1]} wide"
    rule = f"{rule} to have causal neighbors"
    if (height or _SIDE) <= _RADIUS or (width or _SIDE) < _SIDE:
        raise ValueError(f"{rule}, but are {height} high and {width} wide.")
    if height is None or width is None:
        sides = tf.shape(normalized)[-3:-1]
        checks.append(tf.debugging.assert_greater_equal(sides, least, rule))
    with tf.control_dependencies(checks):
        return tf.identity(normalized)


def _check_positive(**values: int) -> None:
    for name, value in values.items():
        if value < 1:
            raise ValueError(f"`{name}` must be at least 1, but is {value}.")


def _static_shape(tensor: Any) -> tuple[int | None, ...] | None:
    return None if tensor.shape.rank is None else tuple(tensor.shape)
