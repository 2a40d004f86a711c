"""Quantization of latents: rounding, as in files, and its stand-ins in training.

Rounding has no useful gradient, so training quantizes in another way. A `Quantization`
says what the decoder sees of a grid of latents and what rate goes with it. Latents are
rounded around centers: predicted means for y, medians for z. Values are in quantization
steps throughout.

References:
  Ballé et al., "End-to-end Optimized Image Compression", ICLR 2017, section 3,
  https://arxiv.org/abs/1611.01704, for uniform noise.
  Theis et al., "Lossy Image Compression with Compressive Autoencoders", ICLR 2017,
  section 2.1, https://arxiv.org/abs/1703.00395, for straight-through gradients.
  Agustsson and Theis, "Universally Quantized Neural Compression", NeurIPS 2020, section
  4, https://arxiv.org/abs/2006.09952, for soft rounding.
"""

import abc
import dataclasses
from collections.abc import Callable
from typing import Literal

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key
from typing_extensions import override

from jaxcorr.soft_rounding import Sharpness, conditional_mean, soft_round

QuantizationName = Literal["noise", "straight_through", "soft_round"]
"""Names of the ways to quantize in training, in settings."""

Bits = Callable[[Float[Array, "*b c"], float], Float[Array, "*b c"]]
"""Maps quantized latents and the smallest likelihood of an element to bits."""


class Quantization(abc.ABC):
    """Says what the decoder sees of a grid of latents, and the rate that goes with it.

    Attributes:
      is_rounding: Whether the decoder sees latents as a file would give them.
    """

    is_rounding: bool = False

    @abc.abstractmethod
    def split(self) -> tuple["Quantization", "Quantization"]:
        """Returns the quantizations of y and of z; their noise is independent."""

    @abc.abstractmethod
    def quantize(
        self, values: Float[Array, "*b c"], centers: Float[Array, "*#b c"]
    ) -> Float[Array, "*b c"]:
        """Returns latents as the decoder and the context model see them."""

    @abc.abstractmethod
    def bits(
        self,
        bits: Bits,
        values: Float[Array, "*b c"],
        centers: Float[Array, "*#b c"],
        likelihood_bound: float,
    ) -> Float[Array, "*b c"]:
        """Returns the rate of latents.

        Args:
          bits: Bits of quantized latents under the entropy model.
          values: Latents before quantization.
          centers: What they are rounded around.
          likelihood_bound: Smallest likelihood of an element, 0 for none.
        """


class Rounding(Quantization):
    """Rounds latents, as files do."""

    is_rounding = True

    @override
    def split(self) -> tuple[Quantization, Quantization]:
        return self, self

    @override
    def quantize(self, values: Array, centers: Array) -> Array:
        return round_around(values, centers)

    @override
    def bits(
        self, bits: Bits, values: Array, centers: Array, likelihood_bound: float
    ) -> Array:
        return bits(round_around(values, centers), likelihood_bound)


@dataclasses.dataclass(frozen=True)
class AdditiveNoise(Quantization):
    """Adds uniform noise, whose variance is that of the rounding error.

    Attributes:
      keys: Draw the noise, a key an image.
    """

    keys: Key[Array, " b"]

    @override
    def split(self) -> tuple[Quantization, Quantization]:
        y_keys, z_keys = jnp.unstack(jax.vmap(jax.random.split)(self.keys), axis=1)
        with_keys = lambda keys: dataclasses.replace(self, keys=keys)
        return with_keys(y_keys), with_keys(z_keys)

    @override
    def quantize(self, values: Array, centers: Array) -> Array:
        return values + uniform_noise(self.keys, values)

    @override
    def bits(
        self, bits: Bits, values: Array, centers: Array, likelihood_bound: float
    ) -> Array:
        return bits(values + uniform_noise(self.keys, values), likelihood_bound)


class StraightThrough(AdditiveNoise):
    """Rounds latents with an identity gradient; the rate is that of additive noise."""

    @override
    def quantize(self, values: Array, centers: Array) -> Array:
        return straight_through_round(values, centers)


