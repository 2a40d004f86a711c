"""Factorized prior: one learned density per channel of the side information."""

import functools
import itertools
import math
from collections.abc import Sequence

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from jaxcorr import compatibility
from jaxcorr.entropy.gaussian import bits_between

HIDDEN_WIDTHS = (3, 3, 3, 3)
"""Hidden widths of the network of each channel, as in CompressAI."""
SEARCH_RADIUS = 1e4
"""Largest absolute value of a quantile, in quantization steps."""
BISECTIONS = 60
"""Number of halvings of the interval that contains a quantile."""


class FactorizedPrior(nnx.Module):
    """One density per channel, each the derivative of a small monotone network.

    The network maps a value to the logit of its cumulative probability. It can only
    rise, because its matrices pass through a softplus and its gates are bounded by 1.
    The initial densities are wide and centered near zero.

    Args:
      channels: Channels of the side information.
      hidden_widths: Hidden widths of the network of each channel. Without any, the
        densities are logistic. A codec uses the default.
      init_scale: Width of the initial densities, in quantization steps.
      rngs: Source of the initial biases.

    References:
      Ballé et al., "Variational Image Compression with a Scale Hyperprior", ICLR 2018,
      appendix 6.1, https://arxiv.org/abs/1802.01436.
    """

    def __init__(
        self,
        channels: int,
        *,
        hidden_widths: Sequence[int] = HIDDEN_WIDTHS,
        init_scale: float = 10.0,
        rngs: nnx.Rngs,
    ):
        widths = (1, *hidden_widths, 1)
        layer_scale = init_scale ** (1 / (len(widths) - 1))
        matrices, biases, gates = [], [], []
        for inputs, outputs in itertools.pairwise(widths):
            start = math.log(math.expm1(1 / layer_scale / outputs))
            matrix = jnp.full((channels, outputs, inputs), start, jnp.float32)
            matrices.append(nnx.Param(matrix))
            shift = jax.random.uniform(rngs.params(), (channels, outputs), minval=-1)
            biases.append(nnx.Param(shift / 2))
            gates.append(nnx.Param(jnp.zeros((channels, outputs))))
        self.matrices = compatibility.List(matrices)
        self.biases = compatibility.List(biases)
        self.gates = compatibility.List(gates[:-1])

    def logits(self, values: Float[Array, "c n"]) -> Float[Array, "c n"]:
        """Returns the logit of the cumulative probability up to each value."""
        hidden = values[:, None, :]
        for index, matrix in enumerate(self.matrices):
            weight = jax.nn.softplus(matrix[...].astype(values.dtype))
            hidden = jnp.einsum(
                "coi,cin->con", weight, hidden, precision=jax.lax.Precision.HIGHEST
            )
            hidden = hidden + self.biases[index][...].astype(values.dtype)[..., None]
            if index < len(self.gates):
                gate = jnp.tanh(self.gates[index][...].astype(values.dtype))
                hidden = hidden + gate[..., None] * jnp.tanh(hidden)
        return hidden[:, 0, :]

    def bits(
        self, values: Float[Array, "*b c"], likelihood_bound: float = 0.0
    ) -> Float[Array, "*b c"]:
        """Returns the bits of values that were quantized with step 1 or got noise.

        Args:
          values: Side information.
          likelihood_bound: Smallest likelihood, 0 for no bound; 1e-9 in CompressAI.
        """
        flat = values.reshape(-1, values.shape[-1]).T
        upper, lower = self.logits(flat + 0.5), self.logits(flat - 0.5)
        # s(u) - s(l) = s(u) s(-l) (1 - exp(l - u)) for the logistic function s. Every
        # factor is accurate in both tails.
        log_upper = jax.nn.log_sigmoid(upper) + jax.nn.log_sigmoid(-lower)
        bits = bits_between(
            log_upper, log_upper + lower - upper, likelihood_bound=likelihood_bound
        )
        return bits.T.reshape(values.shape)

    def median(self) -> Float[Array, " c"]:
        """Returns the median of each channel, the center that z is rounded around."""
        return self.quantile(0.5)

    def quantile(self, probability: float) -> Float[Array, " c"]:
        """Returns the value of each channel with this cumulative probability."""
        return _quantile(self, probability)


# A jitted function of its own: in eager mode, the loop over `logits` would compile one
# more program for every prior, and JAX would keep all of them.
@functools.partial(jax.jit, static_argnames="probability")
def _quantile(prior: FactorizedPrior, probability: float) -> Float[Array, " c"]:
    target = math.log(probability) - math.log1p(-probability)
    start = jnp.full((prior.biases[0].shape[0], 1), SEARCH_RADIUS)

    def halve(_, bounds):
        low, high = bounds
        middle = (low + high) / 2
        below = prior.logits(middle) < target
        return jnp.where(below, middle, low), jnp.where(below, high, middle)

    low, high = jax.lax.fori_loop(0, BISECTIONS, halve, (-start, start))
    return jax.lax.stop_gradient((low + high)[:, 0] / 2)
