"""Fits the coefficients of predictors to the fewest bits of rounded Gaussians."""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Float32

from jaxcorr.entropy.gaussian import gaussian_bits
from jaxcorr.neighbors.predictors import (
    IDENTITY,
    Coefficients,
    Features,
    Predictor,
    predict_channel,
)

RIDGE = 10.0
"""Curvature of the penalty that keeps coefficients of dead channels at the identity."""
MAX_ITERATIONS = 12
TOLERANCE = 1e-4
"""Relative decrease of the bits at which the fit ends."""
_NATS_PER_BIT = float(np.log(2))


def fit(
    features: Features,
    weight: Float32[np.ndarray, "f n"],
    start: Coefficients,
    predictor: Predictor,
) -> Coefficients:
    """Returns the coefficients with the fewest bits, by damped Newton steps.

    Args:
      features: Features of all positions.
      weight: Weight of each position in each fold; 0 where it is not fitted.
      start: Coefficients to start from.
      predictor: Coefficients to fit.
    """
    is_shared = bool(predictor.shared.any())

    def evaluate(coefficients: Coefficients) -> list[np.ndarray]:
        derivatives = _derivatives(features, weight, np.float32(coefficients))
        # From [channels, folds, ...]. Sums of many bits need float64.
        value, gradient, curvature = (
            np.moveaxis(np.asarray(array, np.float64), 0, 1) for array in derivatives
        )
        distance = coefficients - IDENTITY
        value += 0.5 * RIDGE * np.sum(distance**2, axis=-1)
        gradient += RIDGE * distance
        curvature += RIDGE * np.eye(distance.shape[-1])
        if is_shared:
            value = np.broadcast_to(value.sum(1, keepdims=True), value.shape)
        return [value, gradient, curvature]

    best, current = start, evaluate(start)
    damping = np.full(current[0].shape, 1e-3)
    for _ in range(MAX_ITERATIONS):
        step = _newton_step(current[1], current[2], damping, predictor)
        proposed = best + step
        found = evaluate(proposed)
        better = found[0] < current[0]
        gained = np.where(better, current[0] - found[0], 0.0).sum()
        best = np.where(better[..., None], proposed, best)
        current = [
            np.where(better.reshape(*better.shape, *(1,) * (new.ndim - 2)), new, old)
            for new, old in zip(found, current, strict=True)
        ]
        damping = np.where(better, damping / 10, damping * 30)
        if better.all() and gained < TOLERANCE * current[0].sum():
            break
    return best


def _newton_step(
    gradient: Float[np.ndarray, "f c p"],
    curvature: Float[np.ndarray, "f c p p"],
    damping: Float[np.ndarray, "f c"],
    predictor: Predictor,
) -> Coefficients:
    """Returns the steps of all folds and channels; shared coefficients have one step.

    The shared ones come first, by the Schur complement of the others.
    """
    shared = predictor.shared
    own = predictor.free & ~shared
    diagonal = np.einsum("fcpp->fcp", curvature)
    damped = curvature + np.einsum(
        "fc,fcp,pq->fcpq", damping, diagonal, np.eye(diagonal.shape[-1])
    )

    def block(rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
        return damped[:, :, rows][..., columns]

    step = np.zeros_like(gradient)
    right = gradient[..., own]
    if shared.any():
        solved = np.linalg.solve(block(own, own), block(own, shared))
        across = np.swapaxes(solved, -1, -2)
        complement = block(shared, shared) - across @ block(own, shared)
        reduced = gradient[..., shared] - (across @ right[..., None])[..., 0]
        common = np.linalg.solve(complement.sum(1), reduced.sum(1)[..., None])[..., 0]
        step[..., shared] = -common[:, None]
        right = right - (block(own, shared) @ common[:, None, :, None])[..., 0]
    step[..., own] = -np.linalg.solve(block(own, own), right[..., None])[..., 0]
    return step


@jax.jit
def _derivatives(
    features: Features, weight: Float[Array, "f n"], coefficients: Float[Array, "f c p"]
) -> tuple[Array, Array, Array]:
    """Returns nats, their gradient and their curvature, for each channel and fold.

    The curvature leaves out what couples offsets and scales, which is 0 on average.
    """

    def one_channel(arguments):
        channel, theta = arguments
        offset, scale = predict_channel(channel, theta)
        nats, by_offset, by_scale = rounded_gaussian(
            channel.residual[None] - offset, scale, weight
        )
        (first, second), steps = by_offset, channel.scale[None]
        offset_parts = first * steps, second * steps**2
        gradients, curvatures = [], []
        for (g, h), x in (
            (offset_parts, channel.offset),
            (by_scale, channel.log_scale),
        ):
            gradients.append(g @ x)
            curvatures.append(jnp.einsum("fn,np,nq->fpq", h, x, x))
        curvature = jax.vmap(jax.scipy.linalg.block_diag)(*curvatures)
        return nats.sum(-1), jnp.concatenate(gradients, -1), curvature

    return jax.lax.map(one_channel, (features, jnp.swapaxes(coefficients, 0, 1)))


def rounded_gaussian(residual: Array, scale: Array, weight: Array):
    """Returns weighted nats, and their first and second derivatives.

    Returns:
      The nats; their derivatives by the offset, and by the logarithm of the scale.
    """
    nats = _NATS_PER_BIT * gaussian_bits(residual, scale)
    upper, lower = (residual + 0.5) / scale, (residual - 0.5) / scale
    # Densities at both ends of the step, divided by the probability of the step.
    high, low = (
        jnp.exp(nats - 0.5 * end**2) / np.sqrt(2 * np.pi) for end in (upper, lower)
    )
    slope = (high - low) / scale
    twist = upper * high - lower * low
    bend = upper * high * (1 - upper**2) - lower * low * (1 - lower**2)
    offset_curvature = jnp.maximum(slope**2 + twist / scale**2, 0)
    scale_curvature = jnp.maximum(twist**2 - bend, 0)
    return (
        weight * nats,
        (weight * slope, weight * offset_curvature),
        (weight * twist, weight * scale_curvature),
    )
