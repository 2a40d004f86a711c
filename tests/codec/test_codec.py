import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxcorr import codec, ops
from jaxcorr.codec import CodecConfig
from jaxcorr.errors import UserError
from jaxcorr.quantization import (
    QuantizationName,
    StraightThrough,
    training_quantization,
)
from jaxcorr.transforms.minnen import Minnen

SETTINGS = CodecConfig(transforms=Minnen(width=4, channels=6))


@functools.partial(jax.jit, static_argnames=("kind", "transform_dtype"))
def forward(
    parameters,
    image,
    *,
    keys=None,
    kind: QuantizationName = "noise",
    sharpness=1.0,
    **options,
):
    quantization = (
        None if keys is None else training_quantization(kind, keys, sharpness)
    )
    built = codec.with_parameters(SETTINGS, parameters)
    return built(image, quantization=quantization, **options)


@pytest.fixture(scope="module")
def parameters():
    """Initial parameters, with larger latents and scales on both sides of the bound."""
    initial = dict(codec.initialize(SETTINGS, jax.random.key(0)))
    initial["transforms/analysis/layers/6/kernel"] *= 5
    initial["transforms/hyper_analysis/layers/4/kernel"] *= 30
    initial["transforms/hyper_synthesis/layers/4/kernel"] *= 3
    initial["transforms/synthesis/layers/6/kernel"] *= 0.1
    return initial


def image_of(*shape, seed=0):
    noise = np.random.default_rng(seed).uniform(size=shape)
    return jnp.asarray(noise, jnp.float32)


@pytest.fixture(scope="module")
def images():
    return image_of(2, 64, 128, 3)


@pytest.fixture(scope="module")
def keys():
    return jax.random.split(jax.random.key(1), 2)


@pytest.fixture(scope="module")
def rounded(parameters, images):
    return forward(parameters, images)


@pytest.fixture(scope="module")
def noisy(parameters, images, keys):
    return forward(parameters, images, keys=keys)


@pytest.mark.fast
@pytest.mark.parametrize("part", ["transforms", "context"])
@pytest.mark.parametrize("value", ["minnen", Minnen, None])
def test_parts_of_a_codec_are_settings(part, value):
    config = CodecConfig()
    object.__setattr__(config, part, value)  # The tests would refuse it before.
    with pytest.raises(UserError, match=rf"CodecConfig\.{part} must be settings such"):
        config.__post_init__()


@pytest.mark.fast
@pytest.mark.parametrize(
    ("width", "channels", "count"), [(128, 192, 7_027_619), (192, 320, 17_561_123)]
)
def test_the_number_of_parameters_is_that_of_the_reference(width, channels, count):
    # CompressAI 1.2.8, MeanScaleHyperprior, without the quantiles it stores.
    settings = CodecConfig(transforms=Minnen(width=width, channels=channels))
    shapes = codec.abstract_parameters(settings)
    assert sum(math.prod(array.shape) for array in shapes.values()) == count


@pytest.mark.parametrize(("height", "width"), [(1, 1), (17, 65), (64, 128)])
def test_reconstructions_have_the_size_of_the_images(parameters, height, width):

    def run(image):
        return vars(forward(parameters, image))

    out = jax.eval_shape(run, image_of(2, height, width, 3))
    latents = (2, math.ceil(height / 16), math.ceil(width / 16), 6)
    assert out["reconstruction"].shape == (2, height, width, 3)
    for name in ("latent", "latent_hat", "mean", "scale", "latent_bits"):
        assert out[name].shape == latents
    side = (2, math.ceil(height / 64), math.ceil(width / 64), 4)
    assert out["side_bits"].shape == side


@pytest.mark.fast
def test_a_single_pixel_is_coded(parameters):
    out = forward(parameters, image_of(1, 1, 1, 3))
    for leaf in jax.tree.leaves(out):
        assert jnp.all(jnp.isfinite(leaf))
    assert out.latent_bits.shape == (1, 1, 1, 6)
    assert jnp.all(out.latent_bits > 0)


