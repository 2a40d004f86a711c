"""The correlation loss in an Equinox model, written as CoDeX writes its codecs.

The model takes one image with channels first, and `vmap` extends it to batches.
`objective` shows the two consequences for the loss:

- The loss needs channels last, so move the channel axis of latents, means and scales
  before the call. Otherwise channels are taken for rows, which no check of shapes can
  notice.
- The loss is a function of the whole batch, so call it on the output of `vmap`. The
  mean of the losses of single images is another, larger number.

    python examples/equinox_codec.py

Needs `equinox`, `optax` and `scikit-image`. Trains two small codecs with the same seed,
without and with the loss, for a minute or two.
"""

import itertools
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import optax
import trial
from jax import Array

from jaxcorr import correlation_loss
from jaxcorr.correlation import normalize
from jaxcorr.entropy.gaussian import gaussian_bits

DISTORTION_WEIGHT = 0.0067
"""λ, in bits per pixel per unit of MSE on the 0-255 scale."""


class Coded(NamedTuple):
    """Output of the model for one image, in arrays [channels, height, width]."""

    reconstruction: Array
    latent: Array
    mean: Array
    scale: Array
    bits: Array


class MeanScaleHyperprior(eqx.Module):
    """Codec with latents at stride 8 and side information at stride 32.

    Args:
      width: Channels of the hidden layers and of the side information.
      channels: Channels of the latents.
      key: Draws the initial parameters.
    """

    analysis: eqx.nn.Sequential
    synthesis: eqx.nn.Sequential
    hyper_analysis: eqx.nn.Sequential
    hyper_synthesis: eqx.nn.Sequential
    side_scale: Array

    def __init__(self, width: int, channels: int, *, key: Array):
        keys = jax.random.split(key, 4)
        self.analysis = stack(eqx.nn.Conv2d, (3, width, width, channels), keys[0])
        self.synthesis = stack(
            eqx.nn.ConvTranspose2d, (channels, width, width, 3), keys[1]
        )
        self.hyper_analysis = stack(eqx.nn.Conv2d, (channels, width, width), keys[2])
        self.hyper_synthesis = stack(
            eqx.nn.ConvTranspose2d, (width, width, 2 * channels), keys[3]
        )
        self.side_scale = jnp.zeros((width, 1, 1))

    def __call__(self, image: Array, key: Array) -> Coded:
        """Encodes and decodes one image [3, height, width], with noise for rounding."""
        y_key, z_key = jax.random.split(key)
        y = self.analysis(image)
        z = self.hyper_analysis(y)
        z_hat = z + jax.random.uniform(z_key, z.shape, minval=-0.5, maxval=0.5)
        mean, scale = jnp.split(self.hyper_synthesis(z_hat), 2)
        scale = jnp.maximum(jax.nn.softplus(scale), 0.11)
        y_hat = y + jax.random.uniform(y_key, y.shape, minval=-0.5, maxval=0.5)
        side_scale = jnp.broadcast_to(0.11 + jax.nn.softplus(self.side_scale), z.shape)
        bits = gaussian_bits(y_hat - mean, scale).sum()
        return Coded(
            reconstruction=self.synthesis(y_hat),
            latent=y,
            mean=mean,
            scale=scale,
            bits=bits + gaussian_bits(z_hat, side_scale).sum(),
        )


def stack(layer: type, channels: tuple[int, ...], key: Array) -> eqx.nn.Sequential:
    """Returns convolutions that halve or double the size, with ReLUs between them."""
    sizes: dict[str, Any] = {"stride": 2, "padding": 1}
    sizes |= {"output_padding": 1} if layer is eqx.nn.ConvTranspose2d else {}
    layers = []
    for inputs, outputs in itertools.pairwise(channels):
        key, layer_key = jax.random.split(key)
        layers += [layer(inputs, outputs, 3, **sizes, key=layer_key)]
        layers += [eqx.nn.Lambda(jax.nn.relu)]
    return eqx.nn.Sequential(layers[:-1])


def objective(
    model: MeanScaleHyperprior, images: Array, key: Array, correlation_weight: float
) -> tuple[Array, dict[str, Array]]:
    """Returns the loss of a batch [batch, 3, height, width], and its terms."""
    coded = jax.vmap(model)(images, jax.random.split(key, len(images)))
    channels_last = [
        jnp.moveaxis(array, -3, -1) for array in (coded.latent, coded.mean, coded.scale)
    ]
    correlation = correlation_loss(*channels_last, window=5)
    bpp = coded.bits.sum() / (images.size / 3)
    mse = 255**2 * jnp.mean((coded.reconstruction - images) ** 2)
    loss = bpp + DISTORTION_WEIGHT * mse + correlation_weight * correlation
    return loss, {
        "bpp": bpp,
        "psnr_db": 10 * jnp.log10(255**2 / mse),
        "correlation": correlation,
        "normalized_square": jnp.mean(normalize(*channels_last) ** 2),
    }


def train(
    correlation_weight: float, *, steps: int, width: int = 32, channels: int = 32
) -> dict[str, float]:
    """Trains a codec, and returns its terms of the loss on held-out crops."""
    key = jax.random.key(0)
    model = MeanScaleHyperprior(width, channels, key=key)
    optimizer = optax.adam(1e-3)

    @eqx.filter_jit
    def step(model, moments, images, key):
        gradient, _ = eqx.filter_grad(objective, has_aux=True)(
            model, images, key, correlation_weight
        )
        updates, moments = optimizer.update(gradient, moments)
        return eqx.apply_updates(model, updates), moments

    moments = optimizer.init(eqx.filter(model, eqx.is_array))
    data = trial.batches(64)
    for number in range(steps):
        images = jnp.moveaxis(next(data), -1, -3)
        model, moments = step(model, moments, images, jax.random.fold_in(key, number))

    images = jnp.moveaxis(
        next(trial.batches(64, count=64, names=trial.HELD_OUT)), -1, -3
    )
    _, terms = eqx.filter_jit(objective)(model, images, key, 0.0)
    return {name: float(value) for name, value in terms.items()}


if __name__ == "__main__":
    trial.compare(train, "Trains an Equinox codec with the correlation loss.")
