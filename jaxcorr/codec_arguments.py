"""Checks of the arguments of a codec."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxcorr.errors import UserError
from jaxcorr.quantization import Quantization


def check_arguments(image: Any, quantization: Any) -> None:
    """Checks the arguments of a codec, for whose mistakes JAX has no clear messages.

    Args:
      image: Images as in `Codec.__call__`.
      quantization: Quantization as in `Codec.__call__`.

    Raises:
      TypeError: If an argument has another type.
      UserError: If the images have another shape or type, or the noise has not one
        random key per image.
    """
    if not isinstance(image, jax.Array | np.ndarray):
        raise TypeError(
            f"`image` must be an array, but is of type {type(image).__name__}"
        )
    if image.ndim != 4 or image.shape[-1] != 3:
        raise UserError(
            "`image` must have shape [batch, height, width, 3], but has shape "
            f"{list(image.shape)}"
        )
    if not jnp.issubdtype(image.dtype, jnp.floating):
        raise UserError(
            "`image` must hold floating-point numbers in [0, 1], but holds "
            f"{image.dtype}: divide by 255"
        )
    if quantization is None:
        return
    if not isinstance(quantization, Quantization):
        raise TypeError(
            "`quantization` must be one such as AdditiveNoise(keys), but is "
            f"{quantization!r:.60}"
        )
    keys = getattr(quantization, "keys", None)
    if keys is not None and jax.random.key_data(keys).shape[:-1] != image.shape[:1]:
        raise UserError(
            "`quantization.keys` must be one random key per image, as from "
            f"jax.random.split(key, {image.shape[0]})"
        )