def test_an_image_is_padded_with_its_last_pixels(parameters):
    image = image_of(1, 40, 70, 3)
    canvas = np.pad(image, [(0, 0), (0, 24), (0, 58), (0, 0)], mode="edge")
    padded = forward(parameters, jnp.asarray(canvas), size=(40, 70))
    out = forward(parameters, image)
    np.testing.assert_allclose(
        out.reconstruction, padded.reconstruction[:, :40, :70], atol=1e-5
    )
    np.testing.assert_allclose(out.latent_bits, padded.latent_bits[:, :3, :5], 1e-3)
    np.testing.assert_allclose(out.side_bits, padded.side_bits, 1e-4)


@pytest.fixture(scope="module")
def on_canvases(parameters):
    """Outputs for two canvases, which differ beyond the image padded to 64 x 128."""
    image = ops.pad_to(image_of(1, 40, 70, 3), 256, 320)
    other = image.at[:, 64:, :].set(1.0).at[:, :, 128:].set(1.0)
    assert jnp.any(other != image)
    return [forward(parameters, canvas, size=(40, 70)) for canvas in (image, other)]


def test_padding_costs_no_bits_and_the_decoder_sees_zeros_there(on_canvases):
    out, _ = on_canvases
    coded = np.zeros(out.latent_bits.shape, bool)
    coded[:, :3, :5] = True
    np.testing.assert_array_equal(out.latent_bits > 0, coded)
    np.testing.assert_array_equal(out.latent_hat != 0, coded)
    coded = np.zeros(out.side_bits.shape, bool)
    coded[:, :1, :2] = True
    np.testing.assert_array_equal(out.side_bits > 0, coded)


def test_pixels_beyond_the_next_multiple_of_64_do_not_change_the_output(on_canvases):
    one, other = on_canvases
    for name in ("reconstruction", "latent_hat", "mean", "scale", "latent_bits"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))
    np.testing.assert_array_equal(one.side_bits, other.side_bits)


def test_images_of_several_sizes_share_a_canvas(parameters):
    sizes = [(40, 70), (100, 30)]
    images = [image_of(1, *size, 3) for size in sizes]
    canvases = jnp.concatenate([ops.pad_to(image, 128, 192) for image in images])
    rows, columns = jnp.array(sizes).T
    batch = forward(parameters, canvases, size=(rows, columns))
    for index, image in enumerate(images):
        alone = forward(parameters, image)
        for name in ("reconstruction", "latent_hat", "latent_bits", "side_bits"):
            expected = getattr(alone, name)[0]
            part = np.s_[index, : expected.shape[0], : expected.shape[1]]
            np.testing.assert_allclose(
                getattr(batch, name)[part], expected, rtol=1e-3, atol=1e-5
            )


def test_images_of_a_batch_do_not_see_each_other(parameters, images, keys, noisy):
    half = forward(parameters, images[1:], keys=keys[1:])
    for one, other in zip(jax.tree.leaves(half), jax.tree.leaves(noisy), strict=True):
        np.testing.assert_allclose(one, other[1:], rtol=1e-3, atol=1e-4)


@pytest.mark.fast
def test_latents_are_rounded_by_default(parameters, rounded):
    steps = rounded.latent_hat - rounded.mean
    np.testing.assert_allclose(steps, jnp.round(steps), atol=1e-5)
    assert jnp.all(jnp.abs(rounded.latent_hat - rounded.latent) < 0.5 + 1e-5)
    assert jnp.any(steps != 0)


def test_the_decoder_sees_uniform_noise_of_half_a_step(noisy):
    noise = noisy.latent_hat - noisy.latent
    assert -0.5 - 1e-5 < noise.min() < -0.48
    assert 0.48 < noise.max() < 0.5 + 1e-5
    assert abs(noise.var() - 1 / 12) < 0.01


