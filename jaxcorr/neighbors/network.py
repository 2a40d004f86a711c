"""A small network that corrects offsets and scales, with or without neighbors."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, ArrayLike, Bool, Float, Int, Key

from jaxcorr.entropy.gaussian import gaussian_bits
from jaxcorr.neighbors.predictors import ENERGY_FLOOR, TAPS
from jaxcorr.neighbors.samples import Samples

HIDDEN = 64
BATCH = 512
"""Positions of a step."""
STEPS, EPOCHS = 500, 10
"""Most steps of a training, and most passes over its positions."""
LEARNING_RATE, WEIGHT_DECAY = 3e-3, 1.0
"""The learning rate falls to 0 along a cosine; the decay is multiplied by it."""
OPTIMIZER = optax.chain(
    optax.clip_by_global_norm(1.0),
    optax.scale_by_adam(),
    optax.add_decayed_weights(WEIGHT_DECAY),
)
DROPOUT = 0.5
"""Share of what is seen of neighbors that a training step hides, against overfitting to
the few images."""
SHARES = (0.0, 0.25, 0.5, 0.75, 1.0)
"""Shares of the correction to choose from; 0 leaves the predictor as it is."""
LOG_SCALE_LIMIT = 3.0
"""Largest change of the logarithm of a scale."""

Layers = Any
"""Arrays by the names of the layers."""


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Start:
    """Gaussians that the network corrects, and what it sees.

    Attributes:
      residual: Residuals.
      scale: Scales that the codec predicts.
      offset: Offsets to correct.
      log_scale: Logarithms of scales to correct.
      padded: As in `Samples`.
      neighbors: As `Samples.neighbor_index`.
    """

    residual: Float[Array, "n c"]
    scale: Float[Array, "n c"]
    offset: Float[Array, "n c"]
    log_scale: Float[Array, "n c"]
    padded: Float[Array, "m c"]
    neighbors: Int[Array, "n taps"]


def make_start(
    samples: Samples, offset: Float[Array, "n c"], scale: Float[Array, "n c"]
) -> Start:
    """Returns the Gaussians of a predictor, for the network to correct."""
    return Start(
        residual=jnp.asarray(samples.residual),
        scale=jnp.asarray(samples.scale),
        offset=offset,
        log_scale=jnp.log(scale),
        padded=jnp.asarray(samples.padded),
        neighbors=jnp.asarray(samples.neighbor_index),
    )


def fit(
    start: Start, chosen: Bool[np.ndarray, " n"], *, sees_neighbors: bool
) -> Layers:
    """Returns the layers of a network that is trained at some positions.

    It starts as the predictor that it corrects. A network that does not see neighbors
    is the same one with zeros in their place.
    """
    rng = np.random.default_rng(0)
    layers = _initialize(rng, start.residual.shape[1])
    state = jax.jit(OPTIMIZER.init)(layers)
    positions = np.flatnonzero(chosen)
    batch = min(BATCH, positions.size)
    steps = min(STEPS, EPOCHS * positions.size // batch)
    order = np.concatenate(
        [rng.permutation(positions) for _ in range(-(-steps * batch // positions.size))]
    )
    visible, key = jnp.float32(sees_neighbors), jax.random.key(1)
    for step in range(steps):
        rate = jnp.float32(LEARNING_RATE * (1 + np.cos(np.pi * step / steps)) / 2)
        index = jnp.asarray(order[step * batch : (step + 1) * batch])
        layers, state = _train_step(
            layers, state, start, index, visible, key, step, rate
        )
    return layers


def bits(
    layers: Layers,
    start: Start,
    chosen: Bool[np.ndarray, " n"],
    *,
    sees_neighbors: bool,
) -> Float[np.ndarray, "k c shares"]:
    """Returns the bits of the residuals at some positions, for all of `SHARES`."""
    visible, positions = jnp.float32(sees_neighbors), np.flatnonzero(chosen)
    found = []
    for first in range(0, positions.size, BATCH):
        index = positions[first : first + BATCH]
        padded = np.resize(index, BATCH)  # One shape, so one program.
        bits = _bits_of_shares(layers, start, jnp.asarray(padded), visible)
        found.append(np.asarray(bits, np.float64)[: index.size])
    return np.concatenate(found)


def _initialize(rng: np.random.Generator, channels: int) -> Layers:
    sizes = {
        "local": (channels, HIDDEN),
        "neighbors": ((TAPS + 1) * channels, HIDDEN),
        "hidden": (HIDDEN, HIDDEN),
    }
    layers = {
        name: rng.normal(0, shape[0] ** -0.5, shape) for name, shape in sizes.items()
    }
    layers |= {f"{name}_bias": np.zeros(HIDDEN) for name in ("local", "hidden")}
    layers["last"] = np.zeros((HIDDEN, 2 * channels))
    layers["last_bias"] = np.zeros(2 * channels)
    return {name: jnp.asarray(array, jnp.float32) for name, array in layers.items()}


@jax.jit
def _bits_of_shares(
    layers: Layers, start: Start, index: Int[Array, " k"], visible: Float[Array, ""]
) -> Float[Array, "k c shares"]:
    changes = _corrections(layers, start, index, visible)
    found = [_corrected_bits(start, index, changes, share) for share in SHARES]
    return jnp.stack(found, axis=-1)


def _corrections(
    layers: Layers,
    start: Start,
    index: Int[Array, " k"],
    visible: Float[Array, ""],
    kept: Bool[Array, "k seen"] | None = None,
) -> tuple[Float[Array, "k c"], Float[Array, "k c"]]:
    """Returns the changes of offsets, in scales, and of logarithms of scales.

    Args:
      layers: Layers of the network.
      start: Gaussians to correct.
      index: Positions.
      visible: 1 if the network sees neighbors, otherwise 0.
      kept: What dropout does not hide.
    """
    scale, seen = start.scale[index], _neighbor_features(start, index)
    if kept is not None:
        seen = jnp.where(kept, seen / (1 - DROPOUT), 0.0)
    bias = layers["local_bias"][None]
    x = jnp.log(scale) @ layers["local"] + bias
    x = jax.nn.gelu(x + visible * (seen @ layers["neighbors"]))
    x = jax.nn.gelu(x @ layers["hidden"] + layers["hidden_bias"][None])
    offset, log_scale = jnp.split(x @ layers["last"] + layers["last_bias"][None], 2, 1)
    return offset, LOG_SCALE_LIMIT * jnp.tanh(log_scale / LOG_SCALE_LIMIT)


def _corrected_bits(
    start: Start, index: Int[Array, " k"], changes: tuple[Array, Array], share: float
) -> Float[Array, "k c"]:
    """Returns the bits at some positions after a share of the changes."""
    center = start.offset[index] + share * start.scale[index] * changes[0]
    scale = jnp.exp(start.log_scale[index] + share * changes[1])
    return gaussian_bits(start.residual[index] - center, scale)


def _neighbor_features(start: Start, index: Int[Array, " k"]) -> Float[Array, "k seen"]:
    """Returns the neighbors in all channels, and their energy in each channel."""
    neighbors = start.padded[start.neighbors[index]]
    energy = jnp.log(ENERGY_FLOOR + jnp.mean(neighbors**2, axis=1))
    values = jnp.tanh(neighbors).reshape(index.shape[0], -1)
    return jnp.concatenate([values, energy], axis=1)


@jax.jit
def _train_step(
    layers: Layers,
    state: Any,
    start: Start,
    index: Int[Array, " k"],
    visible: Float[Array, ""],
    key: Key[Array, ""],
    step: Int[ArrayLike, ""],
    rate: Float[Array, ""],
) -> tuple[Layers, Any]:
    seen = layers["neighbors"].shape[0]
    key = jax.random.fold_in(key, step)
    kept = jax.random.bernoulli(key, 1 - DROPOUT, (index.shape[0], seen))

    def loss(layers: Layers) -> Array:
        changes = _corrections(layers, start, index, visible, kept)
        return jnp.mean(_corrected_bits(start, index, changes, 1.0).sum(axis=1))

    gradient = jax.grad(loss)(layers)
    updates, state = OPTIMIZER.update(gradient, state, layers)
    updates = jax.tree.map(lambda update: -rate * update, updates)
    return optax.apply_updates(layers, updates), state
