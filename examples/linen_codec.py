"""The correlation loss in a Linen model with the entropy models of CoDeX.

Linen keeps channels last and takes whole batches, so latents, means and scales go into
the loss as they are: one line in `objective`.

    pip install --no-deps jax-codex==0.0.1
    python examples/linen_codec.py

CoDeX's only release asks for a Flax and a JAX of 2022, hence `--no-deps`; what is used
of it here runs with today's. Trains two small codecs of the same seed, with and without
the loss, for a minute or two.
"""

import functools
from typing import Any, NamedTuple, cast

import codex as cdx  # pyright: ignore[reportMissingImports]  # No dependency.
import flax.linen as nn
import jax
import jax.numpy as jnp
import optax
import trial
from jax import Array
from jax.scipy.special import log_ndtr

from jaxcorr import correlation_loss
from jaxcorr.correlation import normalize

DISTORTION_WEIGHT = 0.0067
"""λ: bits per pixel for a squared error of 1 on the scale of 0 to 255."""


class Coded(NamedTuple):
    """What the model makes of a batch; latents are [batch, height, width, channels]."""

    reconstruction: Array
    latent: Array
    mean: Array
    scale: Array
    bits: Array


class Gaussian(NamedTuple):
    """As much of a distribution of mean 0 as CoDeX asks of a symmetric one."""

    scale: Array

    def log_cdf(self, value: Array) -> Array:
        """Logarithm of the probability of anything below."""
        return log_ndtr(value / self.scale)


class GaussianConditional(cdx.ems.DistributionEntropyModel):
    """Entropy model of latents less their means."""

    scale: Array
    even_symmetric = True

    @property
    def distribution(self) -> Gaussian:
        """What CoDeX computes bits from."""
        return Gaussian(self.scale)


class MeanScaleHyperprior(nn.Module):
    """Latents at an eighth of the size, side information at a thirty-second of it."""

    width: int = 32
    channels: int = 32

    def setup(self):
        """Names the transforms and the prior of the side information."""
        down = functools.partial(stack, nn.Conv)
        up = functools.partial(stack, nn.ConvTranspose)
        self.analysis = down((self.width, self.width, self.channels))
        self.synthesis = up((self.width, self.width, 3))
        self.hyper_analysis = down((self.width, self.width))
        self.hyper_synthesis = up((self.width, 2 * self.channels))
        self.prior = cdx.ems.DeepFactorizedEntropyModel()

    def __call__(self, images: Array, key: Array) -> Coded:
        """Codes images of [batch, height, width, 3], with noise instead of rounding."""
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
    """Convolutions that halve or double the size, with ReLU between them."""
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
    """Rate, distortion and correlation of a batch, [batch, height, width, 3]."""
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
    """What a codec does, after so many steps, to crops that it never saw."""
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
