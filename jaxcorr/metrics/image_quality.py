"""Metrics of image quality: PSNR and MS-SSIM."""

import math
from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, UInt8

MS_SSIM_WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
MS_SSIM_WINDOW = 11
MS_SSIM_SIGMA = 1.5
MS_SSIM_MINIMUM_SIDE = (MS_SSIM_WINDOW - 1) * 2 ** (len(MS_SSIM_WEIGHTS) - 1) + 1
"""Smallest side of an image that has a full window at the coarsest scale, in pixels."""


def psnr_from_mse(mse: Float[Array, "*shape"] | float) -> Float[Array, "*shape"]:
    """Returns the PSNR in dB, given the mean squared error on the 0-255 scale."""
    return 10 * jnp.log10(255.0**2 / jnp.maximum(jnp.asarray(mse), 1e-10))


def psnr_db(
    image: UInt8[np.ndarray, "h w 3"], reconstruction: UInt8[np.ndarray, "h w 3"]
) -> float:
    """Returns the PSNR of an 8-bit image over all pixels and channels, in dB."""
    mse = np.mean((image.astype(np.float64) - reconstruction) ** 2)
    return float(psnr_from_mse(float(mse)))


def ms_ssim(first: Any, second: Any) -> Any:
    """Returns the MS-SSIM (multi-scale structural similarity) of pairs of images.

    Computes with JAX arrays, for training, or with NumPy arrays, which avoids the
    compilation of a program for every image size.

    Args:
      first: Images of shape [b, h, w, c] in [0, 1], with sides of at least
        `MS_SSIM_MINIMUM_SIDE`.
      second: Images of the same shape, in the same kind of array.

    Returns:
      One value per image, averaged over channels; 1 for equal images.

    Raises:
      ValueError: If the images are too small.

    References:
      Wang et al., "Multiscale Structural Similarity for Image Quality Assessment",
      Asilomar 2003, https://doi.org/10.1109/ACSSC.2003.1292216.
    """
    smallest = min(first.shape[1:3])
    if smallest < MS_SSIM_MINIMUM_SIDE:
        raise ValueError(
            f"MS-SSIM needs sides of at least {MS_SSIM_MINIMUM_SIDE}, got {smallest}."
        )
    numpy = first.__array_namespace__()
    similarity = 1.0
    for index, weight in enumerate(MS_SSIM_WEIGHTS):
        ssim, contrast = _similarity(first, second)
        last = index == len(MS_SSIM_WEIGHTS) - 1
        term = ssim if last else contrast
        # A negative term has no real power, so it is clipped to 0, as in the reference
        # implementations. The power of 0 is not computed: its slope is infinite.
        power = numpy.where(term > 0, term, 1.0) ** weight
        similarity = similarity * numpy.where(term > 0, power, 0.0)
        if not last:
            first, second = _downsample(first), _downsample(second)
    return numpy.mean(similarity, axis=-1)


def _similarity(first: Any, second: Any) -> tuple[Any, Any]:
    """Returns the mean SSIM, and the mean contrast-structure term, of each channel."""
    numpy = first.__array_namespace__()
    products = numpy.stack([first, second, first**2, second**2, first * second])
    first_mean, second_mean, first_square, second_square, product = _blur(products)
    first_variance = first_square - first_mean**2
    second_variance = second_square - second_mean**2
    covariance = product - first_mean * second_mean
    c1, c2 = 0.01**2, 0.03**2
    contrast = (2 * covariance + c2) / (first_variance + second_variance + c2)
    luminance = (2 * first_mean * second_mean + c1) / (
        first_mean**2 + second_mean**2 + c1
    )
    return (luminance * contrast).mean((1, 2)), contrast.mean((1, 2))


def _blur(images: Any) -> Any:
    """Returns the weighted mean over every full Gaussian window."""
    radius = MS_SSIM_WINDOW // 2
    weights = [
        math.exp(-((i - radius) ** 2) / (2 * MS_SSIM_SIGMA**2))
        for i in range(MS_SSIM_WINDOW)
    ]
    total = sum(weights)
    rows, columns = (side - MS_SSIM_WINDOW + 1 for side in images.shape[-3:-1])
    blurred = 0.0
    for i, weight in enumerate(weights):
        blurred = blurred + weight / total * images[..., i : i + rows, :, :]
    images, blurred = blurred, 0.0
    for i, weight in enumerate(weights):
        blurred = blurred + weight / total * images[..., i : i + columns, :]
    return blurred


def _downsample(image: Any) -> Any:
    """Averages 2x2 squares; an odd side is padded with zeros before and after.

    The zeros count in the mean, as in the average pooling of the reference
    implementations.
    """
    numpy = image.__array_namespace__()
    rows, columns = (side % 2 for side in image.shape[1:3])
    padded = numpy.pad(image, [(0, 0), (rows, rows), (columns, columns), (0, 0)])
    rows, columns = (side // 2 * 2 for side in padded.shape[1:3])
    even = padded[:, :rows, :columns]
    return (
        even[:, ::2, ::2]
        + even[:, 1::2, ::2]
        + even[:, ::2, 1::2]
        + even[:, 1::2, 1::2]
    ) / 4
