"""The part of a codec between its analysis and its synthesis.

A codec of any architecture and context model is a module with the methods of
`jaxcorr.codec.Codec`.
"""

from typing import Any, NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxcorr.entropy.gaussian import gaussian_bits
from jaxcorr.quantization import Quantization
from jaxcorr.rematerialization import Rematerialization, rematerialized
from jaxcorr.transforms.base import (
    LATENT_STRIDE,
    SIDE_STRIDE,
    image_mask,
    repeat_last_latents,
)


class CodedLatents(NamedTuple):
    """Latents of padded images, and what predicts them; see `CodecOutput`.

    Attributes:
      latent: Latents before quantization.
      quantized: Latents after quantization.
      latent_hat: Decoded latents.
      seen: Decoded latents as the synthesis sees them.
      mean: Predicted means.
      scale: Predicted standard deviations.
      latent_bits: Bits of each latent.
      side_bits: Bits of each element of the side information.
    """

    latent: Float[Array, "b h16 w16 c"]
    quantized: Float[Array, "b h16 w16 c"]
    latent_hat: Float[Array, "b h16 w16 c"]
    seen: Float[Array, "b h16 w16 c"]
    mean: Float[Array, "b h16 w16 c"]
    scale: Float[Array, "b h16 w16 c"]
    latent_bits: Float[Array, "b h16 w16 c"]
    side_bits: Float[Array, "b h64 w64 s"]


def code_latents(
    codec: Any,
    y: Float[Array, "b h16 w16 c"],
    quantization: Quantization,
    size: tuple[Array | int, Array | int],
    center: Float[Array, "1 1 1 s"],
    remat: Rematerialization = "none",
) -> CodedLatents:
    """Quantizes latents, and predicts their distributions.

    Args:
      codec: The codec.
      y: Latents before quantization, of padded images.
      quantization: Quantization of latents and side information.
      size: Height and width of the images before padding, in pixels.
      center: Center of the side information.
      remat: What backward passes compute again.
    """
    rows, columns = size
    y_quantization, z_quantization = quantization.split()
    z = codec.analyze_latents(y, remat=remat)
    coded_y = image_mask(y, rows, columns, LATENT_STRIDE)
    coded_z = image_mask(z, rows, columns, SIDE_STRIDE)
    # Padding carries no symbols. What predicts them sees zeros there, as it does beyond
    # the border of a crop in training.
    z_hat = jnp.where(coded_z, z_quantization.quantize(z, center), 0.0)
    features = codec.predict_features(z_hat, remat=remat)
    predict = rematerialized(
        lambda features, y: codec.context.forward(features, y, y_quantization, coded_y),
        remat,
    )
    prediction = predict(features, y)
    mean, scale = prediction.mean, prediction.scale
    y_hat = jnp.where(coded_y, prediction.latent_hat, 0.0)

    def latent_bits(latents: Array, bound: float) -> Array:
        return gaussian_bits(latents - mean, scale, likelihood_bound=bound)

    bound = codec.settings.likelihood_bound
    y_bits = y_quantization.bits(latent_bits, y, mean, bound)
    z_bits = z_quantization.bits(codec.prior.bits, z, center, bound)
    return CodedLatents(
        latent=y,
        quantized=jnp.where(coded_y, prediction.quantized, 0.0),
        latent_hat=y_hat,
        seen=repeat_last_latents(y_hat, rows, columns),
        mean=mean,
        scale=scale,
        latent_bits=jnp.where(coded_y, y_bits, 0.0),
        side_bits=jnp.where(coded_z, z_bits, 0.0),
    )
