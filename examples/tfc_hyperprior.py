"""The correlation loss in a codec built from TensorFlow Compression (TFC).

    pip install tensorflow-compression==2.14.1 "setuptools<70"
    pip install --no-deps .   # In a clone of jaxcorr.
    python examples/tfc_hyperprior.py PHOTOGRAPHS

Trains a mean-scale hyperprior without and with the loss, from the same seed, on a
folder of photographs. Then encodes the held-out photographs to real strings with TFC's
range coder, decodes them, and prints a line for each training. Does not need JAX.

The loss takes two lines: its import, and one in `objective`. Threads sum in any order,
so equal trainings drift apart over hundreds of steps; `--alpha 0 0` shows how far.

References:
  Minnen et al., "Joint Autoregressive and Hierarchical Priors for Learned Image
  Compression", NeurIPS 2018, https://arxiv.org/abs/1809.02736 (no context model).
"""

import argparse
import math
import os
import sys
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

# Before the import of TensorFlow, which otherwise warns that it finds no GPU.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import tensorflow as tf  # pyright: ignore[reportMissingModuleSource]
import tensorflow_compression as tfc  # pyright: ignore[reportMissingImports]

from jaxcorr.interop.tensorflow import correlation_loss, normalize

LEARNING_RATE = 1e-3
DISTORTION_WEIGHT = 0.013
"""λ, in bits per pixel per unit of MSE on the 0-255 scale."""
SUFFIXES = {".bmp", ".jpeg", ".jpg", ".png"}
STRIDE = 64
"""Pixels from one element of the side information to the next."""
SCALES, SMALLEST, LARGEST = 64, math.log(0.11), math.log(256)
"""Number of the coder's tables, and the logarithms of the first and last scale."""
HEADER = (
    "alpha  y bpp  z bpp  y bytes  z bytes   PSNR  correlation  squared  same  time"
)


class MeanScaleHyperprior(tf.Module):
    """Codes latents as independent Gaussians, predicted from side information.

    image ─► analysis ─► y ────────────────► Q ─► synthesis ─► reconstruction
                         │                   ▲
                         ▼                   │ mean, scale
                   hyper_analysis ─► z ─► Q ─┴ hyper_synthesis

    Args:
      width: Channels of the hidden layers and of the side information.
      channels: Channels of the latents.
    """

    def __init__(self, width: int, channels: int):
        super().__init__()
        relu, sequential = tf.keras.layers.ReLU, tf.keras.Sequential
        encoder, decoder = [], []
        for _ in range(3):
            encoder += [convolution(width, down=2), tfc.GDN()]
            decoder += [convolution(width, up=2), tfc.GDN(inverse=True)]
        encoder += [convolution(channels, down=2)]
        decoder += [convolution(3, up=2)]
        shift = tf.keras.layers.Rescaling
        self.analysis = sequential([shift(1, offset=-0.5), *encoder])
        self.synthesis = sequential([*decoder, shift(1, offset=0.5)])
        hidden = [convolution(width), relu(), convolution(width, down=2), relu()]
        self.hyper_analysis = sequential([*hidden, convolution(width, down=2)])
        hidden = [convolution(width, up=2), relu(), convolution(width, up=2), relu()]
        self.hyper_synthesis = sequential([*hidden, convolution(2 * channels)])
        self.side_prior = tfc.NoisyDeepFactorized(batch_shape=(width,))

    def entropy_models(self, *, compression: bool) -> tuple[Any, Any]:
        """Returns the entropy models of y and z; for compression, with tables."""
        latent_model = tfc.LocationScaleIndexedEntropyModel(
            tfc.NoisyNormal, SCALES, scale_of, coding_rank=3, compression=compression
        )
        side_model = tfc.ContinuousBatchedEntropyModel(
            self.side_prior, coding_rank=3, compression=compression
        )
        return latent_model, side_model

    def predict(self, z_hat: Any) -> tuple[Any, Any]:
        """Returns the mean of each latent, and the fractional index of its scale."""
        mean, log_scale = tf.split(self.hyper_synthesis(z_hat), 2, axis=-1)
        # The output is a logarithm, about 0 at first, so scales start at 1. If it were
        # the index, they would start at the smallest scale, 0.11.
        index = (log_scale - SMALLEST) * (SCALES - 1) / (LARGEST - SMALLEST)
        # The entropy model uses its last table for all larger scales. The loss must see
        # the same scales, or training lowers it by scales that code nothing.
        return mean, tfc.upper_bound(index, SCALES - 1)


