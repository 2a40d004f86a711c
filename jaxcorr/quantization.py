"""Quantization of latents: rounding for files, and differentiable forms for training.

The gradient of rounding is zero, so training needs another form of quantization. A
`Quantization` defines the latents that the decoder sees and the rate that goes with
them. Latents are rounded around centers: predicted means for y, medians for z. All
values are in quantization steps.

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
"""Name of a quantization for training, as in configs."""

Bits = Callable[[Float[Array, "*b c"], float], Float[Array, "*b c"]]
"""An entropy model: maps quantized latents and a lower bound on the likelihood of each
element to bits."""


class Quantization(abc.ABC):
    """Describes how latents are quantized, and the rate that goes with it.

    A quantization is a pytree, since it is an argument of compiled programs.

    Attributes:
      is_rounding: Whether the decoder sees the same latents as when it reads a file.
    """

    is_rounding: bool = False

    @abc.abstractmethod
    def split(self) -> tuple["Quantization", "Quantization"]:
        """Returns the quantizations of y and of z, with independent noise."""

    @abc.abstractmethod
    def quantize(
        self, values: Float[Array, "*b c"], centers: Float[Array, "*#b c"]
    ) -> Float[Array, "*b c"]:
        """Quantizes latents for the decoder and the context model.

        Args:
          values: Latents before quantization.
          centers: Centers to round around.
        """

    @abc.abstractmethod
    def bits(
        self,
        bits: Bits,
        values: Float[Array, "*b c"],
        centers: Float[Array, "*#b c"],
        likelihood_bound: float,
    ) -> Float[Array, "*b c"]:
        """Returns the rate of latents, in bits per element.

        Args:
          bits: The entropy model, which maps quantized latents to bits.
          values: Latents before quantization.
          centers: Centers to round around.
          likelihood_bound: Smallest likelihood of an element; 0 for no bound.
        """


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Rounding(Quantization):
    """Rounds latents, as when they are written to a file."""

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


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class AdditiveNoise(Quantization):
    """Adds uniform noise, which has the variance of the rounding error.

    Attributes:
      keys: Random keys of the noise, one per image.
    """

    keys: Key[Array, " b"]

    @override
    def split(self) -> tuple[Quantization, Quantization]:
        y_keys, z_keys = jnp.unstack(jax.vmap(jax.random.split)(self.keys), axis=1)
        return (
            dataclasses.replace(self, keys=y_keys),
            dataclasses.replace(self, keys=z_keys),
        )

    @override
    def quantize(self, values: Array, centers: Array) -> Array:
        return values + uniform_noise(self.keys, values)

    @override
    def bits(
        self, bits: Bits, values: Array, centers: Array, likelihood_bound: float
    ) -> Array:
        return bits(values + uniform_noise(self.keys, values), likelihood_bound)


@jax.tree_util.register_dataclass
class StraightThrough(AdditiveNoise):
    """Rounds latents with an identity gradient; the rate is that of additive noise."""

    @override
    def quantize(self, values: Array, centers: Array) -> Array:
        return straight_through_round(values, centers)


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class SoftRounding(AdditiveNoise):
    """Rounds latents softly and adds noise; the decoder sees the conditional mean.

    Attributes:
      sharpness: Sharpness of `soft_round`: from 0, which is additive noise, to
        `SHARPNESS_MAXIMUM`, which is close to rounding.
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
            bits,
            values,
            centers,
            noise,
            self.sharpness,
            likelihood_bound=likelihood_bound,
        )


def training_quantization(
    name: QuantizationName, keys: Key[Array, " b"], sharpness: Sharpness
) -> Quantization:
    """Returns the quantization with the given name.

    Args:
      name: Name of the quantization.
      keys: Random keys of the noise, one per image.
      sharpness: Sharpness of soft rounding; the other quantizations ignore it.
    """
    quantizations: dict[QuantizationName, Quantization] = {
        "noise": AdditiveNoise(keys),
        "straight_through": StraightThrough(keys),
        "soft_round": SoftRounding(keys, sharpness),
    }
    return quantizations[name]


def uniform_noise(
    keys: Key[Array, " b"], like: Float[Array, " b *shape"]
) -> Float[Array, " b *shape"]:
    """Samples uniform noise in [-1/2, 1/2) in the shape of `like`.

    Each image of a batch has its own key, so its noise does not depend on how the batch
    is split over devices or micro-batches.
    """

    def sample(key: Key[Array, ""]) -> Array:
        return jax.random.uniform(key, like.shape[1:], like.dtype, -0.5, 0.5)

    return jax.vmap(sample)(keys)


def round_around(
    values: Float[Array, "*b c"], centers: Float[Array, "*#b c"]
) -> Float[Array, "*b c"]:
    """Rounds latents to whole steps from their centers; `values` get no gradient."""
    return jnp.round(values - centers) + centers


def straight_through_round(
    values: Float[Array, "*b c"], centers: Float[Array, "*#b c"]
) -> Float[Array, "*b c"]:
    """Rounds as `round_around`, but passes the gradient to `values` unchanged."""
    return values + jax.lax.stop_gradient(round_around(values, centers) - values)


def soft_quantize(
    values: Float[Array, "*b c"],
    centers: Float[Array, "*#b c"],
    noise: Float[Array, "*b c"],
    sharpness: Sharpness,
) -> Float[Array, "*b c"]:
    """Quantizes latents around `centers` by soft rounding and noise.

    The slope of the conditional mean is very large at few points and small elsewhere.
    The gradient uses its mean over the noise instead, which is 1 everywhere.

    Centers get no gradient, as with additive noise and straight-through rounding. As a
    function of the center, the output is a sawtooth: it rises with the center and falls
    back once per quantization step, so its mean slope is 0. Training is stable with the
    mean slope and diverged with the pointwise slopes.

    Args:
      values: Latents before quantization.
      centers: Centers to round around.
      noise: Uniform noise in [-1/2, 1/2).
      sharpness: As in `soft_round`.

    References:
      Agustsson and Theis, as above, section 4.2, on the variance of gradients; without
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
    """Returns the bits of softly rounded latents plus noise, from their exact density.

    The latents that may have produced a noisy value fill the quantization step around
    its conditional mean. So the density of the noisy value is the probability of that
    step, and its bits are the `bits` of the conditional mean.

    The gradient to `values` and `centers` is that of the mean over the noise. It is
    exact: the slope of a mean over a step is the difference between the ends of the
    step. Everything else that `bits` depends on gets the ordinary gradient.

    Args:
      bits: The entropy model: bits of the quantization step around each latent.
      values: Latents before quantization.
      centers: Centers to round around.
      noise: Uniform noise in [-1/2, 1/2).
      sharpness: As in `soft_round`.
      likelihood_bound: Smallest likelihood of an element; 0 for no bound. Elements
        below it keep a gradient that raises their likelihood.

    References:
      Agustsson and Theis, as above, section 4.2, on the variance of gradients.
    """
    soft = soft_round(values - centers, sharpness)
    mean = jax.lax.stop_gradient(conditional_mean(soft + noise, sharpness))
    slope = bits(values + 0.5, 0.0) - bits(values - 0.5, 0.0)
    through = soft - jax.lax.stop_gradient(soft)
    cost = bits(centers + mean, likelihood_bound)
    return cost + jax.lax.stop_gradient(slope) * through
