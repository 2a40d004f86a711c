"""Context models with a fixed list of passes: one loop for training, one for coding.

A subclass of `PassContext` lists its passes and states once, as pure functions, what a
pass predicts. Training, coding and export call the same functions.
"""

import dataclasses
import functools
import itertools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Bool, Float, Int
from typing_extensions import override

from jaxcorr.context.base import CodingState, Positions, Prediction
from jaxcorr.context.parameters import MeanAndScale
from jaxcorr.quantization import Quantization, QuantizationName


@dataclasses.dataclass(frozen=True, kw_only=True)
class Pass:
    """Latents that are coded together.

    Attributes:
      channels: Their first channel, and the one after their last.
      parity: Parity of row + column at their positions; None for all positions.
    """

    channels: tuple[int, int]
    parity: int | None = None

    def take(self, latents: Float[Any, "*b c"]) -> Float[Any, "*b d"]:
        """Returns the channels of this pass."""
        return latents[..., slice(*self.channels)]

    def place(
        self, values: Float[Array, "b h16 w16 d"], like: Float[Array, "b h16 w16 c"]
    ) -> Float[Array, "b h16 w16 c"]:
        """Returns all channels, with `values` in those of this pass and 0 elsewhere."""
        if values.shape == like.shape:
            return values
        return jnp.zeros_like(like).at[..., slice(*self.channels)].set(values)

    def mask(self, latents: Float[Array, "b h16 w16 _"]) -> Bool[Array, "1 h16 w16 1"]:
        """Returns the positions of this pass, which has a parity."""
        rows, columns = map(jnp.arange, latents.shape[1:3])
        return (parity_of(rows, columns) == self.parity)[None, ..., None]

    def positions(self, size: tuple[int, int]) -> Positions:
        """Returns their index in raster order, channels last: that of the file."""
        rows, columns = size
        places: Positions = np.s_[:rows, :columns]
        if self.parity is not None:
            parity = parity_of(np.arange(rows), np.arange(columns))
            places = np.nonzero(parity == self.parity)
        return (*places, slice(*self.channels))


def parity_of(
    rows: Int[Any, " rows"], columns: Int[Any, " columns"]
) -> Int[Any, "rows columns"]:
    """Returns the parity of row + column at each position."""
    return (rows[:, None] + columns[None]) % 2


