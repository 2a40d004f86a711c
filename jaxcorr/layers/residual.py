"""Residual and attention blocks of Cheng et al. 2020.

References:
  Cheng et al., "Learned Image Compression with Discretized Gaussian Mixture Likelihoods
  and Attention Modules", CVPR 2020, https://arxiv.org/abs/2001.01568. As in CompressAI,
  residual blocks have no activation after the sum.
"""

from flax import nnx
from jaxtyping import Array, Float

from jaxcorr import compatibility, ops
from jaxcorr.layers.convolution import Convolution, Pointwise
from jaxcorr.layers.gdn import GDN
from jaxcorr.layers.subpixel import SubPixelUpsampling


class ResidualBlock(nnx.Module):
    """Residual block of two 3x3 convolutions, each followed by a leaky ReLU.

    Args:
      channels: Channels of the input and the output.
      rngs: Source of the initial parameters.
    """

    def __init__(self, channels: int, *, rngs: nnx.Rngs):
        self.first = Convolution(channels, channels, size=3, rngs=rngs)
        self.second = Convolution(channels, channels, size=3, rngs=rngs)

    def __call__(self, x: Float[Array, "b h w c"]) -> Float[Array, "b h w c"]:
        """Keeps the resolution and the number of channels."""
        hidden = ops.leaky_relu(self.first(x))
        return x + ops.leaky_relu(self.second(hidden))


class ResidualDownsampling(nnx.Module):
    """Residual block that halves the resolution.

    The main branch is a strided 3x3 convolution, a leaky ReLU, a 3x3 convolution and
    GDN. The skip branch is a strided 1x1 convolution.

    Args:
      inputs: Channels of the input.
      outputs: Channels of the output.
      rngs: Source of the initial parameters.
    """

    def __init__(self, inputs: int, outputs: int, *, rngs: nnx.Rngs):
        self.first = Convolution(inputs, outputs, size=3, stride=2, rngs=rngs)
        self.second = Convolution(outputs, outputs, size=3, rngs=rngs)
        self.normalization = GDN(outputs)
        self.skip = Pointwise(inputs, outputs, stride=2, rngs=rngs)

    def __call__(self, x: Float[Array, "b h w i"]) -> Float[Array, "b h2 w2 o"]:
        """Halves the resolution, rounding up."""
        hidden = ops.leaky_relu(self.first(x))
        return self.skip(x) + self.normalization(self.second(hidden))


class ResidualUpsampling(nnx.Module):
    """Residual block that doubles the resolution.

    The main branch is sub-pixel upsampling, a leaky ReLU, a 3x3 convolution and inverse
    GDN. The skip branch is sub-pixel upsampling.

    Args:
      inputs: Channels of the input.
      outputs: Channels of the output.
      rngs: Source of the initial parameters.
    """

    def __init__(self, inputs: int, outputs: int, *, rngs: nnx.Rngs):
        self.first = SubPixelUpsampling(inputs, outputs, rngs=rngs)
        self.second = Convolution(outputs, outputs, size=3, rngs=rngs)
        self.normalization = GDN(outputs, inverse=True)
        self.skip = SubPixelUpsampling(inputs, outputs, rngs=rngs)

    def __call__(self, x: Float[Array, "b h w i"]) -> Float[Array, "b 2*h 2*w o"]:
        """Doubles the resolution."""
        hidden = ops.leaky_relu(self.first(x))
        return self.skip(x) + self.normalization(self.second(hidden))


class AttentionBlock(nnx.Module):
    """Adds a branch to its input, multiplied by the sigmoid of a gate branch.

    The simplified attention of Cheng et al. 2020, section 3.3, in which positions
    interact only through 3x3 convolutions.

    Args:
      channels: Channels of the input and the output; even.
      rngs: Source of the initial parameters.
    """

    def __init__(self, channels: int, *, rngs: nnx.Rngs):
        self.branch = compatibility.Sequential(*_bottlenecks(3, channels, rngs))
        self.gate = compatibility.Sequential(
            *_bottlenecks(3, channels, rngs), Pointwise(channels, channels, rngs=rngs)
        )

    def __call__(self, x: Float[Array, "b h w c"]) -> Float[Array, "b h w c"]:
        """Keeps the resolution and the number of channels."""
        return x + self.branch(x) * nnx.sigmoid(self.gate(x))


class Bottleneck(nnx.Module):
    """Residual block of 1x1, 3x3 and 1x1 convolutions at half the channels.

    Args:
      channels: Channels of the input and the output; even.
      rngs: Source of the initial parameters.
    """

    def __init__(self, channels: int, *, rngs: nnx.Rngs):
        half = channels // 2
        self.first = Pointwise(channels, half, rngs=rngs)
        self.second = Convolution(half, half, size=3, rngs=rngs)
        self.third = Pointwise(half, channels, rngs=rngs)

    def __call__(self, x: Float[Array, "b h w c"]) -> Float[Array, "b h w c"]:
        """Keeps the resolution and the number of channels."""
        hidden = nnx.relu(self.second(nnx.relu(self.first(x))))
        return nnx.relu(x + self.third(hidden))


def _bottlenecks(number: int, channels: int, rngs: nnx.Rngs) -> list[Bottleneck]:
    return [Bottleneck(channels, rngs=rngs) for _ in range(number)]
