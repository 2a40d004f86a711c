"""The correlation term of the loss: what α multiplies, in all of its variants."""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from jaxcorr import correlation, correlation_variants, whitening
from jaxcorr.transforms.base import LATENT_STRIDE

Measure = Literal["correlation", "whitening"]
Estimator = Literal["published", "unbiased", "averaged"]
Weight = Literal["given", "auto"]
Statistics = dict[str, Float[Array, "..."]]
"""Means over a batch, so that those of micro-batches average to those of the batch."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class CorrelationTerm:
    """A function of statistics of the normalized latents of a whole batch.

    Attributes:
      measure: What is measured, as in `LossConfig`.
      estimator: How it is estimated, as in `LossConfig`.
      weight: Unit of α, as in `LossConfig`.
      price_offset: Whether whitening prices offsets apart, as in `LossConfig`.
      window: Side of the correlation map.
      mask: Weights of the cells of the map, row by row.
      groups: First channel and end of each group of channels that shares a map.
      images: Images of the whole batch, over all micro-batches.
    """

    measure: Measure
    estimator: Estimator
    weight: Weight
    price_offset: bool
    window: int
    mask: Sequence[Sequence[float]]
    groups: tuple[tuple[int, int], ...]
    images: int

    @property
    def is_published(self) -> bool:
        """Is true if the term is the published loss."""
        variant = self.measure, self.estimator, self.weight
        return variant == ("correlation", "published", "given")

    def statistics(self, normalized: Float[Array, "b h16 w16 c"]) -> Statistics:
        """Returns the statistics of a batch, or of one of its micro-batches.

        They always have the correlation map, whose norm is logged.
        """
        if self.measure == "correlation" and self.estimator == "unbiased":
            maps = self._pool(self._part_maps(normalized))
            norms = jax.vmap(self._norm)(maps)
            return {"map": jnp.mean(maps, axis=0), "part_norm": jnp.mean(norms)}
        if len(self.groups) == 1:
            map = correlation.correlation_map(normalized, window=self.window)
        else:
            maps = correlation.correlation_maps(normalized, window=self.window)
            map = self._pool(maps)
        statistics = {"map": map}
        if self.measure == "whitening":
            statistics["moments"] = whitening.neighbor_moments(normalized)
        return statistics

    def published(self, statistics: Statistics) -> Float[Array, ""]:
        """Returns the published loss, of the map of the whole batch."""
        return self._norm(statistics["map"])

    def published_of(self, maps: Float[np.ndarray, "c k k"]) -> float:
        """Returns the published loss, given the correlation map of each channel."""
        return float(self.published({"map": self._pool(jnp.asarray(maps))}))

    def value(self, statistics: Statistics) -> Float[Array, ""]:
        """Returns the term: in bits per pixel for whitening and the weight `auto`."""
        if self.measure == "whitening":
            bits = whitening.whitening_bits(
                statistics["moments"], offset=self.price_offset
            )
            return jnp.mean(bits) * self._channels / LATENT_STRIDE**2
        value = self.published(statistics)
        if self.estimator == "unbiased":
            parts = max(self.images, 2)
            value = correlation_variants.unbiased_norm(
                value, statistics["part_norm"], parts=parts
            )
        if self.weight == "auto":
            middle = self.window // 2
            variance = self._mean(statistics["map"][..., middle, middle])
            value *= correlation_variants.natural_weight(
                variance, channels=self._channels, stride=LATENT_STRIDE
            )
        return value

    @property
    def _channels(self) -> int:
        return self.groups[-1][1]

    def _part_maps(self, normalized: Array) -> Array:
        """Returns the maps of parts; micro-batches of one image are parts."""
        if self.images == 1:
            return correlation_variants.part_maps(normalized, window=self.window)
        return jax.vmap(
            lambda image: correlation.correlation_maps(image, window=self.window)
        )(normalized)

    def _pool(self, maps: Float[Array, "*n c k k"]) -> Float[Array, "..."]:
        """Averages the maps of the channels of each group."""
        if len(self.groups) == self._channels:
            return maps
        if len(self.groups) == 1:
            return jnp.mean(maps, axis=-3)
        groups = [
            jnp.mean(maps[..., start:end, :, :], axis=-3) for start, end in self.groups
        ]
        return jnp.stack(groups, axis=-3)

    def _norm(self, map: Float[Array, "*c k k"]) -> Float[Array, ""]:
        return self._mean(correlation.masked_norm(map, jnp.array(self.mask)))

    def _mean(self, values: Float[Array, "*c"]) -> Float[Array, ""]:
        """Averages over groups, by their channels."""
        sizes = [end - start for start, end in self.groups]
        if len(set(sizes)) == 1:
            return jnp.mean(values)
        return jnp.average(values, weights=jnp.array(sizes))


def tangent(
    function: Callable[[Statistics], Float[Array, ""]],
    point: Statistics,
    statistics: Statistics,
) -> Float[Array, ""]:
    """Returns the tangent of a function at a point, at other statistics.

    The point is a constant. At itself, the tangent has value and gradient of the
    function.
    """
    point = jax.lax.stop_gradient(point)
    change = jax.tree.map(jnp.subtract, statistics, point)
    value, slope = jax.jvp(function, (point,), (change,))
    return value + slope