def convolution(filters: int, *, down: int = 1, up: int = 1) -> Any:
    """Returns a convolution that scales height and width by `up / down`."""
    return tfc.SignalConv2D(
        filters,
        5 if max(down, up) > 1 else 3,
        corr=up == 1,
        strides_down=down,
        strides_up=up,
        padding="same_zeros",
        use_bias=True,
        kernel_parameter="variable",
    )


def scale_of(index: Any) -> Any:
    """Returns the scale of an index, in quantization steps; between tables as well."""
    return tf.exp(SMALLEST + index * (LARGEST - SMALLEST) / (SCALES - 1))


def objective(model: MeanScaleHyperprior, image: Any, alpha: float) -> Any:
    """Returns rate, distortion and correlation of a batch, in bits per pixel.

    Crops are in [0, 1]; `alpha` is the weight of the correlation loss.
    """
    latent_model, side_model = model.entropy_models(compression=False)
    y = model.analysis(image)
    z_hat, side_bits = side_model(model.hyper_analysis(y), training=True)
    mean, index = model.predict(z_hat)
    y_hat, bits = latent_model(y, index, mean, training=True)
    error = 255 * (model.synthesis(y_hat) - image)

    loss = tf.reduce_sum(bits + side_bits) / math.prod(image.shape[:3])
    loss += DISTORTION_WEIGHT * tf.reduce_mean(error**2)
    # This line and its import are all that the correlation loss needs.
    loss += alpha * correlation_loss(y, mean, scale_of(index))
    return loss


def train(
    model: MeanScaleHyperprior, batches: Iterable[np.ndarray], alpha: float
) -> None:
    """Takes a step with each batch; reports every 100th step on standard error."""
    optimizer = tf.keras.optimizers.Adam(LEARNING_RATE, global_clipnorm=1.0)

    @tf.function
    def take_step(image):
        with tf.GradientTape() as tape:
            loss = objective(model, image, alpha)
        variables = model.trainable_variables
        gradients = tape.gradient(loss, variables)
        optimizer.apply_gradients(zip(gradients, variables, strict=True))
        return loss

    for step, batch in enumerate(batches, start=1):
        loss = take_step(tf.constant(batch))
        if step % 100 == 0:
            print(f"step {step}: loss {loss:.4f}", file=sys.stderr)


def measure(
    model: MeanScaleHyperprior, latent_model: Any, side_model: Any, photograph: Any
) -> tuple[list[float], dict[str, Any]]:
    """Encodes and decodes a photograph with entropy models that have tables.

    Returns:
      Figures in the order of `main`, and the arguments of the correlation loss.
    """
    y = model.analysis(photograph[None].astype(np.float32) / 255)
    z = model.hyper_analysis(y)
    z_string = side_model.compress(z)
    z_hat, z_bits = side_model(z, training=False)
    mean, index = model.predict(z_hat)
    y_string = latent_model.compress(y, index, mean)
    y_hat, y_bits = latent_model(y, index, mean, training=False)
    latents = {"latent": y, "mean": mean, "scale": scale_of(index)}

    # The decoder: it knows the strings and the shape of z only.
    z_decoded = side_model.decompress(z_string, z.shape[1:3])
    mean, index = model.predict(z_decoded)
    y_decoded = latent_model.decompress(y_string, index, mean)
    picture = tf.round(255 * tf.clip_by_value(model.synthesis(y_decoded)[0], 0, 1))

    figures = [
        y_bits[0],
        z_bits[0],
        len(y_string[0].numpy()),
        len(z_string[0].numpy()),
        tf.reduce_all(y_decoded == y_hat) & tf.reduce_all(z_decoded == z_hat),
        tf.image.psnr(photograph.astype(np.float32), picture, 255),
        correlation_loss(**latents),
        tf.reduce_mean(normalize(**latents) ** 2),
    ]
    return [float(figure) for figure in figures], latents


