"""The correlation loss in a Linen model with the entropy models of CoDeX.

Linen keeps channels last and takes whole batches, so the loss takes latents, means and
scales as they are: it is one line in `objective`.

    pip install git+https://github.com/balle-lab/codex      # Python 3.12 or later
    python examples/linen_codec.py

The example also runs with CoDeX's only release, of 2022, on any Python: `pip install
--no-deps jax-codex==0.0.1`. That release requires versions of Flax and JAX of its time,
hence `--no-deps`. Trains two small codecs with the same seed, without and with the
loss, for a minute or two.
"""

import functools
from typing import Any, NamedTuple, cast

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax
import trial
from jax import Array
from jax.scipy.special import log_ndtr

from jaxcorr import correlation_loss
from jaxcorr.correlation import normalize

# CoDeX is not a dependency of jaxcorr, so pyright does not find it.
try:
    from codex.ems import flax as ems  # pyright: ignore[reportMissingImports]
except ImportError:
    from codex import ems  # pyright: ignore[reportMissingImports]  # The release.

DISTORTION_WEIGHT = 0.0067
"""λ, in bits per pixel per unit of MSE on the 0-255 scale."""


class Coded(NamedTuple):
    """Output of the model for a batch, in arrays [batch, height, width, channels]."""

    reconstruction: Array
    latent: Array
    mean: Array
    scale: Array
    bits: Array


class Gaussian(NamedTuple):
    """The part of a zero-mean Gaussian that CoDeX needs of a symmetric distribution."""

    scale: Array

    def log_cdf(self, value: Array) -> Array:
        """Returns the logarithm of the cumulative probability."""
        return log_ndtr(value / self.scale)


class GaussianConditional(ems.DistributionEntropyModel, nn.Module):
    """Entropy model of latents minus their means."""

    scale: Array
    even_symmetric = True

    @property
    def distribution(self) -> Gaussian:
        """The distribution from which CoDeX computes bits."""
        return Gaussian(self.scale)


def factorized_prior(channels: int) -> nn.Module:
    """Returns CoDeX's prior; in the release, it counts the channels itself."""
    fields = ems.DeepFactorizedEntropyModel.__dataclass_fields__
    options = {"num_pdfs": channels} if "num_pdfs" in fields else {}
    return ems.DeepFactorizedEntropyModel(**options)


class MeanScaleHyperprior(nn.Module):
    """Codec with latents at stride 8 and side information at stride 32.

    Attributes:
      width: Channels of the hidden layers and of the side information.
      channels: Channels of the latents.
    """

    width: int = 32
    channels: int = 32

    def setup(self):
        """Defines the transforms and the prior of the side information."""
        down = functools.partial(stack, nn.Conv)
        up = functools.partial(stack, nn.ConvTranspose)
        self.analysis = down((self.width, self.width, self.channels))
        self.synthesis = up((self.width, self.width, 3))
        self.hyper_analysis = down((self.width, self.width))
        self.hyper_synthesis = up((self.width, 2 * self.channels))
        self.prior = factorized_prior(self.width)

    def __call__(self, images: Array, key: Array) -> Coded:
        """Encodes and decodes [batch, height, width, 3], with noise for rounding."""
        y_key, z_key = jax.random.split(key)
        y = self.analysis(images)
        z = self.hyper_analysis(y)
        z_hat = z + jax.random.uniform(z_key, z.shape, minval=-0.5, maxval=0.5)
        mean, scale = jnp.split(self.hyper_synthesis(z_hat), 2, axis=-1)
        scale = jnp.maximum(jax.nn.softplus(scale), 0.11)
        y_hat = y + jax.random.uniform(y_key, y.shape, minval=-0.5, maxval=0.5)
        conditional = GaussianConditional(scale=scale, parent=None)  # No parameters.
        bits = conditional.bin_bits(y_hat - mean).sum()
        return Coded(
            reconstruction=self.synthesis(y_hat),
            latent=y,
            mean=mean,
            scale=scale,
            bits=bits + self.prior.bin_bits(z_hat).sum(),
        )


def stack(layer: type[nn.Module], channels: tuple[int, ...]) -> nn.Sequential:
    """Returns convolutions that halve or double the size, with ReLUs between them."""
    layers = []
    for outputs in channels:
        layers += [layer(outputs, (3, 3), strides=(2, 2)), nn.relu]
    return nn.Sequential(layers[:-1])


def objective(
    variables: Any,
    model: MeanScaleHyperprior,
    images: Array,
    key: Array,
    correlation_weight: float,
) -> tuple[Array, dict[str, Array]]:
    """Returns the loss of a batch [batch, height, width, 3], and its terms."""
    coded = cast(Coded, model.apply(variables, images, key))
    correlation = correlation_loss(coded.latent, coded.mean, coded.scale, window=5)
    bpp = coded.bits / (images.size / 3)
    mse = 255**2 * jnp.mean((coded.reconstruction - images) ** 2)
    loss = bpp + DISTORTION_WEIGHT * mse + correlation_weight * correlation
    return loss, {
        "bpp": bpp,
        "psnr_db": 10 * jnp.log10(255**2 / mse),
        "correlation": correlation,
        "normalized_square": jnp.mean(
            normalize(coded.latent, coded.mean, coded.scale) ** 2
        ),
    }


def train(
    correlation_weight: float, *, steps: int, width: int = 32, channels: int = 32
) -> dict[str, float]:
    """Trains a codec, and returns its terms of the loss on held-out crops."""
    key = jax.random.key(0)
    model = MeanScaleHyperprior(width, channels)
    optimizer = optax.adam(1e-3)

    @jax.jit
    def step(variables, moments, images, key):
        gradient, _ = jax.grad(objective, has_aux=True)(
            variables, model, images, key, correlation_weight
        )
        updates, moments = optimizer.update(gradient, moments)
        return optax.apply_updates(variables, updates), moments

    data = trial.batches(64)
    variables = jax.jit(model.init)(key, next(data), key)
    moments = optimizer.init(variables)
    for number in range(steps):
        variables, moments = step(
            variables, moments, next(data), jax.random.fold_in(key, number)
        )

    images = next(trial.batches(64, count=64, names=trial.HELD_OUT))
    _, terms = jax.jit(objective, static_argnums=1)(variables, model, images, key, 0.0)
    return {name: float(value) for name, value in terms.items()}


if __name__ == "__main__":
    trial.compare(train, "Trains a Linen codec with the correlation loss.")
