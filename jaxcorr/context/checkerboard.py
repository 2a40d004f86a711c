"""Checkerboard context: anchors first, then the latents between them."""

import dataclasses

from flax import nnx
from jaxtyping import Array
from typing_extensions import override

from jaxcorr import serialization
from jaxcorr.context.parameters import MeanAndScale, ParameterNetwork
from jaxcorr.context.passes import PassContext
from jaxcorr.context.schedule import Pass
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
