"""Quality of reconstructions: PSNR and MS-SSIM."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

MS_SSIM_WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
MS_SSIM_WINDOW = 11
MS_SSIM_SIGMA = 1.5
MS_SSIM_MINIMUM_SIDE = (MS_SSIM_WINDOW - 1) * 2 ** (len(MS_SSIM_WEIGHTS) - 1) + 1
"""Smallest image side that has a full window at the coarsest scale, in pixels."""


def psnr_from_mse(mse: Float[Array, "*shape"] | float) -> Float[Array, "*shape"]:
    """Peak signal-to-noise ratio in dB, from the MSE on the 0-255 scale."""
    return 10 * jnp.log10(255.0**2 / jnp.maximum(jnp.asarray(mse), 1e-10))


def ms_ssim(
    first: Float[Array, "b h w c"], second: Float[Array, "b h w c"]
) -> Float[Array, " b"]:
    """Multi-scale structural similarity of images in [0, 1], averaged over channels.

    Sides must be at least `MS_SSIM_MINIMUM_SIDE`.

    References:
      Wang et al., "Multiscale Structural Similarity for Image Quality Assessment",
      Asilomar 2003, https://doi.org/10.1109/ACSSC.2003.1292216.
    """
    smallest = min(first.shape[1:3])
    if smallest < MS_SSIM_MINIMUM_SIDE:
        raise ValueError(
            f"MS-SSIM needs sides of at least {MS_SSIM_MINIMUM_SIDE}, got {smallest}."
        )
    similarity = jnp.ones((first.shape[0], first.shape[3]))
    for index, weight in enumerate(MS_SSIM_WEIGHTS):
        luminance, contrast = _similarity(first, second)
        last = index == len(MS_SSIM_WEIGHTS) - 1
        # A negative contrast term has no real power; the reference codes clip it too.
        factor = jax.nn.relu(luminance if last else contrast)
        similarity = similarity * factor**weight
        if not last:
            first, second = _halved(first), _halved(second)
    return similarity.mean(axis=-1)


def _similarity(
    first: Float[Array, "b h w c"], second: Float[Array, "b h w c"]
) -> tuple[Float[Array, "b c"], Float[Array, "b c"]]:
    """Mean SSIM, and mean of its contrast and structure terms, of each channel."""
    first_mean, second_mean = _blurred(first), _blurred(second)
    first_variance = _blurred(first**2) - first_mean**2
    second_variance = _blurred(second**2) - second_mean**2
    covariance = _blurred(first * second) - first_mean * second_mean
    c1, c2 = 0.01**2, 0.03**2
    contrast = (2 * covariance + c2) / (first_variance + second_variance + c2)
    luminance = (2 * first_mean * second_mean + c1) / (
        first_mean**2 + second_mean**2 + c1
    )
    return (luminance * contrast).mean((1, 2)), contrast.mean((1, 2))


def _blurred(image: Float[Array, "b h w c"]) -> Float[Array, "b h2 w2 c"]:
    """Weighted mean over every full Gaussian window."""
    offsets = jnp.arange(MS_SSIM_WINDOW) - MS_SSIM_WINDOW // 2
    weights = jnp.exp(-(offsets**2) / (2 * MS_SSIM_SIGMA**2))
    weights = weights / weights.sum()
    for axis in (1, 2):
        length = image.shape[axis] - MS_SSIM_WINDOW + 1
        image = sum(
            weights[i] * jax.lax.slice_in_dim(image, i, i + length, axis=axis)
            for i in range(MS_SSIM_WINDOW)
        )
    return image


def _halved(image: Float[Array, "b h w c"]) -> Float[Array, "b h2 w2 c"]:
    """Means of 2x2 squares; an odd last row or column is paired with zeros.

    The same as the reference implementations: padding by one where a side is odd, on
    both sides, counted in the mean.
    """
    padding = [(0, 0), *((side % 2,) * 2 for side in image.shape[1:3]), (0, 0)]
    summed = jax.lax.reduce_window(
        image, 0.0, jax.lax.add, (1, 2, 2, 1), (1, 2, 2, 1), padding
    )
    return summed / 4