def test_straight_through_rounds_for_the_decoder_only(
    parameters, images, keys, rounded, noisy
):
    out = forward(parameters, images, keys=keys, kind="straight_through")
    for name in ("latent_hat", "mean", "scale", "reconstruction"):
        expected = getattr(rounded, name)
        np.testing.assert_allclose(getattr(out, name), expected, rtol=1e-4, atol=1e-4)
    # The rate is that of noise: for side information it is the same as with noise.
    np.testing.assert_allclose(out.side_bits, noisy.side_bits, rtol=1e-5)
    assert jnp.any(jnp.abs(out.latent_bits - rounded.latent_bits) > 0.1)


def test_soft_rounding_goes_from_noise_to_rounding(
    parameters, images, keys, rounded, noisy
):
    def soft(sharpness):
        return forward(
            parameters,
            images,
            keys=keys,
            kind="soft_round",
            sharpness=jnp.float32(sharpness),
        )

    smooth = soft(0.0)
    for name, expected in vars(noisy).items():
        np.testing.assert_allclose(
            getattr(smooth, name), expected, rtol=1e-3, atol=1e-4, err_msg=name
        )
    # Latents and bits approach those of rounding as the sharpness grows.
    for name in ("quantized", "side_bits", "latent_bits"):
        distances = [
            jnp.mean(jnp.abs(getattr(out, name) - getattr(rounded, name)))
            for out in (smooth, soft(8.0), soft(64.0))
        ]
        assert distances[2] < 0.3 * distances[0], name
        assert distances[1] < distances[0], name


def test_median_can_be_overridden(parameters, images):
    model = codec.with_parameters(SETTINGS, parameters)
    middle = model.prior.median()
    shifted = forward(parameters, images, median=middle + 1.0)
    given = forward(parameters, images, median=middle)
    # A shift by a whole step gives the same grid; by half a step, another grid.
    np.testing.assert_allclose(shifted.side_bits, given.side_bits, rtol=1e-3)
    half = forward(parameters, images, median=middle + 0.5)
    assert jnp.any(jnp.abs(half.side_bits - given.side_bits) > 0.01)


def test_bfloat16_is_used_in_analysis_and_synthesis_only(parameters, images, rounded):
    out = forward(parameters, images, transform_dtype=jnp.bfloat16)
    for leaf in jax.tree.leaves(out):
        assert leaf.dtype == jnp.float32

    def is_bfloat16(x):
        return jnp.all(x == x.astype(jnp.bfloat16).astype(jnp.float32))

    for name in ("latent", "reconstruction"):
        assert is_bfloat16(getattr(out, name))
        assert not is_bfloat16(getattr(rounded, name))
    assert not jnp.all(out.scale == out.scale.astype(jnp.bfloat16))
    error = jnp.abs(out.latent - rounded.latent).max() / jnp.abs(rounded.latent).max()
    assert 0 < error < 0.05


def test_scales_are_at_least_their_bound(rounded, noisy):
    for out in (rounded, noisy):
        assert out.scale.min() == jnp.float32(0.11)
        assert out.scale.max() > 0.5


def test_every_parameter_has_a_finite_gradient(parameters, images, keys):
    # Plain rounding would stop the gradients of the distortion at the decoder's input.
    @jax.jit
    @jax.grad
    def gradient(parameters):
        model = codec.with_parameters(SETTINGS, parameters)
        out = model(images, quantization=StraightThrough(keys))
        bits = out.latent_bits.sum() + out.side_bits.sum()
        return bits + jnp.sum((out.reconstruction - images) ** 2)

    for name, leaf in gradient(parameters).items():
        assert jnp.all(jnp.isfinite(leaf)), name
        assert jnp.any(leaf != 0), name


@pytest.mark.fast
def test_parameters_survive_a_round_trip_through_a_codec(parameters):
    built = codec.with_parameters(SETTINGS, parameters)
    returned = codec.parameters_of(SETTINGS, built)
    assert returned.keys() == parameters.keys()
    for name, array in parameters.items():
        np.testing.assert_array_equal(returned[name], array)
