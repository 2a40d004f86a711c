"""Imported codecs compute what CompressAI computes, from the same weights."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from references.weights import (
    ARCHITECTURES,
    AUTOREGRESSIVE,
    imported,
    photograph,
    reference,
    state_of,
)
from skimage import data

from jaxcorr import codec, saved_model, train_states
from jaxcorr.config import TrainConfig
from jaxcorr.context.autoregressive import AutoregressiveContext
from jaxcorr.data.sources import DataConfig
from jaxcorr.entropy.gaussian import gaussian_bits
from jaxcorr.interop import compressai
from jaxcorr.training.loss import LossConfig
from jaxcorr.training.step import initial_state, train_step
from jaxcorr.training.sweep import member_weights

LIKELIHOOD_BOUND = 1e-9
"""Smallest likelihood in CompressAI, which its weights do not contain."""

pytestmark = pytest.mark.fast


@pytest.fixture(scope="module")
def image():
    return jnp.asarray(photograph()[None], jnp.float32) / 255


@pytest.fixture(scope="module", params=ARCHITECTURES)
def coded(request, image):
    """Name of an architecture, and the output of its model for the photograph."""
    model = imported(request.param)
    settings = dataclasses.replace(model.config, likelihood_bound=LIKELIHOOD_BOUND)

    @jax.jit
    def forward(parameters, image, median):
        return codec.with_parameters(settings, parameters)(image, median=median)

    return request.param, forward(model.parameters, image, model.median)


@pytest.fixture(scope="module", params=AUTOREGRESSIVE)
def all_at_once(request, image):
    """Name of an architecture, and its predictions from latents rounded around 0."""
    model = imported(request.param)

    @jax.jit
    def forward(parameters, image, median):
        module = codec.with_parameters(model.config, parameters)
        y = module.transforms.analysis(image)
        z = module.transforms.hyper_analysis(y)
        z_hat = jnp.round(z - median[None, None, None]) + median[None, None, None]
        features = module.transforms.hyper_synthesis(z_hat)
        context, seen = module.context, jnp.round(y)
        assert isinstance(context, AutoregressiveContext)
        mean, scale = context.predict_all(context.network.features(features), seen)
        residual = jnp.round(y - mean)
        return {
            "mean": mean,
            "scale": scale,
            "reconstruction": module.transforms.synthesis(seen),
            "latent_bits": gaussian_bits(
                residual, scale, likelihood_bound=LIKELIHOOD_BOUND
            ),
        }

    return request.param, forward(model.parameters, image, model.median)


def assert_same(actual, expected):
    root_mean_square = np.sqrt(np.mean(expected**2))
    np.testing.assert_allclose(actual, expected, rtol=0, atol=1e-4 * root_mean_square)


def bounded(scale):
    """Bounds scales, as CompressAI does in the likelihood only."""
    return np.maximum(scale, 0.11)


@pytest.mark.parametrize(
    "name", ["latent", "mean", "scale", "latent_hat", "reconstruction"]
)
def test_codec_outputs_are_those_of_compressai(coded, name):
    architecture, output = coded
    expected = reference(architecture)[name]
    expected = bounded(expected) if name == "scale" else expected
    assert_same(getattr(output, name), expected)


@pytest.mark.parametrize("name", ["latent_bits", "side_bits"])
def test_bits_are_those_of_compressai(coded, name):
    architecture, output = coded
    bits, expected = getattr(output, name), reference(architecture)[name]
    np.testing.assert_allclose(bits.sum(), expected.sum(), rtol=1e-4)
    # Likelihoods of CompressAI are float32 differences of numbers up to 1.
    np.testing.assert_allclose(
        jnp.exp2(-bits), np.exp2(-expected), rtol=1e-3, atol=1e-6
    )


@pytest.mark.parametrize("name", ["mean", "scale", "reconstruction"])
def test_parts_compute_the_forward_pass_of_compressai(all_at_once, name):
    """CompressAI's forward pass rounds latents around 0 for the context model."""
    architecture, outputs = all_at_once
    expected = reference(architecture)[f"forward_{name}"]
    expected = bounded(expected) if name == "scale" else expected
    assert_same(outputs[name], expected)


def test_parts_give_the_bits_of_the_forward_pass_of_compressai(all_at_once):
    architecture, outputs = all_at_once
    expected = reference(architecture)["forward_latent_bits"].sum()
    np.testing.assert_allclose(outputs["latent_bits"].sum(), expected, rtol=1e-4)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_references_are_not_trivial(architecture):
    arrays = reference(architecture)
    assert arrays["scale"].min() < 0.11 < arrays["scale"].max()
    assert arrays["latent"].std() > 1 and arrays["mean"].std() > 0.3
    assert np.isclose(arrays["latent_bits"].max(), 9 * np.log2(10))
    assert np.mean(arrays["latent_bits"] < 20) > 0.5
    assert arrays["state/entropy_bottleneck.quantiles"][:, 0, 1].std() > 0.5
    if architecture in AUTOREGRESSIVE:
        changed = arrays["forward_mean"] - arrays["mean"]
        assert np.abs(changed).max() > 0.1


def test_the_photograph_is_of_scikit_image():
    crop = data.astronaut()[80:144, 160:288]
    np.testing.assert_array_equal(photograph(), crop)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_medians_are_those_of_the_file(architecture):
    model = imported(architecture)
    quantiles = reference(architecture)["state/entropy_bottleneck.quantiles"]
    np.testing.assert_array_equal(model.median, quantiles[:, 0, 1])


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_every_weight_is_imported_once(architecture):
    state = state_of(architecture)
    if architecture in AUTOREGRESSIVE:
        state["context_prediction.weight"] *= state["context_prediction.mask"]
    names = compressai.tensor_names(architecture) - {"entropy_bottleneck.quantiles"}
    values = [np.ravel(state[name]) for name in names]
    parameters = [
        np.ravel(array) for array in imported(architecture).parameters.values()
    ]
    np.testing.assert_array_equal(
        np.sort(np.concatenate(parameters)), np.sort(np.concatenate(values))
    )


def test_training_starts_from_imported_weights(tmp_path):
    model = imported("mbt2018-mean")
    saved_model.write_model(tmp_path / "model", model)
    config = TrainConfig(
        codec=model.config,
        init_from=str(tmp_path / "model"),
        loss=LossConfig(window=3),
        data=DataConfig(batch_size=2, crop_size=64),
    )
    parameters = train_states.pretrained_parameters(tmp_path / "model", config.codec)
    crops = np.stack([photograph()[:, :64], photograph()[:, 64:]])
    state, values = train_step(
        initial_state(config.static_config, jax.tree.map(jnp.copy, parameters)),
        crops,
        member_weights(config.members[0]),
        jax.random.key(0),
        static_config=config.static_config,
    )
    assert np.isfinite(values["loss"])
    for name, before in model.parameters.items():
        moved = np.abs(np.asarray(state.parameters[name]) - before).max()
        assert 0 < moved < 0.01, name
