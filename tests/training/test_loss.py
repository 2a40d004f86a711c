"""The training loss: rate, distortion and correlation."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from support import codecs

from jaxcorr import correlation
from jaxcorr.codec import CodecOutput
from jaxcorr.metrics import image_quality
from jaxcorr.training.loss import Batch, LossConfig

BATCH, SIDE, CHANNELS = 4, 6, 3


def make_output(
    seed: int = 0, *, pixels: int = 16 * SIDE
) -> tuple[CodecOutput, jax.Array]:
    """Random outputs of a codec, and their images."""
    rng = np.random.default_rng(seed)

    def normal(*shape):
        return jnp.asarray(rng.normal(size=shape), jnp.float32)

    latents = (BATCH, SIDE, SIDE, CHANNELS)
    latent, mean = normal(*latents), normal(*latents)
    image = jnp.asarray(rng.uniform(size=(BATCH, pixels, pixels, 3)), jnp.float32)
    output = CodecOutput(
        reconstruction=image + 0.1 * normal(*image.shape),
        latent=latent,
        quantized=jnp.round(latent - mean) + mean,
        latent_hat=normal(*latents),
        mean=mean,
        scale=0.11 + jnp.abs(normal(*latents)),
        latent_bits=jnp.abs(normal(*latents)),
        side_bits=jnp.abs(normal(BATCH, 2, 2, 5)),
    )
    return output, image


def loop_correlation_map(normalized: np.ndarray, window: int) -> np.ndarray:
    """Computes the correlation map with four loops, in float64."""
    middle, (batch, height, width, _) = window // 2, normalized.shape
    total, centers = np.zeros((window, window)), 0
    for b in range(batch):
        for i in range(middle, height - middle):
            for j in range(middle, width - middle):
                neighborhood = normalized[
                    b, i - middle : i + middle + 1, j - middle : j + middle + 1
                ]
                total += (neighborhood * normalized[b, i, j]).mean(axis=-1)
                centers += 1
    return total / centers


@pytest.mark.fast
def test_loss_is_bits_per_pixel_plus_mse_on_the_255_scale_plus_correlation():
    output, image = make_output()
    weights = codecs.weights(distortion_weight=0.013, correlation_weight=0.3)
    loss, values = LossConfig(window=5)(output, image, weights)

    def wide(array):
        return np.asarray(array, np.float64)

    pixels = BATCH * (16 * SIDE) ** 2
    bits = wide(output.latent_bits).sum() + wide(output.side_bits).sum()
    mse = np.mean((255 * wide(output.reconstruction) - 255 * wide(image)) ** 2)
    cells = loop_correlation_map(
        (wide(output.latent) - wide(output.mean)) / wide(output.scale), window=5
    )
    cells[2, 2] = 0
    expected = bits / pixels + 0.013 * mse + 0.3 * np.sum(cells**2)
    np.testing.assert_allclose(loss, expected, rtol=1e-5)
    np.testing.assert_allclose(values["loss"], expected, rtol=1e-5)
    np.testing.assert_allclose(values["bpp"], bits / pixels, rtol=1e-5)
    np.testing.assert_allclose(values["mse"], mse, rtol=1e-5)
    np.testing.assert_allclose(values["correlation"], np.sum(cells**2), rtol=1e-4)


def test_rate_is_the_rate_of_latents_plus_that_of_side_information():
    output, image = make_output()
    loss_config = LossConfig(window=3)
    _, values = loss_config(output, image, codecs.weights())
    pixels = image.size / 3
    np.testing.assert_allclose(
        values["bpp_y"], np.sum(output.latent_bits) / pixels, rtol=1e-5
    )
    np.testing.assert_allclose(
        values["bpp_z"], np.sum(output.side_bits) / pixels, rtol=1e-5
    )
    np.testing.assert_allclose(values["bpp"], values["bpp_y"] + values["bpp_z"])


@pytest.mark.parametrize("pool_channels", [True, False])
@pytest.mark.parametrize("mask", ["point", "long_cross"])
def test_a_single_batch_has_the_plain_loss_and_gradient(mask, pool_channels):
    output, image = make_output()
    loss_config = LossConfig(window=5, mask=mask, pool_channels=pool_channels)

    def training_loss(latents):
        changed = dataclasses.replace(output, **latents)
        return loss_config(changed, image, codecs.weights())[1]["correlation"]

    def plain_loss(latents):
        return correlation.correlation_loss(
            *latents.values(), window=5, mask=mask, pool_channels=pool_channels
        )

    names = ("latent", "mean", "scale")
    latents = {name: getattr(output, name) for name in names}
    value, gradient = jax.value_and_grad(training_loss)(latents)
    expected, expected_gradient = jax.value_and_grad(plain_loss)(latents)
    np.testing.assert_allclose(value, expected, rtol=1e-6)
    for name in names:
        assert np.any(expected_gradient[name])
        np.testing.assert_allclose(
            gradient[name], expected_gradient[name], rtol=1e-4, atol=1e-7
        )


def test_tangents_of_micro_batches_average_to_the_loss_of_the_batch():
    loss_config = LossConfig(window=5)
    micro_batches = [make_output(seed) for seed in range(3)]
    batch = Batch(images=3 * BATCH)
    maps = [loss_config.statistics(output, batch)["map"] for output, _ in micro_batches]
    average_map = jnp.asarray(np.mean(maps, axis=0))
    tangents, plain = [], []
    for output, image in micro_batches:
        weights = codecs.weights()
        _, values, _ = loss_config.of_part(
            output, image, weights, {"map": average_map}, batch=batch
        )
        tangents.append(values["correlation"])
        plain.append(loss_config(output, image, weights)[1]["correlation"])
    expected = correlation.masked_norm(average_map, "point")
    np.testing.assert_allclose(np.mean(tangents), expected, rtol=1e-5)
    assert np.mean(plain) > 1.5 * expected  # Mean of squares, not square of the mean.


def test_stop_scale_gradient_stops_the_gradient_of_the_scale():
    output, image = make_output()

    def gradient(stop):
        loss_config = LossConfig(window=3, stop_scale_gradient=stop)

        def loss(scale):
            changed = dataclasses.replace(output, scale=scale)
            return loss_config(changed, image, codecs.weights(distortion_weight=0.0))[0]

        return jax.grad(loss)(output.scale)

    assert np.any(gradient(False))
    assert not np.any(gradient(True))


def test_the_correlation_of_quantized_latents_can_be_penalized():
    output, image = make_output()
    loss_config = LossConfig(window=3, correlated="quantized")
    _, values = loss_config(output, image, codecs.weights())
    expected = correlation.correlation_loss(
        output.quantized, output.mean, output.scale, window=3
    )
    np.testing.assert_allclose(values["correlation"], expected, rtol=1e-6)


def test_normalized_square_is_the_mean_square_in_units_of_the_scale():
    output, image = make_output()
    distances = jnp.array([-3.0, 1.0, 2.0])[None, None, None]
    at_scale = dataclasses.replace(
        output, latent=output.mean + distances * output.scale
    )
    loss_config = LossConfig(window=3)
    _, values = loss_config(at_scale, image, codecs.weights())
    np.testing.assert_allclose(values["normalized_square"], 14 / 3, rtol=1e-4)


def test_ms_ssim_distortion_is_one_minus_the_similarity():
    output, image = make_output(pixels=image_quality.MS_SSIM_MINIMUM_SIDE + 15)
    weights = codecs.weights(distortion_weight=20.0, correlation_weight=0.0)
    loss, values = LossConfig(distortion="ms_ssim", window=3)(output, image, weights)
    similarity = image_quality.ms_ssim(
        np.asarray(output.reconstruction), np.asarray(image)
    )
    np.testing.assert_allclose(values["distortion"], 1 - similarity.mean(), rtol=1e-4)
    np.testing.assert_allclose(
        loss, values["bpp"] + 20 * (1 - similarity.mean()), rtol=1e-4
    )


OTHER_VALUES = {
    "distortion": "ms_ssim",
    "window": 3,
    "mask": "box",
    "correlated": "quantized",
    "stop_scale_gradient": True,
    "pool_channels": False,
    "measure": "whitening",
    "estimator": "averaged",
    "average_decay": 0.9,
    "weight": "auto",
    "price_offset": True,
}


def test_loss_configs_are_equal_only_if_all_fields_are():
    names = {field.name for field in dataclasses.fields(LossConfig)}
    first, second = LossConfig(window=5), LossConfig(window=5)
    assert first == second and hash(first) == hash(second)
    assert OTHER_VALUES.keys() == names
    for name, value in OTHER_VALUES.items():
        if name == "price_offset":
            first = dataclasses.replace(first, measure="whitening")
        assert dataclasses.replace(first, **{name: value}) != first
