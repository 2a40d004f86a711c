"""Transforms of the mean-scale hyperprior: strided convolutions and GDN."""

import dataclasses

from flax import nnx

from jaxcorr import ops, serialization
from jaxcorr.errors import require
from jaxcorr.layers.convolution import Convolution, End, Upsampling
from jaxcorr.layers.gdn import GDN
from jaxcorr.transforms.base import Reach, Transforms, chain


@serialization.stored("Minnen")
@dataclasses.dataclass(frozen=True, kw_only=True)
class Minnen:
    """Four strided 5x5 convolutions with GDN in between, mirrored in the synthesis.

    References:
      Minnen et al., "Joint Autoregressive and Hierarchical Priors for Learned Image
      Compression", NeurIPS 2018, table 1, https://arxiv.org/abs/1809.02736.
    """

    width: int = 128
    """Channels of the hidden layers and of the side information."""
    channels: int = 192
    """Channels of the latents; even."""
    hyper_width: int | None = None
    """Channels of the two hidden layers of the hyper synthesis. By default, as in the
    paper, as many as the latents have, and half as many again. Fewer save most of the
    parameters of a codec with many latents."""

    def __post_init__(self):
        """Checks the numbers of channels."""
        even = self.channels >= 2 and self.channels % 2 == 0
        require(self, "width", "at least 1", self.width >= 1)
        require(self, "channels", "even and at least 2", even)
        hidden = self.hyper_width
        require(self, "hyper_width", "at least 1", hidden is None or hidden >= 1)

    @property
    def side_channels(self) -> int:
        """Number of channels of the side information."""
        return self.width

    @property
    def reach(self) -> Reach:
        """Distances over which outputs of the transforms see their inputs."""
        return Reach(analysis=2, synthesis=2, hyper_analysis=2, hyper_synthesis=2)

    @property
    def bytes_per_pixel(self) -> float:
        """Memory that analysis or synthesis take for a pixel, estimated."""
        return 4.0 * self.width

    def build(self, *, rngs: nnx.Rngs) -> Transforms:
        """Initializes the four transforms."""
        n, m = self.width, self.channels
        hidden = (self.hyper_width,) * 2 if self.hyper_width else (m, 3 * m // 2)

        def down(inputs: int, outputs: int, half: End | None = None) -> Convolution:
            return Convolution(
                inputs, outputs, size=5, stride=2, half_resolution=half, rngs=rngs
            )

        def up(inputs: int, outputs: int, half: End | None = None) -> Upsampling:
            return Upsampling(inputs, outputs, half_resolution=half, rngs=rngs)

        def conv(inputs: int, outputs: int) -> Convolution:
            return Convolution(inputs, outputs, size=3, rngs=rngs)

        return Transforms(
            analysis=chain(
                [down(3, n, half="output"), GDN(n, half_resolution=True)],
                [down(n, n, half="input"), GDN(n)],
                [down(n, n), GDN(n)],
                [down(n, m)],
            ),
            synthesis=chain(
                [up(m, n), GDN(n, inverse=True)],
                [up(n, n), GDN(n, inverse=True)],
                [up(n, n, half="output"), GDN(n, inverse=True, half_resolution=True)],
                [up(n, 3, half="input")],
            ),
            hyper_analysis=chain(
                [conv(m, n), ops.leaky_relu],
                [down(n, n), ops.leaky_relu],
                [down(n, n)],
            ),
            hyper_synthesis=chain(
                [up(n, hidden[0]), ops.leaky_relu],
                [up(hidden[0], hidden[1]), ops.leaky_relu],
                [conv(hidden[1], 2 * m)],
            ),
        )


SIZES = {
    "128-192": Minnen(width=128, channels=192),
    "192-192": Minnen(width=192, channels=192),
    "192-320": Minnen(width=192, channels=320),
}
"""Sizes in CompressAI, named by width and channels. At its four lowest rates it uses
128-192 without a context model and 192-192 with the autoregressive one; at higher rates
it uses 192-320."""
