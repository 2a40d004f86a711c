"""The output of a codec."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from jaxcorr.transforms.base import latents_across, side_across


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True, kw_only=True, repr=False)
class CodecOutput:
    """Output of a codec for a batch of images, or for one image without a batch axis.

    Attributes:
      reconstruction: Images in [0, 1], except for overshoot.
      latent: Latents before quantization.
      quantized: Latents after quantization.
      latent_hat: Input of the synthesis: `quantized` minus predicted rounding errors.
        The synthesis sees the last latents over the image again beyond it.
      mean: Predicted mean of each latent, in quantization steps.
      scale: Predicted standard deviation of each latent; at least 0.11.
      latent_bits: Bits of each latent.
      side_bits: Bits of each element of the side information.
    """

    reconstruction: Float[Array, "*b h w 3"]
    latent: Float[Array, "*b h16 w16 c"]
    quantized: Float[Array, "*b h16 w16 c"]
    latent_hat: Float[Array, "*b h16 w16 c"]
    mean: Float[Array, "*b h16 w16 c"]
    scale: Float[Array, "*b h16 w16 c"]
    latent_bits: Float[Array, "*b h16 w16 c"]
    side_bits: Float[Array, "*b h64 w64 s"]

    def __repr__(self) -> str:
        """Returns one line with the types and shapes of the arrays."""
        fields = [f"{name}={_describe(array)}" for name, array in vars(self).items()]
        return f"CodecOutput({', '.join(fields)})"


def crop_output(arrays: Mapping[str, Any], size: tuple[int, int]) -> CodecOutput:
    """Returns the output for the one image of a batch, without its padding.

    Args:
      arrays: Fields of an output for a batch with one padded image.
      size: Height and width of the image, in pixels.
    """
    height, width = size
    latents = latents_across(height), latents_across(width)
    sides = {
        "reconstruction": size,
        "side_bits": (side_across(height), side_across(width)),
    }
    cropped = {}
    for name, array in arrays.items():
        rows, columns = sides.get(name, latents)
        # Cropped by NumPy, since JAX would compile a program for every size.
        cropped[name] = jnp.asarray(np.asarray(array)[0, :rows, :columns])
    return CodecOutput(**cropped)


def _describe(value: Any) -> str:
    """Returns the type and shape of an array, and other leaves of a tree in full."""
    if not hasattr(value, "shape"):
        return repr(value)
    return f"{value.dtype}[{','.join(map(str, value.shape))}]"
