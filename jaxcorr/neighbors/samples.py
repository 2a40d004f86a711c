"""Residuals of a trained codec with their causal neighbors, in arrays for fitting."""

import dataclasses
import functools
from collections.abc import Sequence

import numpy as np
from jaxtyping import ArrayLike, Float, Float32, Int

from jaxcorr.context.autoregressive import CAUSAL_TAPS
from jaxcorr.errors import UserError

REACH = 2
"""Rows above, and columns beside a latent, that its causal neighbors reach."""
ROUNDING_VARIANCE = 1 / 12
"""Variance that rounding adds to a density that is wide against a quantization step."""
MAX_LATENTS = 3_000_000
"""Most latents that are fitted; of more, every image keeps random positions."""
MIN_IMAGES = 4
"""Fewest images: some are fitted and others tested, and their spread is the error."""
MIN_SIDE = 7
"""Shortest side of latents, the window of the reported correlation map."""
MIN_POSITIONS = 400
"""Fewest positions of all images together; a channel has 17 coefficients."""


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Samples:
    """Residuals at the positions of several images.

    Attributes:
      residual: Symbols of the codec: latents minus their means, rounded.
      scale: Predicted scale of each latent, in quantization steps.
      image: Number of the image of each position.
      weight: Positions of the image that each position stands for.
      padded: Normalized residuals of all images, with zeros around each, in one list of
        rows.
      index: Row of `padded` of each position.
      stride: Rows of `padded` from each position to the one below it.
    """

    residual: Float32[np.ndarray, "n c"]
    scale: Float32[np.ndarray, "n c"]
    image: Int[np.ndarray, " n"]
    weight: Float32[np.ndarray, " n"]
    padded: Float32[np.ndarray, "m c"]
    index: Int[np.ndarray, " n"]
    stride: Int[np.ndarray, " n"]

    @property
    def images(self) -> int:
        """Number of images."""
        return int(self.image[-1]) + 1

    @functools.cached_property
    def neighbor_index(self) -> Int[np.ndarray, "n taps"]:
        """Rows of `padded` of the causal neighbors of each position."""
        rows, columns = np.transpose(CAUSAL_TAPS)
        return self.index[:, None] + rows * self.stride[:, None] + columns

    def per_image(self, values: Float[np.ndarray, "n c"]) -> Float[np.ndarray, "i c"]:
        """Returns the sums over the positions of each image."""
        starts = np.searchsorted(self.image, np.arange(self.images))
        weighted = values * self.weight[:, None]
        return np.add.reduceat(weighted, starts, axis=0, dtype=np.float64)


def normalize_residual(
    residual: Float[np.ndarray, "*shape"], scale: Float[np.ndarray, "*shape"]
) -> Float[np.ndarray, "*shape"]:
    """Returns residuals of about unit variance, also where scales are small.

    A rounded Gaussian of scale σ has a variance of nearly σ² + 1/12.
    """
    return residual / np.sqrt(scale**2 + ROUNDING_VARIANCE)


def check_count(images: int) -> None:
    """Checks that images are enough for a standard error.

    Raises:
      UserError: If they are too few.
    """
    if images < MIN_IMAGES:
        raise UserError(
            f"a bound with a standard error needs at least {MIN_IMAGES} images, but "
            f"{images} {'is' if images == 1 else 'are'} given: name more"
        )


def check_sizes(sizes: Sequence[tuple[int, ...]], names: Sequence[str]) -> None:
    """Checks that the latents of all images are enough.

    Args:
      sizes: Height and width of the latents of each image.
      names: Names of the images, for messages.

    Raises:
      UserError: If those of one image, or of all together, are too few.
    """
    for name, (height, width) in zip(names, sizes, strict=True):
        if min(height, width) < MIN_SIDE:
            raise UserError(
                f"{name} is too small: its latents must be at least {MIN_SIDE} high "
                f"and wide, but are {height} x {width}"
            )
    positions = sum(height * width for height, width in sizes)
    if positions < MIN_POSITIONS:
        raise UserError(
            f"a bound needs latents at {MIN_POSITIONS} positions at least, but the "
            f"{len(sizes)} images have {positions}: name more or larger images"
        )


