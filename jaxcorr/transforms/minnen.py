"""Transforms of the mean-scale hyperprior: strided convolutions and GDN."""

import dataclasses

from flax import nnx

from jaxcorr import ops, serialization
from jaxcorr.errors import require
from jaxcorr.layers.convolution import Convolution, Upsampling
from jaxcorr.layers.gdn import GDN
from jaxcorr.transforms.base import Transforms


@serialization.stored("Minnen")
@dataclasses.dataclass(frozen=True, kw_only=True)
class Minnen:
    """Four 5x5 convolutions at stride 2 with GDN between them, and their mirror.

    References:
      Minnen et al., "Joint Autoregressive and Hierarchical Priors for Learned Image
      Compression", NeurIPS 2018, table 1, https://arxiv.org/abs/1809.02736.
    """

    width: int = 128
    """Channels of the hidden layers and of the side information."""
    channels: int = 192
    """Channels of the latents; even."""

    def __post_init__(self):
        """Checks the sizes."""
        even = self.channels >= 2 and self.channels % 2 == 0
        require(self, "width", "at least 1", self.width >= 1)
        require(self, "channels", "even and at least 2", even)

    @property
    def side_channels(self) -> int:
        """Channels of the side information."""
        return self.width

    def build(self, *, rngs: nnx.Rngs) -> Transforms:
        """Initializes the four transforms."""
        n, m, middle = self.width, self.channels, 3 * self.channels // 2

        def down(inputs: int, outputs: int) -> Convolution:
            return Convolution(inputs, outputs, size=5, stride=2, rngs=rngs)

        def up(inputs: int, outputs: int) -> Upsampling:
            return Upsampling(inputs, outputs, rngs=rngs)

        def flat(inputs: int, outputs: int) -> Convolution:
            return Convolution(inputs, outputs, size=3, rngs=rngs)

        return Transforms(
            analysis=nnx.Sequential(
                *(down(3, n), GDN(n)),
                *(down(n, n), GDN(n)),
                *(down(n, n), GDN(n)),
                down(n, m),
            ),
            synthesis=nnx.Sequential(
                *(up(m, n), GDN(n, inverse=True)),
                *(up(n, n), GDN(n, inverse=True)),
                *(up(n, n), GDN(n, inverse=True)),
                up(n, 3),
            ),
            hyper_analysis=nnx.Sequential(
                *(flat(m, n), ops.leaky_relu),
                *(down(n, n), ops.leaky_relu),
                down(n, n),
            ),
            hyper_synthesis=nnx.Sequential(
                *(up(n, m), ops.leaky_relu),
                *(up(m, middle), ops.leaky_relu),
                flat(middle, 2 * m),
            ),
        )


SIZES = {
    "128-192": Minnen(width=128, channels=192),
    "192-192": Minnen(width=192, channels=192),
    "192-320": Minnen(width=192, channels=320),
}
"""Sizes of CompressAI: without a context model the first at its four lowest rates, with
the autoregressive one the second; the third above."""