@dataclasses.dataclass(frozen=True)
class SoftRounding(AdditiveNoise):
    """Rounds latents softly and adds noise; the decoder sees the conditional mean.

    Attributes:
      sharpness: From 0, which leaves noise alone, to `SHARPNESS_MAXIMUM`, close to
        rounding.
    """

    sharpness: Sharpness

    @override
    def quantize(self, values: Array, centers: Array) -> Array:
        noise = uniform_noise(self.keys, values)
        return soft_quantize(values, centers, noise, self.sharpness)

    @override
    def bits(
        self, bits: Bits, values: Array, centers: Array, likelihood_bound: float
    ) -> Array:
        noise = uniform_noise(self.keys, values)
        return soft_bits(
            *(bits, values, centers, noise, self.sharpness),
            likelihood_bound=likelihood_bound,
        )


def training_quantization(
    name: QuantizationName, keys: Key[Array, " b"], sharpness: Sharpness
) -> Quantization:
    """Returns the quantization of a name.

    Args:
      name: The name.
      keys: Draw the noise, a key an image.
      sharpness: Sharpness of soft rounding; the others have none.
    """
    kinds: dict[QuantizationName, Quantization] = {
        "noise": AdditiveNoise(keys),
        "straight_through": StraightThrough(keys),
        "soft_round": SoftRounding(keys, sharpness),
    }
    return kinds[name]


def uniform_noise(
    keys: Key[Array, " b"], like: Float[Array, " b *shape"]
) -> Float[Array, " b *shape"]:
    """Draws noise in [-1/2, 1/2) in the shape of `like`.

    Every image of a batch has a key of its own, so its noise does not depend on how the
    batch is split over devices or micro-batches.
    """
    draw = lambda key: jax.random.uniform(key, like.shape[1:], like.dtype, -0.5, 0.5)
    return jax.vmap(draw)(keys)


def round_around(
    values: Float[Array, "*b c"], centers: Float[Array, "*#b c"]
) -> Float[Array, "*b c"]:
    """Rounds the distance of `values` from `centers`, with the gradient of rounding."""
    return jnp.round(values - centers) + centers


def straight_through_round(
    values: Float[Array, "*b c"], centers: Float[Array, "*#b c"]
) -> Float[Array, "*b c"]:
    """As `round_around`, but with the gradient of the identity to `values`."""
    return values + jax.lax.stop_gradient(round_around(values, centers) - values)


def soft_quantize(
    values: Float[Array, "*b c"],
    centers: Float[Array, "*#b c"],
    noise: Float[Array, "*b c"],
    sharpness: Sharpness,
) -> Float[Array, "*b c"]:
    """Quantizes latents around `centers` by soft rounding and noise.

    The slope of the conditional mean is very large at few places and small elsewhere.
    Its gradient is that of its mean over the noise, which is 1 everywhere.

    Centers get no gradient, as with additive noise and straight-through rounding. The
    output is a sawtooth in the center: it rises with it and falls back whenever the
    center has passed a step. Training is stable on the mean slope, 0, and diverged on
    the slopes themselves.

    References:
      Agustsson and Theis, as above, section 4.2, on the variance of gradients, without
      centers.
    """
    soft = soft_round(values - jax.lax.stop_gradient(centers), sharpness)
    mean = conditional_mean(soft + noise, sharpness)
    return soft + jax.lax.stop_gradient(centers + mean - soft)


def soft_bits(
    bits: Bits,
    values: Float[Array, "*b c"],
    centers: Float[Array, "*#b c"],
    noise: Float[Array, "*b c"],
    sharpness: Sharpness,
    *,
    likelihood_bound: float,
) -> Float[Array, "*b c"]:
    """Returns the bits of softly rounded values with noise, by their exact density.

    A noisy value may come from the step around its conditional mean, so its density is
    the probability of that step: `bits` of the conditional mean.

    The gradient to `values` and `centers` is that of the mean over the noise. It is
    exact: the slope of the mean over a step is the difference between its two ends.
    Anything else that `bits` depends on gets the plain gradient.

    Args:
      bits: Bits of the step around each latent.
      values: Latents, in quantization steps.
      centers: What they are rounded around.
      noise: In [-1/2, 1/2).
      sharpness: As in `soft_round`.
      likelihood_bound: Smallest likelihood; gradients lead back from below it.

    References:
      Agustsson and Theis, as above, section 4.2, on the variance of gradients.
    """
    soft = soft_round(values - centers, sharpness)
    mean = jax.lax.stop_gradient(conditional_mean(soft + noise, sharpness))
    slope = bits(values + 0.5, 0.0) - bits(values - 0.5, 0.0)
    through = soft - jax.lax.stop_gradient(soft)
    cost = bits(centers + mean, likelihood_bound)
    return cost + jax.lax.stop_gradient(slope) * through
