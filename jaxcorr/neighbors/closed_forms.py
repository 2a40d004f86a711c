"""The cost of correlation by closed forms of second moments, which need no fit.

They hold for Gaussian residuals of large scale, and are not held out: of white
residuals they give a little more than 0.
"""

import dataclasses
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Float32

from jaxcorr import correlation
from jaxcorr.context.autoregressive import CAUSAL_TAPS
from jaxcorr.neighbors.samples import REACH

WINDOW = 7
"""Window of the correlation map, as `jaxcorr evaluate` reports it; in latents."""
DIAGONAL = 1e-3
"""Variance that is added to the neighbors, for channels that are always 0."""
BITS_PER_SQUARE = 0.25 / np.log(2)
"""Bits of a squared correlation: half a logarithm to base 2, of half of the map."""


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Moments:
    """Mean products of the residuals of each image.

    Attributes:
      weights: Share of each image in all latents.
      matrices: Mean products of the 12 causal neighbors and the latent itself.
      maps: Correlation map of each image.
      centered_maps: The same without the mean of each channel of each image.
    """

    weights: Float[np.ndarray, " i"]
    matrices: Float[np.ndarray, "i c 13 13"]
    maps: Float[np.ndarray, "i k k"]
    centered_maps: Float[np.ndarray, "i k k"]

    def pooled_bits(self, weights: Float[np.ndarray, " i"]) -> float:
        """Returns the bits per latent that one linear filter for all channels saves."""
        mean = np.average(self.matrices, axis=0, weights=weights)
        return float(_information(mean.mean(axis=0, keepdims=True))[0])

    def channel_bits(self, weights: Float[np.ndarray, " i"]) -> float:
        """Returns the bits per latent that a linear filter for each channel saves."""
        mean = np.average(self.matrices, axis=0, weights=weights)
        return float(_information(mean).mean())

    def quadratic_bits(self, weights: Float[np.ndarray, " i"]) -> float:
        """Returns the bits per latent that the correlation loss prices: 0.36 L / v²."""
        return _quadratic(np.average(self.maps, axis=0, weights=weights))

    def centered_quadratic_bits(self, weights: Float[np.ndarray, " i"]) -> float:
        """Returns the same of residuals without the means of channels of images."""
        return _quadratic(np.average(self.centered_maps, axis=0, weights=weights))


def measure_moments(
    residuals: Sequence[Float32[np.ndarray, "_ _ c"]],
    scales: Sequence[Float32[np.ndarray, "_ _ c"]],
) -> Moments:
    """Returns the mean products of the residuals of each image."""
    sizes = np.array([residual.size for residual in residuals], np.float64)
    matrices, maps, centered = [], [], []
    for residual, scale in zip(residuals, scales, strict=True):
        normalized = np.asarray(
            correlation.normalize(residual, np.zeros_like(residual), scale)
        )
        matrices.append(_second_moments(normalized))
        deviation = normalized - normalized.mean(axis=(0, 1), keepdims=True)
        for found, array in ((maps, normalized), (centered, deviation)):
            found.append(np.asarray(correlation.correlation_map(array, window=WINDOW)))
    return Moments(
        weights=sizes / sizes.sum(),
        matrices=np.stack(matrices),
        maps=np.stack(maps).astype(np.float64),
        centered_maps=np.stack(centered).astype(np.float64),
    )


def loss_of(map: Float[np.ndarray, "k k"]) -> float:
    """Returns the correlation loss of a map: the sum of squares beside its center."""
    return float(np.sum(map**2) - map[WINDOW // 2, WINDOW // 2] ** 2)


def _second_moments(
    normalized: Float32[np.ndarray, "h w c"],
) -> Float[np.ndarray, "c 13 13"]:
    """Returns mean products of [neighbors, latent], where all are in the image."""
    height, width, channels = normalized.shape
    planes = np.stack(
        [
            normalized[
                REACH + row : height + row, REACH + column : width - REACH + column
            ]
            for row, column in (*CAUSAL_TAPS, (0, 0))
        ]
    )
    vectors = planes.reshape(len(planes), -1, channels).transpose(2, 0, 1)
    vectors = vectors.astype(np.float64)
    return vectors @ vectors.transpose(0, 2, 1) / vectors.shape[2]


def _information(moments: Float[np.ndarray, "c 13 13"]) -> Float[np.ndarray, " c"]:
    """Returns ½ log2 of the variance over its part that neighbors do not predict."""
    added = moments + DIAGONAL * np.eye(moments.shape[-1])
    predicted = np.linalg.solve(added[..., :-1, :-1], added[..., :-1, -1:])
    explained = np.sum(added[..., :-1, -1:] * predicted, axis=(-2, -1))
    variance = added[..., -1, -1]
    return 0.5 * np.log2(variance / (variance - explained))


def _quadratic(map: Float[np.ndarray, "k k"]) -> float:
    return BITS_PER_SQUARE * loss_of(map) / float(map[WINDOW // 2, WINDOW // 2]) ** 2
