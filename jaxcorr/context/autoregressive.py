"""Autoregressive context: every latent from those before it in raster order."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Bool, Float, Int
from typing_extensions import override

from jaxcorr import serialization
from jaxcorr.context.base import CodingState, Prediction
from jaxcorr.context.parameters import MeanAndScale, ParameterNetwork
from jaxcorr.layers.convolution import MaskedConvolution, tap_index
from jaxcorr.quantization import Quantization, QuantizationName, round_around

CAUSAL_TAPS = tuple(
    (row, column)
    for row in range(-2, 1)
    for column in range(-2, 3)
    if (row, column) < (0, 0)
)
"""The latents of a 5x5 square that come before its center in raster order."""

LAG = 3
"""Columns that a row must be behind the one above it, to see two columns to the right
of itself there."""


@serialization.stored("Autoregressive")
@dataclasses.dataclass(frozen=True, kw_only=True)
class Autoregressive:
    """A pass for each wavefront: a latent here, three columns further one row up, ….

    Latents of a wavefront do not see each other, so this is the raster scan, symbol for
    symbol, in width + 3 height passes instead of width times height.
    """

    def build(self, *, channels: int, rngs: nnx.Rngs) -> "AutoregressiveContext":
        """Initializes the networks."""
        return AutoregressiveContext(channels, rngs=rngs)


class AutoregressiveContext(nnx.Module):
    """A masked 5x5 convolution of decoded latents, beside the features.

    References:
      Minnen et al., "Joint Autoregressive and Hierarchical Priors for Learned Image
      Compression", NeurIPS 2018, section 2, https://arxiv.org/abs/1809.02736.
    """

    default_quantization: QuantizationName = "noise"

    def __init__(self, channels: int, *, rngs: nnx.Rngs):
        """Initializes the networks.

        Args:
          channels: Channels of the latents.
          rngs: Source of the initial parameters.
        """
        self.neighbors = MaskedConvolution(
            channels, 2 * channels, taps=CAUSAL_TAPS, rngs=rngs
        )
        self.network = ParameterNetwork(channels, rngs=rngs)
        self.channels = channels

    def forward(
        self,
        features: Float[Array, "b h16 w16 f"],
        latent: Float[Array, "b h16 w16 c"],
        quantization: Quantization,
        coded: Bool[Array, "#b h16 w16 1"],
    ) -> Prediction:
        """Predicts and quantizes all latents; see `ContextModel.forward`."""
        projected = self.network.features(features)
        if quantization.is_rounding:
            seen = self._rounded(projected, latent, coded)
        else:
            # Means are not known before the latents that they are predicted from: in
            # training those are rounded around 0, as in the reference, softly too.
            seen = quantization.quantize(latent, jnp.zeros_like(latent))
        mean, scale = self.predict_all(projected, jnp.where(coded, seen, 0.0))
        hat = quantization.quantize(latent, mean)
        return Prediction(mean=mean, scale=scale, quantized=hat, latent_hat=hat)

    def predict_all(
        self,
        projected: Float[Array, "b h16 w16 h"],
        seen: Float[Array, "b h16 w16 c"],
    ) -> MeanAndScale:
        """Returns means and scales of all latents, given what is seen of each."""
        return self.network(projected, self.neighbors(seen))

    def predict(
        self, projected: Float[Array, "n h"], seen: Float[Array, "n taps c"]
    ) -> MeanAndScale:
        """Returns means and scales of single latents.

        Args:
          projected: What the first layer makes of the features at their positions.
          seen: Decoded latents at the causal taps around each.
        """
        return self.network(projected, self.neighbors.at_positions(seen))

    def num_passes(self, height: int, width: int) -> int:
        """Returns the number of wavefronts."""
        return width + LAG * (height - 1)

    def begin_coding(
        self, features: Float[Array, "h16 w16 f"], size: tuple[int, int]
    ) -> CodingState:
        """Returns the state of coding before the first pass."""
        height, width = features.shape[:2]
        context, projected = _prepare(self, features)
        return _Wavefronts(
            context=context,
            projected=np.asarray(projected),
            latent_hat=np.zeros((height + 4, width + 4, self.channels), features.dtype),
            size=size,
        )

    def _rounded(
        self,
        projected: Float[Array, "b h16 w16 h"],
        latent: Float[Array, "b h16 w16 c"],
        coded: Bool[Array, "#b h16 w16 1"],
    ) -> Float[Array, "b h16 w16 c"]:
        """Returns latents rounded around means that rounded latents predict.

        Rounds all of them again and again, until nothing changes. A wavefront is right
        once those before it are, so that is at the latest after as many rounds as there
        are wavefronts. The loop has no gradient, and needs none: rounding has none.

        References:
          Song et al., "Accelerating Feedforward Computation via Parallel Nonlinear
          Equation Solving", ICML 2021, https://arxiv.org/abs/2002.03629.
        """
        rounds = self.num_passes(*latent.shape[1:3])

        def unsettled(carry):
            _, changed, count = carry
            return changed & (count < rounds)

        def again(carry):
            before, _, count = carry
            mean, _ = self.predict_all(projected, before)
            after = jnp.where(coded, round_around(latent, mean), 0.0)
            return after, jnp.any(after != before), count + 1

        first = jnp.where(coded, jnp.round(latent), 0.0)
        start = (first, jnp.bool_(True), jnp.int32(0))
        return jax.lax.while_loop(unsettled, again, start)[0]


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class _Wavefronts(CodingState):
    """Coding wavefront by wavefront.

    Attributes:
      context: The networks, in the precision of coding, and where it computes.
      projected: What the first layer makes of the features, on the canvas.
      latent_hat: Decoded latents within a border of two; zeros where there are none.
      size: Rows and columns that are coded.
    """

    context: AutoregressiveContext
    projected: Float[np.ndarray, "h16 w16 h"]
    latent_hat: Float[np.ndarray, "h16+4 w16+4 c"]
    size: tuple[int, int]

    @override
    def predict(self, index):
        rows, columns = wavefront(index, *self.size)
        down, right = tap_index(CAUSAL_TAPS)
        seen = self.latent_hat[rows[:, None] + down, columns[:, None] + right]
        projected = self.projected[rows, columns]
        # Every wavefront at the length of the longest: one program for all.
        length = -(-self.projected.shape[1] // LAG)
        fill = [(0, length - rows.size)]
        predicted = _predict(
            self.context,
            np.pad(projected, [*fill, (0, 0)]),
            np.pad(seen, [*fill, (0, 0), (0, 0)]),
        )
        mean, scale = (np.asarray(x)[: rows.size] for x in predicted)
        return (rows, columns), mean, scale

    @override
    def refine(self, index, quantized):
        return quantized

    @override
    def update(self, index, latent_hat):
        rows, columns = wavefront(index, *self.size)
        self.latent_hat[rows + 2, columns + 2] = latent_hat


def wavefront(
    index: int, height: int, width: int
) -> tuple[Int[np.ndarray, " n"], Int[np.ndarray, " n"]]:
    """Returns rows and columns of the latents of a pass, from the top."""
    last = min(height - 1, index // LAG)
    first = max(0, -(-(index - width + 1) // LAG))
    rows = np.arange(first, last + 1)
    return rows, index - LAG * rows


@jax.jit
def _prepare(
    context: AutoregressiveContext, features: Float[Array, "h16 w16 f"]
) -> tuple[AutoregressiveContext, Float[Array, "h16 w16 h"]]:
    """Converts the parameters once, and computes all that waits for no latent."""
    converted = jax.tree.map(lambda x: x.astype(features.dtype), context)
    return converted, context.network.features(features)


@jax.jit
def _predict(
    context: AutoregressiveContext,
    projected: Float[Array, "n h"],
    seen: Float[Array, "n taps c"],
) -> MeanAndScale:
    return context.predict(projected, seen)
