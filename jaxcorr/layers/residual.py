"""Residual blocks of Cheng et al. 2020: at full, half and double resolution.

References:
  Cheng et al., "Learned Image Compression with Discretized Gaussian Mixture Likelihoods
  and Attention Modules", CVPR 2020, https://arxiv.org/abs/2001.01568. As in CompressAI,
  residual blocks have no activation after the sum.
"""

from flax import nnx
from jaxtyping import Array, Float

from jaxcorr import ops
from jaxcorr.layers.convolution import Convolution, Pointwise
from jaxcorr.layers.gdn import GDN
from jaxcorr.layers.subpixel import SubPixelUpsampling


class ResidualBlock(nnx.Module):
    """Two 3x3 convolutions, each activated, beside the identity."""

    def __init__(self, channels: int, *, rngs: nnx.Rngs):
        """Initializes both convolutions."""
        self.first = Convolution(channels, channels, size=3, rngs=rngs)
        self.second = Convolution(channels, channels, size=3, rngs=rngs)

    def __call__(self, x: Float[Array, "b h w c"]) -> Float[Array, "b h w c"]:
        """Keeps resolution and channels."""
        hidden = ops.leaky_relu(self.first(x))
        return x + ops.leaky_relu(self.second(hidden))


class Downsampling(nnx.Module):
    """A strided and a plain 3x3 convolution with GDN, beside a strided 1x1 one."""

    def __init__(self, inputs: int, outputs: int, *, rngs: nnx.Rngs):
        """Initializes the three convolutions and the normalization."""
        self.first = Convolution(inputs, outputs, size=3, stride=2, rngs=rngs)
        self.second = Convolution(outputs, outputs, size=3, rngs=rngs)
        self.normalization = GDN(outputs)
        self.skip = Pointwise(inputs, outputs, stride=2, rngs=rngs)

    def __call__(self, x: Float[Array, "b h w i"]) -> Float[Array, "b h2 w2 o"]:
        """Halves the resolution, rounding up."""
        hidden = ops.leaky_relu(self.first(x))
        return self.skip(x) + self.normalization(self.second(hidden))


class ResidualUpsampling(nnx.Module):
    """Sub-pixel upsampling and a 3x3 convolution with inverse GDN, beside another."""

    def __init__(self, inputs: int, outputs: int, *, rngs: nnx.Rngs):
        """Initializes the three convolutions and the normalization."""
        self.first = SubPixelUpsampling(inputs, outputs, rngs=rngs)
        self.second = Convolution(outputs, outputs, size=3, rngs=rngs)
        self.normalization = GDN(outputs, inverse=True)
        self.skip = SubPixelUpsampling(inputs, outputs, rngs=rngs)

    def __call__(self, x: Float[Array, "b h w i"]) -> Float[Array, "b 2*h 2*w o"]:
        """Doubles the resolution."""
        hidden = ops.leaky_relu(self.first(x))
        return self.skip(x) + self.normalization(self.second(hidden))


class AttentionBlock(nnx.Module):
    """Adds a branch to its input, gated position by position by another branch.

    The simplified attention of Cheng et al. 2020, section 3.3: no position looks at
    another but through 3x3 convolutions.
    """

    def __init__(self, channels: int, *, rngs: nnx.Rngs):
        """Initializes both branches."""
        unit = lambda: Bottleneck(channels, rngs=rngs)
        self.branch = nnx.Sequential(unit(), unit(), unit())
        self.gate = nnx.Sequential(
            unit(), unit(), unit(), Pointwise(channels, channels, rngs=rngs)
        )

    def __call__(self, x: Float[Array, "b h w c"]) -> Float[Array, "b h w c"]:
        """Keeps resolution and channels."""
        return x + self.branch(x) * nnx.sigmoid(self.gate(x))


class Bottleneck(nnx.Module):
    """1x1, 3x3 and 1x1 convolutions at half the channels, beside the identity."""

    def __init__(self, channels: int, *, rngs: nnx.Rngs):
        """Initializes the three convolutions."""
        half = channels // 2
        self.first = Pointwise(channels, half, rngs=rngs)
        self.second = Convolution(half, half, size=3, rngs=rngs)
        self.third = Pointwise(half, channels, rngs=rngs)

    def __call__(self, x: Float[Array, "b h w c"]) -> Float[Array, "b h w c"]:
        """Keeps resolution and channels."""
        hidden = nnx.relu(self.second(nnx.relu(self.first(x))))
        return nnx.relu(x + self.third(hidden))
