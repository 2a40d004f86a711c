import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from support import codecs

from jaxcorr import correlation
from jaxcorr.codec import CodecOutput
from jaxcorr.metrics import image_quality
from jaxcorr.training.loss import LossConfig

BATCH, SIDE, CHANNELS = 4, 6, 3


def output_of(
    seed: int = 0, *, pixels: int = 16 * SIDE
) -> tuple[CodecOutput, jax.Array]:
    """What a codec might make of a batch, from a generator of its own."""
    rng = np.random.default_rng(seed)
    normal = lambda *shape: jnp.asarray(rng.normal(size=shape), jnp.float32)
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


def plain_map(normalized: np.ndarray, window: int) -> np.ndarray:
    """Mean products by loops, in float64."""
    middle, (batch, height, width, _) = window // 2, normalized.shape
    total, centers = np.zeros((window, window)), 0
    for b in range(batch):
        for i in range(middle, height - middle):
            for j in range(middle, width - middle):
                near = normalized[
                    b, i - middle : i + middle + 1, j - middle : j + middle + 1
                ]
                total += (near * normalized[b, i, j]).mean(axis=-1)
                centers += 1
    return total / centers


@pytest.mark.fast
def test_loss_is_bits_per_pixel_plus_mse_on_the_255_scale_plus_correlation():
    output, image = output_of()
    weights = codecs.weights(distortion_weight=0.013, correlation_weight=0.3)
    loss, values = LossConfig(window=5)(output, image, weights)

    wide = lambda array: np.asarray(array, np.float64)
    pixels = BATCH * (16 * SIDE) ** 2
    bits = wide(output.latent_bits).sum() + wide(output.side_bits).sum()
    mse = np.mean((255 * wide(output.reconstruction) - 255 * wide(image)) ** 2)
    cells = plain_map(
        (wide(output.latent) - wide(output.mean)) / wide(output.scale), window=5
    )
    cells[2, 2] = 0
    expected = bits / pixels + 0.013 * mse + 0.3 * np.sum(cells**2)
    np.testing.assert_allclose(loss, expected, rtol=1e-5)
    np.testing.assert_allclose(values["loss"], expected, rtol=1e-5)
    np.testing.assert_allclose(values["bpp"], bits / pixels, rtol=1e-5)
    np.testing.assert_allclose(values["mse"], mse, rtol=1e-5)
    np.testing.assert_allclose(values["correlation"], np.sum(cells**2), rtol=1e-4)


def test_rate_is_the_sum_of_that_of_latents_and_of_side_information():
    output, image = output_of()
    objective = LossConfig(window=3)
    _, values = objective(output, image, codecs.weights())
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
def test_the_tangent_is_the_plain_loss_and_gradient_for_one_batch(mask, pool_channels):
    output, image = output_of()
    objective = LossConfig(window=5, mask=mask, pool_channels=pool_channels)

    def as_trained(latents):
        changed = dataclasses.replace(output, **latents)
        return objective(changed, image, codecs.weights())[1]["correlation"]

    def plain(latents):
        return correlation.correlation_loss(
            *latents.values(), window=5, mask=mask, pool_channels=pool_channels
        )

    names = ("latent", "mean", "scale")
    latents = {name: getattr(output, name) for name in names}
    value, gradient = jax.value_and_grad(as_trained)(latents)
    expected, expected_gradient = jax.value_and_grad(plain)(latents)
    np.testing.assert_allclose(value, expected, rtol=1e-6)
    for name in names:
        assert np.any(expected_gradient[name])
        np.testing.assert_allclose(
            gradient[name], expected_gradient[name], rtol=1e-4, atol=1e-7
        )


def test_the_tangent_at_another_map_averages_to_the_loss_of_the_whole_batch():
    objective = LossConfig(window=5)
    parts = [output_of(seed) for seed in range(3)]
    whole = np.mean([objective.correlation_map(output) for output, _ in parts], axis=0)
    average = jnp.asarray(whole)
    tangents, plain = [], []
    for output, image in parts:
        weights = codecs.weights()
        tangents.append(objective(output, image, weights, average)[1]["correlation"])
        plain.append(objective(output, image, weights)[1]["correlation"])
    expected = objective.correlation_loss(average)
    np.testing.assert_allclose(np.mean(tangents), expected, rtol=1e-5)
    assert np.mean(plain) > 1.5 * expected  # Mean of squares, not square of the mean.


def test_the_gradient_of_the_scale_can_be_stopped():
    output, image = output_of()

    def gradient(stop):
        objective = LossConfig(window=3, stop_scale_gradient=stop)
        loss = lambda scale: objective(
            dataclasses.replace(output, scale=scale),
            image,
            codecs.weights(distortion_weight=0.0),
        )[0]
        return jax.grad(loss)(output.scale)

    assert np.any(gradient(False))
    assert not np.any(gradient(True))


def test_quantized_latents_can_be_what_is_decorrelated():
    output, image = output_of()
    objective = LossConfig(window=3, correlated="quantized")
    _, values = objective(output, image, codecs.weights())
    expected = correlation.correlation_loss(
        output.quantized, output.mean, output.scale, window=3
    )
    np.testing.assert_allclose(values["correlation"], expected, rtol=1e-6)


def test_normalized_square_is_the_mean_square_in_units_of_the_scale():
    output, image = output_of()
    away = jnp.array([-3.0, 1.0, 2.0])[None, None, None]
    at_scale = dataclasses.replace(output, latent=output.mean + away * output.scale)
    objective = LossConfig(window=3)
    _, values = objective(at_scale, image, codecs.weights())
    np.testing.assert_allclose(values["normalized_square"], 14 / 3, rtol=1e-4)


def test_ms_ssim_counts_as_one_minus_the_similarity():
    output, image = output_of(pixels=image_quality.MS_SSIM_MINIMUM_SIDE + 15)
    weights = codecs.weights(distortion_weight=20.0, correlation_weight=0.0)
    loss, values = LossConfig(distortion="ms_ssim", window=3)(output, image, weights)
    similarity = image_quality.ms_ssim(
        np.asarray(output.reconstruction), np.asarray(image)
    )
    np.testing.assert_allclose(values["distortion"], 1 - similarity.mean(), rtol=1e-4)
    np.testing.assert_allclose(
        loss, values["bpp"] + 20 * (1 - similarity.mean()), rtol=1e-4
    )


OTHERS = {
    "distortion": "ms_ssim",
    "window": 3,
    "mask": "box",
    "correlated": "quantized",
    "stop_scale_gradient": True,
    "pool_channels": False,
}


def test_objectives_are_equal_if_all_their_settings_are():
    first, second = LossConfig(window=5), LossConfig(window=5)
    assert first == second and hash(first) == hash(second)
    assert OTHERS.keys() == {field.name for field in dataclasses.fields(LossConfig)}
    for name, value in OTHERS.items():
        assert dataclasses.replace(first, **{name: value}) != first