class PassContext(nnx.Module):
    """A context model whose passes do not depend on the size of the image.

    Subclasses set `schedule` and override `predict`, and where they need it `prepare`,
    `network_inputs` and `refine`.

    Attributes:
      schedule: The passes, in order of their channels.
      refines: Whether rounding errors are predicted; only of passes over all positions.
    """

    default_quantization: QuantizationName = "straight_through"
    schedule: tuple[Pass, ...]
    refines: bool = False

    def prepare(
        self, features: Float[Array, "b h16 w16 f"]
    ) -> Float[Array, "b h16 w16 p"]:
        """Returns what all passes need of the features, computed once."""
        return features

    def network_inputs(
        self,
        prepared: Float[Array, "b h16 w16 p"],
        latent_hat: Float[Array, "b h16 w16 k"],
        index: int,
    ) -> Any:
        """Returns the inputs of the networks of a pass.

        Args:
          prepared: Output of `prepare`.
          latent_hat: Decoded latents of earlier passes, in all channels up to the last
            of theirs at least; zeros where nothing is decoded.
          index: The pass.
        """
        del index
        return prepared, latent_hat

    def predict(self, seen: Any, index: int) -> MeanAndScale:
        """Returns means and scales of a pass, at all positions of its channels."""
        raise NotImplementedError

    def refine(
        self, seen: Any, quantized: Float[Array, "b h16 w16 d"], index: int
    ) -> Float[Array, "b h16 w16 d"]:
        """Returns the decoded latents of a pass; called where `refines` only."""
        raise NotImplementedError

    def forward(
        self,
        features: Float[Array, "b h16 w16 f"],
        latent: Float[Array, "b h16 w16 c"],
        quantization: Quantization,
        coded: Bool[Array, "#b h16 w16 1"],
    ) -> Prediction:
        """Predicts and quantizes all latents; see `ContextModel.forward`."""
        prepared = self.prepare(features)
        found: list[tuple[Array, ...]] = []
        latent_hat = jnp.zeros((*latent.shape[:-1], 0), latent.dtype)
        for _, group in itertools.groupby(
            range(len(self.schedule)), lambda index: self.schedule[index].channels
        ):
            first, *others = group
            part = self.schedule[first]

            def quantize(mean: Array, part: Pass = part) -> Array:
                # All channels at once: noise is drawn for whole latents.
                center = part.place(mean, latent)
                return part.take(quantization.quantize(latent, center))

            seen = self.network_inputs(prepared, latent_hat, first)
            mean, scale = self.predict(seen, first)
            for index in others:
                anchor = part.mask(latent)
                anchors = jnp.where(anchor & coded, quantize(mean), 0.0)
                known = jnp.concatenate([latent_hat, anchors], axis=-1)
                seen = self.network_inputs(prepared, known, index)
                other_mean, other_scale = self.predict(seen, index)
                mean = jnp.where(anchor, mean, other_mean)
                scale = jnp.where(anchor, scale, other_scale)
            quantized = decoded = jnp.where(coded, quantize(mean), 0.0)
            if self.refines:
                decoded = self.refine(seen, quantized, first)
                decoded = jnp.where(coded, decoded, 0.0)
            latent_hat = jnp.concatenate([latent_hat, decoded], axis=-1)
            found.append((mean, scale, quantized))
        mean, scale, quantized = (
            jnp.concatenate(parts, axis=-1) for parts in zip(*found, strict=True)
        )
        return Prediction(
            mean=mean, scale=scale, quantized=quantized, latent_hat=latent_hat
        )

    def num_passes(self, height: int, width: int) -> int:
        """Returns the number of passes, the same for all sizes."""
        del height, width
        return len(self.schedule)

    def begin_coding(
        self, features: Float[Array, "h16 w16 f"], size: tuple[int, int]
    ) -> CodingState:
        """Returns the state of coding before the first pass."""
        channels = self.schedule[-1].channels[1]
        return _Passes(
            context=self,
            prepared=_prepare(self, features[None]),
            latent_hat=np.zeros((1, *features.shape[:2], channels), features.dtype),
            size=size,
        )


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class _Passes(CodingState):
    """Coding with a `PassContext`, on the canvas."""

    context: PassContext
    prepared: Float[Array, "1 h16 w16 p"]
    latent_hat: Float[np.ndarray, "1 h16 w16 c"]
    size: tuple[int, int]

    @override
    def predict(self, index):
        predicted = _predict(self.context, self.prepared, self.latent_hat, index)
        positions = self._positions(index)
        mean, scale = (np.asarray(x)[0][positions[:2]] for x in predicted)
        return positions, mean, scale

    @override
    def refine(self, index, quantized):
        if not self.context.refines:
            return quantized
        positions = self._positions(index)
        canvas = np.zeros_like(self.context.schedule[index].take(self.latent_hat))
        canvas[0][positions[:2]] = quantized
        refined = _refine(self.context, self.prepared, self.latent_hat, canvas, index)
        return np.asarray(refined)[0][positions[:2]]

    @override
    def update(self, index, latent_hat):
        self.latent_hat[0][self._positions(index)] = latent_hat

    def _positions(self, index: int) -> Positions:
        return self.context.schedule[index].positions(self.size)


@jax.jit
def _prepare(context: PassContext, features: Array) -> Array:
    return context.prepare(features)


@functools.partial(jax.jit, static_argnames="index")
def _predict(context: PassContext, prepared: Array, latent_hat: Array, index: int):
    return context.predict(context.network_inputs(prepared, latent_hat, index), index)


@functools.partial(jax.jit, static_argnames="index")
def _refine(
    context: PassContext,
    prepared: Array,
    latent_hat: Array,
    quantized: Array,
    index: int,
) -> Array:
    return context.refine(
        context.network_inputs(prepared, latent_hat, index), quantized, index
    )
