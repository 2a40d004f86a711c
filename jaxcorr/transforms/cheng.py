"""Transforms of Cheng et al. 2020: small convolutions in residual blocks."""

import dataclasses

from flax import nnx

from jaxcorr import ops, serialization
from jaxcorr.errors import require
from jaxcorr.layers.convolution import Convolution
from jaxcorr.layers.residual import (
    AttentionBlock,
    Downsampling,
    ResidualBlock,
    ResidualUpsampling,
)
from jaxcorr.layers.subpixel import SubPixelUpsampling
from jaxcorr.transforms.base import Transforms


@serialization.stored("Cheng")
@dataclasses.dataclass(frozen=True, kw_only=True)
class Cheng:
    """Residual blocks of 3x3 convolutions; resolution changes at every second one.

    References:
      Cheng et al., "Learned Image Compression with Discretized Gaussian Mixture
      Likelihoods and Attention Modules", CVPR 2020, figure 4,
      https://arxiv.org/abs/2001.01568. Layers are those of CompressAI's
      `cheng2020-anchor`, or `cheng2020-attn` with attention.
    """

    width: int = 128
    """Channels of the hidden layers, of the latents and of the side information."""
    attention: bool = False
    """Whether analysis and synthesis have attention blocks, two each."""

    def __post_init__(self):
        """Checks the width."""
        even = self.width >= 2 and self.width % 2 == 0
        require(self, "width", "even and at least 2", even)

    @property
    def channels(self) -> int:
        """Channels of the latents."""
        return self.width

    @property
    def side_channels(self) -> int:
        """Channels of the side information."""
        return self.width

    def build(self, *, rngs: nnx.Rngs) -> Transforms:
        """Initializes the four transforms."""
        n, middle = self.width, 3 * self.width // 2

        def down(inputs: int) -> Downsampling:
            return Downsampling(inputs, n, rngs=rngs)

        def up() -> ResidualUpsampling:
            return ResidualUpsampling(n, n, rngs=rngs)

        def block() -> ResidualBlock:
            return ResidualBlock(n, rngs=rngs)

        def attention() -> tuple[AttentionBlock, ...]:
            return (AttentionBlock(n, rngs=rngs),) if self.attention else ()

        def flat(inputs: int, outputs: int, stride: int = 1) -> Convolution:
            return Convolution(inputs, outputs, size=3, stride=stride, rngs=rngs)

        def double(channels: int, outputs: int) -> SubPixelUpsampling:
            return SubPixelUpsampling(channels, outputs, rngs=rngs)

        return Transforms(
            analysis=nnx.Sequential(
                *(down(3), block(), down(n), *attention(), block(), down(n), block()),
                *(flat(n, n, 2), *attention()),
            ),
            synthesis=nnx.Sequential(
                *(*attention(), block(), up(), block(), up(), *attention()),
                *(block(), up(), block(), double(n, 3)),
            ),
            hyper_analysis=nnx.Sequential(
                *(flat(n, n), ops.leaky_relu, flat(n, n), ops.leaky_relu),
                *(flat(n, n, 2), ops.leaky_relu, flat(n, n), ops.leaky_relu),
                flat(n, n, 2),
            ),
            hyper_synthesis=nnx.Sequential(
                *(flat(n, n), ops.leaky_relu, double(n, n), ops.leaky_relu),
                *(flat(n, middle), ops.leaky_relu),
                *(double(middle, middle), ops.leaky_relu),
                flat(middle, 2 * n),
            ),
        )


SIZES = {"128": Cheng(width=128), "192": Cheng(width=192)}
"""Sizes of CompressAI: the smaller at its three lowest rates, the larger above."""
