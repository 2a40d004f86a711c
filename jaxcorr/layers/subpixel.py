"""Sub-pixel upsampling: a convolution whose channels are interleaved as pixels."""

import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from jaxcorr.layers import implementations, valid_region
from jaxcorr.layers.convolution import Convolution, dilated_convolution
from jaxcorr.layers.phases import depth_to_space


class SubPixelUpsampling(nnx.Module):
    """3x3 convolution to four times the channels, interleaved at double resolution.

    A TPU computes the same function as a transposed convolution, whose 6x6 kernel
    interleaves the four 3x3 kernels. It would otherwise copy the output, and its
    gradient, to interleave the channels.

    Args:
      inputs: Channels of the input.
      outputs: Channels of the output.
      rngs: Source of the initial kernel.

    References:
      Shi et al., "Real-Time Single Image and Video Super-Resolution Using an Efficient
      Sub-Pixel Convolutional Neural Network", CVPR 2016,
      https://arxiv.org/abs/1609.05158.
    """

    def __init__(self, inputs: int, outputs: int, *, rngs: nnx.Rngs):
        self.convolution = Convolution(inputs, 4 * outputs, size=3, rngs=rngs)

    def __call__(self, x: Float[Array, "b h w i"]) -> Float[Array, "b 2*h 2*w o"]:
        """Doubles the resolution.

        The convolution returns the outputs of the four pixels of each 2x2 square, one
        pixel after another.
        """
        kernel, bias = self.convolution.kernel[...], self.convolution.bias[...]

        def interleaved_sub_pixels(x: Array, *_: Array) -> Array:
            return depth_to_space(self.convolution(x))

        def masked_sub_pixels(x: Array, kernel: Array, bias: Array) -> Array:
            return transposed_sub_pixels(valid_region.mask(x), kernel, bias)

        return implementations.choose(
            "sub_pixels",
            {
                "interleaved": interleaved_sub_pixels,
                "transposed": masked_sub_pixels,
            },
            x,
            kernel.astype(x.dtype),
            bias.astype(x.dtype),
        )


def transposed_sub_pixels(
    x: Float[Array, "b h w i"],
    kernel: Float[Array, "3 3 i c"],
    bias: Float[Array, " c"],
) -> Float[Array, "b 2*h 2*w c//4"]:
    """Computes sub-pixel upsampling as one transposed convolution.

    Equals `depth_to_space` of the 3x3 convolution with this kernel and bias. Output
    `2q + r` is a sum over the inputs `q + d`, for d = -1, 0, 1. In the dilated input
    these are at `2(q + d)`, so at offset `2d - r` of a 6x6 kernel.
    """
    height, width = x.shape[1:3]
    inputs, outputs = kernel.shape[2], kernel.shape[3] // 4
    phases = kernel.reshape(3, 3, inputs, 2, 2, outputs)[..., ::-1, ::-1, :]
    interleaved = phases.transpose(0, 3, 1, 4, 2, 5).reshape(6, 6, inputs, outputs)
    out = dilated_convolution(x, interleaved, margin=(3, 3))
    return out + jnp.tile(bias.reshape(1, 2, 2, outputs), (1, height, width, 1))
