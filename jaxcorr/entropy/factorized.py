"""Factorized prior: one learned density a channel, for the side information."""

import functools
import itertools
import math
from collections.abc import Sequence

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from jaxcorr.entropy.gaussian import bits_between

HIDDEN_WIDTHS = (3, 3, 3, 3)
"""Widths of the network between its input and its output, those of CompressAI."""
SEARCH_RADIUS = 1e4
"""Quantiles are looked for up to this distance from zero, in quantization steps."""
BISECTIONS = 60


class FactorizedPrior(nnx.Module):
    """Density of each channel as the derivative of a small monotone network.

    The network maps a value to the logit of its cumulative probability. Matrices pass
    through a softplus and gates are bounded by 1, so it can only rise.

    References:
      Ballé et al., "Variational Image Compression with a Scale Hyperprior", ICLR 2018,
      appendix 6.1, https://arxiv.org/abs/1802.01436.
    """

    def __init__(
        self,
        channels: int,
        *,
        hidden_widths: Sequence[int] = HIDDEN_WIDTHS,
        spread: float = 10.0,
        rngs: nnx.Rngs,
    ):
        """Initializes to wide densities around zero.

        Args:
          channels: Channels of the side information.
          hidden_widths: Widths of the network of each channel, between its input and
            its output; with none, densities are logistic. A codec has the default.
          spread: Width of the initial densities, in quantization steps.
          rngs: Source of the initial biases.
        """
        widths = (1, *hidden_widths, 1)
        step = spread ** (1 / (len(widths) - 1))
        matrices, biases, gates = [], [], []
        for inputs, outputs in itertools.pairwise(widths):
            start = math.log(math.expm1(1 / step / outputs))
            matrix = jnp.full((channels, outputs, inputs), start, jnp.float32)
            matrices.append(nnx.Param(matrix))
            shift = jax.random.uniform(rngs.params(), (channels, outputs), minval=-1)
            biases.append(nnx.Param(shift / 2))
            gates.append(nnx.Param(jnp.zeros((channels, outputs))))
        self.matrices = nnx.List(matrices)
        self.biases = nnx.List(biases)
        self.gates = nnx.List(gates[:-1])

    def logits(self, values: Float[Array, "c n"]) -> Float[Array, "c n"]:
        """Logit of the cumulative probability up to each value."""
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
        """Bits of values quantized with step 1, or with noise instead.

        Args:
          values: Side information.
          likelihood_bound: Smallest likelihood, 0 for none; 1e-9 in CompressAI.
        """
        flat = values.reshape(-1, values.shape[-1]).T
        upper, lower = self.logits(flat + 0.5), self.logits(flat - 0.5)
        # s(u) - s(l) = s(u) s(-l) (1 - exp(l - u)) for the logistic function s: every
        # factor keeps its digits, in both tails.
        log_upper = jax.nn.log_sigmoid(upper) + jax.nn.log_sigmoid(-lower)
        bits = bits_between(
            log_upper, log_upper + lower - upper, likelihood_bound=likelihood_bound
        )
        return bits.T.reshape(values.shape)

    def median(self) -> Float[Array, " c"]:
        """Median of each channel; side information is rounded around it."""
        return self.quantile(0.5)

    def quantile(self, probability: float) -> Float[Array, " c"]:
        """Value of each channel up to which lies this much probability."""
        return _quantile(self, probability)


# Compiled by itself: outside of a compiled function, a loop over `logits` would be
# another program for every prior, and JAX keeps each.
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