def read(folder: Path, crop: int) -> list[np.ndarray]:
    """Reads photographs at least as large as a crop, cropped to multiples of STRIDE.

    Raises:
      ValueError: If a photograph cannot be decoded.
    """
    photographs = []
    for path in sorted(p for p in folder.iterdir() if p.suffix.lower() in SUFFIXES):
        try:
            image = tf.io.decode_image(path.read_bytes(), 3, expand_animations=False)
        except tf.errors.InvalidArgumentError:
            raise ValueError(f"{path} must hold a photograph, but does not") from None
        height, width = (side // STRIDE * STRIDE for side in image.shape[:2])
        if min(height, width) >= crop:
            photographs.append(image[:height, :width].numpy())
    return photographs


def crops(
    photographs: list[np.ndarray], settings: argparse.Namespace
) -> Iterator[np.ndarray]:
    """Yields a batch of random crops in [0, 1] for every step."""
    rng, crop = np.random.default_rng(settings.seed), settings.crop
    for _ in range(settings.steps):
        images = []
        for index in rng.integers(len(photographs), size=settings.batch):
            image = photographs[index]
            top, left = rng.integers(np.array(image.shape[:2]) - crop + 1)
            images.append(image[top : top + crop, left : left + crop])
        yield np.stack(images).astype(np.float32) / 255


def parse() -> tuple[argparse.Namespace, list[np.ndarray]]:
    """Reads the settings and the photographs; exits if they cannot be used."""
    parser = argparse.ArgumentParser(
        description=f"{__doc__}".split("\n")[0],
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    add = parser.add_argument
    add("photographs", type=Path, help="folder of PNG, JPEG or BMP files")
    add(
        "--held-out", type=int, default=4, help="photographs, the last ones, to measure"
    )
    add(
        "--alpha", type=float, nargs="+", default=[0.0, 0.1], help="weights of the loss"
    )
    add("--steps", type=int, default=400, help="steps of each training")
    add("--batch", type=int, default=4, help="crops per step")
    add("--crop", type=int, default=192, help="side in pixels, a multiple of 64")
    add("--width", type=int, default=32, help="channels of the hidden layers")
    add("--channels", type=int, default=48, help="channels of the latents")
    add("--seed", type=int, default=0, help="seed of weights, crops and noise")
    add("--dump", type=Path, help="NPZ file for measured latents, means and scales")
    settings = parser.parse_args()
    # Smaller crops hold no 7x7 window of latents.
    if settings.crop < 2 * STRIDE or settings.crop % STRIDE:
        parser.error(f"--crop must be 128, 192, 256, ..., but is {settings.crop}")
    try:
        photographs = read(settings.photographs, settings.crop)
    except (OSError, ValueError) as error:
        parser.error(str(error))
    if not 0 < settings.held_out < len(photographs):
        parser.error(
            f"--held-out must be from 1 to {len(photographs) - 1}, since a crop fits "
            f"into {len(photographs)} photographs, but is {settings.held_out}"
        )
    return settings, photographs


def main() -> None:
    """Trains with each weight of the loss, and prints results on held-out images."""
    settings, photographs = parse()
    training = photographs[: -settings.held_out]
    held_out = photographs[-settings.held_out :]
    pixels = sum(math.prod(photograph.shape[:2]) for photograph in held_out)
    print(f"trained on {len(training)}, measured on {len(held_out)}: {pixels} pixels")
    print(HEADER)
    dumped = {}
    for alpha in settings.alpha:
        # Every training has the same initial weights, crops and noise.
        tf.keras.utils.set_random_seed(settings.seed)
        model = MeanScaleHyperprior(settings.width, settings.channels)
        start = time.perf_counter()
        train(model, crops(training, settings), alpha)
        seconds = time.perf_counter() - start
        coders = model.entropy_models(compression=True)
        measured = [measure(model, *coders, photograph) for photograph in held_out]
        figures, latents = zip(*measured, strict=True)
        y_bits, z_bits, y_bytes, z_bytes, decoded = np.sum(figures, axis=0)[:5]
        psnr, correlation, squared = np.mean(figures, axis=0)[5:]
        print(
            f"{alpha:5g}{y_bits / pixels:7.4f}{z_bits / pixels:7.4f}{y_bytes:9.0f}"
            f"{z_bytes:9.0f}{psnr:7.2f}{correlation:13.5f}{squared:9.4f}{decoded:6.0f}"
            f"{seconds:6.0f}",
            flush=True,
        )
        for index, arrays in enumerate(latents):
            dumped |= {f"{alpha:g}/{index}/{name}": x for name, x in arrays.items()}
    if settings.dump:
        np.savez(settings.dump, **dumped)


if __name__ == "__main__":
    main()
