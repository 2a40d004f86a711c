"""Predictors of the Gaussian of a residual, from coefficients per channel.

    offset = scale · (offset features · coefficients)
    log scale' = scale features · coefficients

`fitting` fits the coefficients to the fewest bits.
"""

import dataclasses
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Bool, Float, Int

from jaxcorr.context.autoregressive import CAUSAL_TAPS
from jaxcorr.entropy.gaussian import gaussian_bits
from jaxcorr.neighbors.samples import Samples

TAPS = len(CAUSAL_TAPS)
OFFSETS = 1 + TAPS
"""Features of the offset: a constant and the neighbors."""
COEFFICIENTS = OFFSETS + 4
"""Coefficients of a channel: of the offset, then of the logarithm of the scale."""
CONSTANT, NEIGHBORS = 0, range(1, OFFSETS)
GAIN, EXPONENT, NEIGHBOR_ENERGY, CHANNEL_ENERGY = range(OFFSETS, COEFFICIENTS)
IDENTITY = np.eye(COEFFICIENTS)[EXPONENT]
"""Coefficients that change nothing."""

ENERGY_FLOOR = 0.1
"""Energy that is added before the logarithm; that of white residuals is 1."""
LOG_SCALES = -4.0, 9.0
"""Range of predicted logarithms of scales."""

Coefficients = Float[np.ndarray, "f c p"]
"""Coefficients of each fold and channel."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Predictor:
    """A choice of the coefficients that are fitted.

    Attributes:
      name: Key in results.
      free: Whether each coefficient is fitted.
      shared: Whether all channels share a coefficient.
    """

    name: str
    free: Bool[np.ndarray, " p"]
    shared: Bool[np.ndarray, " p"]


def _predictor(name: str, free: Sequence[int], shared: Sequence[int] = ()) -> Predictor:
    cells = np.arange(COEFFICIENTS)
    return Predictor(
        name=name, free=np.isin(cells, free), shared=np.isin(cells, shared)
    )


_OWN = [CONSTANT, GAIN, EXPONENT]
PREDICTORS = (
    _predictor("calibration", _OWN),
    _predictor("pooled_filter", [*_OWN, *NEIGHBORS], shared=[*NEIGHBORS]),
    _predictor("channel_filters", [*_OWN, *NEIGHBORS]),
    _predictor("neighbor_energy", [*_OWN, *NEIGHBORS, NEIGHBOR_ENERGY]),
    _predictor("channel_energy", [*_OWN, *NEIGHBORS, NEIGHBOR_ENERGY, CHANNEL_ENERGY]),
)
"""The predictors in their order; each has what the one before it has."""


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Features:
    """Inputs of the predictors, for all channels or for one.

    Attributes:
      residual: Residuals.
      scale: Scales that the codec predicts.
      offset: Features of the offset.
      log_scale: Features of the logarithm of the scale.
    """

    residual: Float[Array, "*c n"]
    scale: Float[Array, "*c n"]
    offset: Float[Array, "*c n a"]
    log_scale: Float[Array, "*c n b"]


def make_features(samples: Samples) -> Features:
    """Returns the features of all positions."""
    here = samples.padded[samples.index]
    neighbors = samples.padded[samples.neighbor_index]
    earlier = np.cumsum(here**2, axis=1, dtype=np.float64) - here**2
    earlier /= np.maximum(np.arange(here.shape[1]), 1)
    scale_features = [
        np.ones_like(here),
        np.log(samples.scale),
        np.log(ENERGY_FLOOR + np.mean(neighbors**2, axis=1)),
        np.log(ENERGY_FLOOR + earlier),
    ]
    offsets = np.concatenate([np.ones_like(here)[:, None], neighbors], axis=1)

    def channels_first(array: np.ndarray) -> Array:
        return jnp.asarray(np.moveaxis(array, -1, 0), jnp.float32)

    return Features(
        residual=channels_first(samples.residual),
        scale=channels_first(samples.scale),
        offset=jnp.asarray(np.transpose(offsets, (2, 0, 1))),
        log_scale=jnp.asarray(
            np.stack(scale_features, axis=-1).swapaxes(0, 1), jnp.float32
        ),
    )


def predict_channel(
    channel: Features, theta: Float[Array, "f p"]
) -> tuple[Array, Array]:
    """Returns offsets and scales [f, n] of a channel, for each row of coefficients."""
    offset = channel.scale[None] * (theta[:, :OFFSETS] @ channel.offset.T)
    log_scale = theta[:, OFFSETS:] @ channel.log_scale.T
    return offset, jnp.exp(jnp.clip(log_scale, *LOG_SCALES))


@jax.jit
def predict(
    features: Features, coefficients: Float[ArrayLike, "c p"]
) -> tuple[Float[Array, "n c"], Float[Array, "n c"]]:
    """Returns the offset and the scale of every Gaussian under some coefficients."""
    theta = jnp.asarray(coefficients, jnp.float32)[:, None]
    offset, scale = jax.lax.map(
        lambda pair: predict_channel(pair[0], pair[1]), (features, theta)
    )
    return offset[:, 0].T, scale[:, 0].T


def held_out_bits(
    features: Features,
    fold: Int[np.ndarray, " n"],
    coefficients: Coefficients,
) -> Float[np.ndarray, "n c"]:
    """Returns the bits of each residual under the coefficients of its fold.

    With the identity as coefficients these are the bits of the codec.
    """
    bits = _bits_of_fold(features, fold, np.float32(coefficients))
    return np.asarray(bits, np.float64).T


@jax.jit
def _bits_of_fold(
    features: Features, fold: Int[Array, " n"], coefficients: Float[Array, "f c p"]
) -> Float[Array, "c n"]:
    def one_channel(arguments):
        channel, theta = arguments
        offset, scale = predict_channel(channel, theta)
        bits = gaussian_bits(channel.residual[None] - offset, scale)
        return jnp.take_along_axis(bits, fold[None], axis=0)[0]

    return jax.lax.map(one_channel, (features, jnp.swapaxes(coefficients, 0, 1)))