def check_latents(
    latents: Sequence[ArrayLike],
    means: Sequence[ArrayLike],
    scales: Sequence[ArrayLike],
    names: Sequence[str] | None = None,
) -> tuple[list[Float32[np.ndarray, "h w c"]], list[Float32[np.ndarray, "h w c"]]]:
    """Returns the residual and the scale of each image, rounded and checked.

    Args:
      latents: Latents of each image, of shape [height, width, channels].
      means: Predicted mean of each latent.
      scales: Predicted scale of each latent, in quantization steps.
      names: Names of the images, for messages.

    Raises:
      UserError: If there are too few images or latents, if shapes do not fit, or if a
        value is not finite or a scale not positive.
    """
    if not len(latents) == len(means) == len(scales):
        raise UserError(
            "latents, means and scales must be lists of one array per image, but have "
            f"{len(latents)}, {len(means)} and {len(scales)}"
        )
    if names is None:
        names = [f"image {number}" for number in range(1, len(latents) + 1)]
    if len(names) != len(latents):
        raise UserError(
            f"names must be one per image, but are {len(names)} for {len(latents)}"
        )
    check_count(len(latents))
    residuals, checked = [], []
    for name, *arrays in zip(names, latents, means, scales, strict=True):
        latent, mean, scale = (np.asarray(array, np.float32) for array in arrays)
        if latent.ndim != 3 or not latent.shape == mean.shape == scale.shape:
            raise UserError(
                f"latent, mean and scale of {name} must have one shape [height, width, "
                f"channels], but have {latent.shape}, {mean.shape} and {scale.shape}"
            )
        if not latent.shape[2]:
            raise UserError(f"latents of {name} have no channels")
        if checked and latent.shape[2] != checked[0].shape[2]:
            raise UserError(
                f"{name} has {latent.shape[2]} channels, but the first image has "
                f"{checked[0].shape[2]}: all must come from one codec"
            )
        residual = np.rint(latent - mean)
        if not (np.isfinite(residual).all() and np.isfinite(scale).all()):
            raise UserError(f"latents, means and scales of {name} must be finite")
        if not scale.min() > 0:
            raise UserError(
                f"scales of {name} must be positive, but one is {scale.min():g}"
            )
        residuals.append(residual)
        checked.append(scale)
    check_sizes([scale.shape[:2] for scale in checked], names)
    return residuals, checked


def collect_samples(
    residuals: Sequence[Float32[np.ndarray, "_ _ c"]],
    scales: Sequence[Float32[np.ndarray, "_ _ c"]],
) -> Samples:
    """Returns the residuals of several images, at some positions if there are many."""
    rng = np.random.default_rng(0)
    channels = residuals[0].shape[2]
    most = max(1, MAX_LATENTS // (channels * len(residuals)))
    parts: dict[str, list[np.ndarray]] = {
        field.name: [] for field in dataclasses.fields(Samples)
    }
    start = 0
    for number, (residual, scale) in enumerate(zip(residuals, scales, strict=True)):
        height, width = residual.shape[:2]
        chosen = np.arange(height * width)
        if chosen.size > most:
            chosen = np.sort(rng.choice(chosen.size, most, replace=False))
        margins = (REACH, 0), (REACH, REACH), (0, 0)
        padded = np.pad(normalize_residual(residual, scale), margins)
        stride = width + 2 * REACH
        row, column = np.divmod(chosen, width)
        values = {
            "residual": residual.reshape(-1, channels)[chosen],
            "scale": scale.reshape(-1, channels)[chosen],
            "image": np.full(chosen.size, number),
            "weight": np.full(chosen.size, height * width / chosen.size, np.float32),
            "padded": padded.reshape(-1, channels).astype(np.float32),
            "index": start + (row + REACH) * stride + column + REACH,
            "stride": np.full(chosen.size, stride),
        }
        for name, value in values.items():
            parts[name].append(value)
        start += padded.shape[0] * stride
    return Samples(**{name: np.concatenate(values) for name, values in parts.items()})
