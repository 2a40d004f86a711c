import dataclasses
import functools
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from support import codecs
from support.context_models import (
    QUANTIZATIONS,
    code_pass_by_pass,
    coded_mask,
    features_and_latents,
    make_context,
)

from jaxcorr import codec, quantization
from jaxcorr.context.checkerboard import Checkerboard
from jaxcorr.context.schedule import parity_of
from jaxcorr.context.strips import CodingLayout, Rows
from jaxcorr.quantization import round_around
from jaxcorr.training.loss import LossConfig
from jaxcorr.training.optimizer import OptimizerConfig
from jaxcorr.training.step import StaticConfig, StepConfig, initial_state, train_step

SETTINGS = codec.CodecConfig(
    transforms=codecs.TRANSFORMS["minnen"], context=Checkerboard()
)


@pytest.fixture(scope="module")
def model():
    return codecs.make_combination("minnen", "checkerboard")


@pytest.fixture(scope="module")
def image():
    return jnp.asarray(codecs.blocks(64, 128)[None], jnp.float32) / 255


@functools.partial(jax.jit, static_argnames="kind")
def forward(parameters, image, keys, *, kind=None):
    apply = codec.with_parameters(SETTINGS, parameters)
    kind = kind or apply.context.default_quantization
    return apply(
        image, quantization=quantization.training_quantization(kind, keys, 1.0)
    )


@pytest.fixture(scope="module")
def training_outputs(model, image):
    """Outputs in training, by quantization; None is the default."""
    keys = jax.random.split(jax.random.key(0), 1)
    parameters = model.device_parameters
    return {
        kind: forward(parameters, image, keys, kind=kind) for kind in (None, "noise")
    }


@pytest.mark.fast
def test_anchors_are_where_row_plus_column_is_even():
    expected = [[True, False, True], [False, True, False]]
    np.testing.assert_array_equal(parity_of(np.arange(2), np.arange(3)) == 0, expected)


def test_training_predicts_anchors_in_the_first_pass_and_others_in_the_second(
    model, training_outputs
):
    """So the correlation loss sees the means and scales of coding at both parities."""
    out = training_outputs[None]
    apply = codec.with_parameters(SETTINGS, model.device_parameters)
    # Straight-through quantization rounds side information in training, too.
    z = apply.transforms.hyper_analysis(out.latent)
    z_hat = round_around(z, apply.prior.median()[None, None, None])
    features = apply.transforms.hyper_synthesis(z_hat)[0]
    size = out.mean.shape[1:3]
    assert size == (4, 8)
    layout = CodingLayout.whole(size, size)
    state = apply.context.begin_coding(Rows.of(features), layout)
    for index in range(2):
        positions, mean, scale = state.predict(0, index)
        parity = np.add(*np.nonzero(np.ones(size))).reshape(size) % 2
        *rows_and_columns, channels = positions
        np.testing.assert_array_equal(rows_and_columns, np.nonzero(parity == index))
        assert channels == slice(0, out.mean.shape[-1])
        np.testing.assert_allclose(out.mean[0][positions], mean, atol=1e-4)
        np.testing.assert_allclose(out.scale[0][positions], scale, atol=1e-4)
        latent_hat = np.asarray(out.latent_hat[0])[positions]
        state.latent_hat[positions] = latent_hat


def test_predictions_of_the_second_pass_depend_on_anchors():
    context = make_context(Checkerboard())
    features, latent = features_and_latents((6, 6), dtype=np.float32)
    with_anchors = code_pass_by_pass(context, features, latent, (6, 6))
    without_anchors = code_pass_by_pass(
        context, features, np.zeros_like(latent), (6, 6)
    )
    anchor = parity_of(np.arange(6), np.arange(6)) == 0
    for name in ("mean", "scale"):
        one, other = getattr(with_anchors, name), getattr(without_anchors, name)
        np.testing.assert_array_equal(one[0][anchor], other[0][anchor])
        assert np.all(one[0][~anchor] != other[0][~anchor])


def test_anchors_in_training_are_rounded_around_their_means():
    context = make_context(Checkerboard())
    features, latent = features_and_latents((5, 6), dtype=np.float32)
    output = context.forward(
        jnp.asarray(features[None]),
        jnp.asarray(latent[None]),
        QUANTIZATIONS["straight through"],
        coded_mask((5, 6), (5, 6)),
    )
    expected = code_pass_by_pass(context, features, latent, (5, 6))
    for field in dataclasses.fields(expected):
        one, other = (getattr(out, field.name) for out in (output, expected))
        np.testing.assert_allclose(one, other, rtol=0, atol=1e-5)


def test_the_decoder_sees_rounded_latents_in_training_by_default(training_outputs):
    by_default, noisy = training_outputs.values()
    steps = by_default.latent_hat - by_default.mean
    np.testing.assert_allclose(steps, jnp.round(steps), atol=1e-4)
    noise = noisy.latent_hat - noisy.latent
    assert jnp.max(jnp.abs(noise)) <= 0.5 + 1e-5
    steps = noisy.latent_hat - noisy.mean
    assert jnp.mean(jnp.abs(steps - jnp.round(steps)) > 0.01) > 0.9


def test_gradients_flow_from_the_second_pass_through_rounding_to_the_analysis(model):
    image = jnp.asarray(codecs.blocks(64, 64)[None], jnp.float32) / 255
    keys = jax.random.split(jax.random.key(0), 1)
    bias = "transforms/analysis/layers/6/bias"
    # With constant side information, gradients flow through the context model only.
    parameters = dict(model.device_parameters)
    parameters["transforms/hyper_analysis/layers/4/kernel"] *= 0

    @jax.jit
    @jax.jacrev
    def gradient(value):
        out = forward(parameters | {bias: value}, image, keys)
        anchor = (parity_of(np.arange(4), np.arange(4)) == 0)[..., None]
        return [jnp.where(which, out.mean[0], 0).sum() for which in (anchor, ~anchor)]

    of_anchors, of_others = gradient(parameters[bias])
    assert jnp.all(of_anchors == 0)
    assert jnp.all(of_others != 0)


def test_a_training_step_rounds_straight_through_by_default(model):
    batch = jnp.asarray(codecs.blocks(64, 64)[None])

    def program(quantization):
        static_config = StaticConfig(
            codec=SETTINGS,
            loss=LossConfig(window=3),
            optimizer=OptimizerConfig(),
            step=StepConfig(quantization=quantization),
            steps=10,
        )
        state = initial_state(static_config, model.device_parameters)
        key = jax.random.key(0)
        step = functools.partial(train_step, static_config=static_config)
        traced = jax.make_jaxpr(step)(state, batch, codecs.weights(), key)
        return re.sub("0x[0-9a-f]+", "", str(traced))

    by_default = program(None)
    assert by_default == program("straight_through")
    assert by_default != program("noise")
