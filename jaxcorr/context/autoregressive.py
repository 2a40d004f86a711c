"""Autoregressive context: each latent is predicted from the latents before it."""

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
from jaxcorr.layers.valid_region import ValidRegion
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

    def begin_coding(
        self,
        features: Float[Array, "h16 w16 f"],
        size: tuple[int, int],
        region: ValidRegion | None = None,
    ) -> CodingState:
        """Returns the state of coding before the first pass."""
        del region  # The networks see the features of one position at a time.
        height, width = features.shape[:2]
        context, projected = _prepare(self, features)
        return _WavefrontCodingState(
            context=context,
            projected=np.asarray(projected),
            latent_hat=np.zeros((height + 4, width + 4, self.channels), features.dtype),
            size=size,
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
      context: The networks, in the precision and on the device of coding.
      projected: Features after the first layer of the network, on the canvas.
      latent_hat: Decoded latents, with a border of two; zeros where none is decoded.
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
        neighbors = self.latent_hat[rows[:, None] + down, columns[:, None] + right]
        projected = self.projected[rows, columns]
        # All wavefronts are padded to the longest, so that they share one program.
        longest = -(-self.projected.shape[1] // LAG)
        padding = (0, longest - rows.size)
        prediction = _predict(
            self.context,
            np.pad(projected, [padding, (0, 0)]),
            np.pad(neighbors, [padding, (0, 0), (0, 0)]),
        )
        mean, scale = (np.asarray(x)[: rows.size] for x in prediction)
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
    """Returns rows and columns of the latents of a pass, from the top row down."""
    last = min(height - 1, index // LAG)
    first = max(0, -(-(index - width + 1) // LAG))
    rows = np.arange(first, last + 1)
    return rows, index - LAG * rows


@jax.jit
def _prepare(
    context: AutoregressiveContext, features: Float[Array, "h16 w16 f"]
) -> tuple[AutoregressiveContext, Float[Array, "h16 w16 h"]]:
    """Casts the parameters, and projects the features, once for all passes."""
    cast = jax.tree.map(lambda x: x.astype(features.dtype), context)
    return cast, context.network.features(features)


@jax.jit
def _predict(
    context: AutoregressiveContext,
    projected: Float[Array, "n h"],
    neighbors: Float[Array, "n taps c"],
) -> MeanAndScale:
    return context.predict(projected, neighbors)
