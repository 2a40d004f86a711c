"""Checkerboard context: anchors first, then the latents between them."""

import dataclasses

import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float
from typing_extensions import override

from jaxcorr import serialization
from jaxcorr.context.parameters import MeanAndScale, ParameterNetwork
from jaxcorr.context.passes import PassContext
from jaxcorr.context.schedule import Pass
from jaxcorr.layers import valid_region
from jaxcorr.layers.convolution import MaskedConvolution

ODD_TAPS = tuple(
    (row, column)
    for row in range(-2, 3)
    for column in range(-2, 3)
    if (row + column) % 2
)
"""Offsets of the anchors in a 5x5 square around a latent that is not an anchor."""


@serialization.stored("Checkerboard")
@dataclasses.dataclass(frozen=True, kw_only=True)
class Checkerboard:
    """Two passes: anchors (row + column is even), then the latents between them."""

    def build(self, *, channels: int, rngs: nnx.Rngs) -> "CheckerboardContext":
        """Builds the context model, with initial parameters."""
        return CheckerboardContext(channels, rngs=rngs)


class CheckerboardContext(PassContext):
    """Predicts anchors from features, and the other latents from anchors as well.

    Training runs both passes, with straight-through rounding between them.

    Args:
      channels: Channels of the latents.
      rngs: Source of the initial parameters.

    References:
      He et al., "Checkerboard Context Model for Efficient Learned Image Compression",
      CVPR 2021, https://arxiv.org/abs/2103.15306.
    """

    def __init__(self, channels: int, *, rngs: nnx.Rngs):
        self.neighbors = MaskedConvolution(
            channels, 2 * channels, taps=ODD_TAPS, rngs=rngs
        )
        self.network = ParameterNetwork(channels, rngs=rngs)
        self.schedule = tuple(
            Pass(channels=(0, channels), parity=parity) for parity in (0, 1)
        )
        self.reach = 2

    @override
    def prepare(self, features: Array) -> Array:
        return self.network.features(features)

    @override
    def predict(self, inputs: tuple[Array, Array], index: int) -> MeanAndScale:
        projected, anchors = inputs
        return self.network(projected, self.neighbors(anchors) if index else None)

    @override
    def predict_packed(self, inputs: tuple[Array, Array], index: int) -> MeanAndScale:
        projected, anchors = inputs
        part, neighbors = self.schedule[index], None
        if index:
            seen = _at_taps(valid_region.mask(anchors), part)
            neighbors = self.neighbors.at_positions(seen)
        return self.network(part.pack(projected), neighbors)


def _at_taps(
    anchors: Float[Array, "b h w c"], part: Pass
) -> Float[Array, "b h w2 taps c"]:
    """Returns the anchors around each position of a pass."""
    height, width = anchors.shape[1:3]
    padded = jnp.pad(anchors, ((0, 0), (2, 2), (2, 2), (0, 0)))
    starts = [(row + 2, column + 2) for row, column in ODD_TAPS]
    seen = [
        part.pack(padded[:, row : row + height, column : column + width])
        for row, column in starts
    ]
    return jnp.stack(seen, axis=-2)
