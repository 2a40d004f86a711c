"""Autoregressive context: each latent is predicted from the latents before it."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Bool, Float, Float64, Int
from typing_extensions import override

from jaxcorr import serialization
from jaxcorr.context.base import CodingState, Prediction
from jaxcorr.context.parameters import MeanAndScale, ParameterNetwork
from jaxcorr.context.strips import CodingLayout, Rows
from jaxcorr.layers.convolution import MaskedConvolution, tap_index
from jaxcorr.programs import forgotten
from jaxcorr.quantization import Quantization, QuantizationName, round_around

CAUSAL_TAPS = tuple(
    (row, column)
    for row in range(-2, 1)
    for column in range(-2, 3)
    if (row, column) < (0, 0)
)
"""Offsets of the latents in a 5x5 square that precede its center in raster order."""

LAG = 3
"""Columns by which each row is behind the row above: its taps see two to the right."""


@serialization.stored("Autoregressive")
@dataclasses.dataclass(frozen=True, kw_only=True)
class Autoregressive:
    """One pass per wavefront: a latent, the one three columns right and one row up, ….

    Latents of a wavefront do not see each other. So the symbols are those of the raster
    scan, in about width + 3 height passes instead of width times height.
    """

    def build(self, *, channels: int, rngs: nnx.Rngs) -> "AutoregressiveContext":
        """Builds the context model, with initial parameters."""
        return AutoregressiveContext(channels, rngs=rngs)


class AutoregressiveContext(nnx.Module):
    """Predicts latents from features and a masked 5x5 convolution of decoded latents.

    Args:
      channels: Channels of the latents.
      rngs: Source of the initial parameters.

    References:
      Minnen et al., "Joint Autoregressive and Hierarchical Priors for Learned Image
      Compression", NeurIPS 2018, section 2, https://arxiv.org/abs/1809.02736.
    """

    default_quantization: QuantizationName = "noise"

    def __init__(self, channels: int, *, rngs: nnx.Rngs):
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
            visible = self._round_all(projected, latent, coded)
        else:
            # The mean of a latent depends on the quantized latents before it, so in
            # training they are quantized around 0, as in the reference.
            visible = quantization.quantize(latent, jnp.zeros_like(latent))
        mean, scale = self.predict_all(projected, jnp.where(coded, visible, 0.0))
        latent_hat = quantization.quantize(latent, mean)
        return Prediction(
            mean=mean, scale=scale, quantized=latent_hat, latent_hat=latent_hat
        )

    def predict_all(
        self,
        projected: Float[Array, "b h16 w16 h"],
        latent_hat: Float[Array, "b h16 w16 c"],
    ) -> MeanAndScale:
        """Returns means and scales of all latents, each given the latents before it.

        Args:
          projected: Features after the first layer of the network.
          latent_hat: Quantized latents; zeros where none is coded.
        """
        return self.network(projected, self.neighbors(latent_hat))

    def predict(
        self, projected: Float[Array, "n h"], neighbors: Float[Array, "n taps c"]
    ) -> MeanAndScale:
        """Returns means and scales at single positions.

        Args:
          projected: Features at the positions, after the first layer of the network.
          neighbors: Decoded latents at the causal taps of each position.
        """
        return self.network(projected, self.neighbors.at_positions(neighbors))

    def num_passes(self, height: int, width: int) -> int:
        """Returns the number of wavefronts."""
        return width + LAG * (height - 1)

    def num_strips(self, layout: CodingLayout) -> int:
        """Returns the number of strips in which an image is coded."""
        return layout.num_strips()

    def begin_coding(self, features: Rows, layout: CodingLayout) -> CodingState:
        """Returns the state of coding before the first pass."""
        height, width = layout.coded
        bordered = np.zeros((height + 4, width + 4, self.channels))
        # The networks see the features of one position at a time.
        return _WavefrontCodingState(
            context=self,
            projected=features.map(lambda x: np.asarray(_project(self, x))),
            bordered=bordered,
            latent_hat=bordered[2:-2, 2:-2],
            layout=layout,
        )

    def _round_all(
        self,
        projected: Float[Array, "b h16 w16 h"],
        latent: Float[Array, "b h16 w16 c"],
        coded: Bool[Array, "#b h16 w16 1"],
    ) -> Float[Array, "b h16 w16 c"]:
        """Returns latents rounded around the means that rounded latents predict.

        Jacobi iteration: rounds all latents until none changes. A wavefront is right
        once the wavefronts before it are, so there are at most as many iterations as
        wavefronts. The loop needs no gradient, since rounding has none.

        References:
          Song et al., "Accelerating Feedforward Computation via Parallel Nonlinear
          Equation Solving", ICML 2021, https://arxiv.org/abs/2002.03629.
        """
        max_iterations = self.num_passes(*latent.shape[1:3])

        def is_unfinished(carry):
            _, changed, iteration = carry
            return changed & (iteration < max_iterations)

        def iterate(carry):
            before, _, iteration = carry
            mean, _ = self.predict_all(projected, before)
            after = jnp.where(coded, round_around(latent, mean), 0.0)
            return after, jnp.any(after != before), iteration + 1

        initial = jnp.where(coded, jnp.round(latent), 0.0)
        carry = (initial, jnp.bool_(True), jnp.int32(0))
        return jax.lax.while_loop(is_unfinished, iterate, carry)[0]


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class _WavefrontCodingState(CodingState):
    """State of coding with an `AutoregressiveContext`.

    Attributes:
      context: The networks, on the device of coding.
      projected: Features after the first layer of the network.
      latent_hat: Decoded latents; zeros where none is decoded.
      bordered: The same with a border of two.
      layout: Sizes of the arrays, and the strips.
    """

    context: AutoregressiveContext
    projected: Rows
    latent_hat: Float64[np.ndarray, "h16 w16 c"]
    bordered: Float64[np.ndarray, "h16+4 w16+4 c"]
    layout: CodingLayout

    @functools.cached_property
    def _cast(self) -> AutoregressiveContext:
        """The networks in the precision of coding."""
        start, size = self.layout.window(0, 0)
        return _cast(self.context, self.projected.window(start, size))

    @override
    def num_passes(self, strip):
        first, end = self.layout.rows(strip)
        return self.context.num_passes(end - first, self.layout.coded[1])

    @override
    def coded_rows(self, strip):
        return self.layout.rows(strip)[1]

    @override
    def predict(self, strip, index):
        positions = rows, columns = self._wavefront(strip, index)
        down, right = tap_index(CAUSAL_TAPS)
        first, _ = self.layout.rows(strip)
        self.projected.forget(first)
        start, size = self.layout.window(0, first)
        projected = self.projected.window(start, size)
        neighbors = self.bordered[rows[:, None] + down, columns[:, None] + right]
        # All wavefronts are padded to the longest, so that they share one program.
        longest = -(-projected.shape[1] // LAG)
        padding = (0, longest - rows.size)
        prediction = _predict(
            self._cast,
            np.pad(projected[rows - start, columns], [padding, (0, 0)]),
            np.pad(neighbors.astype(projected.dtype), [padding, (0, 0), (0, 0)]),
        )
        mean, scale = (np.asarray(x)[: rows.size] for x in prediction)
        return positions, mean, scale

    @override
    def refine(self, strip, index, quantized):
        return self._wavefront(strip, index), quantized

    def _wavefront(self, strip: int, index: int) -> tuple[np.ndarray, np.ndarray]:
        first, end = self.layout.rows(strip)
        rows, columns = wavefront(index, end - first, self.layout.coded[1])
        return rows + first, columns


def wavefront(
    index: int, height: int, width: int
) -> tuple[Int[np.ndarray, " n"], Int[np.ndarray, " n"]]:
    """Returns rows and columns of the latents of a pass, from the top row down."""
    last = min(height - 1, index // LAG)
    first = max(0, -(-(index - width + 1) // LAG))
    rows = np.arange(first, last + 1)
    return rows, index - LAG * rows


@forgotten
@jax.jit
def _cast(
    context: AutoregressiveContext, like: Float[Array, "..."]
) -> AutoregressiveContext:
    """Casts the parameters once for all passes."""
    return jax.tree.map(lambda x: x.astype(like.dtype), context)


@forgotten
@jax.jit
def _project(
    context: AutoregressiveContext, features: Float[Array, "h16 w16 f"]
) -> Float[Array, "h16 w16 h"]:
    """Projects the features once for all passes."""
    return context.network.features(features)


@forgotten
@jax.jit
def _predict(
    context: AutoregressiveContext,
    projected: Float[Array, "n h"],
    neighbors: Float[Array, "n taps c"],
) -> MeanAndScale:
    return context.predict(projected, neighbors)
