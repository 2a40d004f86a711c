"""Transforms of Cheng et al. 2020: residual blocks of 3x3 convolutions."""

import dataclasses

from flax import nnx

from jaxcorr import ops, serialization
from jaxcorr.errors import require
from jaxcorr.layers.convolution import Convolution
from jaxcorr.layers.residual import (
    AttentionBlock,
    ResidualBlock,
    ResidualDownsampling,
    ResidualUpsampling,
)
from jaxcorr.layers.subpixel import SubPixelUpsampling
from jaxcorr.transforms.base import Reach, Transforms, chain


@serialization.stored("Cheng")
@dataclasses.dataclass(frozen=True, kw_only=True)
class Cheng:
    """Residual blocks of 3x3 convolutions; every second one changes the resolution.

    The layers are those of CompressAI's `cheng2020-anchor`, or of `cheng2020-attn` with
    attention.

    References:
      Cheng et al., "Learned Image Compression with Discretized Gaussian Mixture
      Likelihoods and Attention Modules", CVPR 2020, figure 4,
      https://arxiv.org/abs/2001.01568.
    """

    width: int = 128
    """Channels of the hidden layers, the latents and the side information; even."""
    attention: bool = False
    """Adds two attention blocks each to analysis and synthesis."""

    def __post_init__(self):
        """Checks the width."""
        even = self.width >= 2 and self.width % 2 == 0
        require(self, "width", "even and at least 2", even)

    @property
    def channels(self) -> int:
        """Number of channels of the latents."""
        return self.width

    @property
    def side_channels(self) -> int:
        """Number of channels of the side information."""
        return self.width

    @property
    def reach(self) -> Reach:
        """Distances over which outputs of the transforms see their inputs."""
        analysis, synthesis = (8, 11) if self.attention else (4, 7)
        return Reach(
            analysis=analysis, synthesis=synthesis, hyper_analysis=2, hyper_synthesis=4
        )

    @property
    def bytes_per_pixel(self) -> float:
        """Memory that analysis or synthesis take for a pixel, estimated."""
        return 8.0 * self.width

    def build(self, *, rngs: nnx.Rngs) -> Transforms:
        """Initializes the four transforms."""
        n, middle = self.width, 3 * self.width // 2

        def down(inputs: int) -> ResidualDownsampling:
            return ResidualDownsampling(inputs, n, rngs=rngs)

        def up() -> ResidualUpsampling:
            return ResidualUpsampling(n, n, rngs=rngs)

        def block() -> ResidualBlock:
            return ResidualBlock(n, rngs=rngs)

        def attention() -> list[AttentionBlock]:
            return [AttentionBlock(n, rngs=rngs)] if self.attention else []

        def conv(inputs: int, outputs: int, stride: int = 1) -> Convolution:
            return Convolution(inputs, outputs, size=3, stride=stride, rngs=rngs)

        def sub_pixel(inputs: int, outputs: int) -> SubPixelUpsampling:
            return SubPixelUpsampling(inputs, outputs, rngs=rngs)

        return Transforms(
            analysis=chain(
                [down(3), block()],
                [down(n), *attention(), block()],
                [down(n), block()],
                [conv(n, n, stride=2), *attention()],
            ),
            synthesis=chain(
                [*attention(), block(), up()],
                [block(), up()],
                [*attention(), block(), up()],
                [block(), sub_pixel(n, 3)],
            ),
            hyper_analysis=chain(
                [conv(n, n), ops.leaky_relu],
                [conv(n, n), ops.leaky_relu],
                [conv(n, n, stride=2), ops.leaky_relu],
                [conv(n, n), ops.leaky_relu],
                [conv(n, n, stride=2)],
            ),
            hyper_synthesis=chain(
                [conv(n, n), ops.leaky_relu],
                [sub_pixel(n, n), ops.leaky_relu],
                [conv(n, middle), ops.leaky_relu],
                [sub_pixel(middle, middle), ops.leaky_relu],
                [conv(middle, 2 * n)],
            ),
        )


SIZES = {"128": Cheng(width=128), "192": Cheng(width=192)}
"""Sizes in CompressAI, named by width: 128 at its three lowest rates, 192 above."""
