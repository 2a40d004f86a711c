"""All transforms with all context models: training, encoding and decoding."""

import dataclasses
import os
import subprocess
import sys
from pathlib import Path

import jax
import numpy as np
import pytest
import skimage
from support import codecs
from support.paths import SCRIPTS

from jaxcorr import images, saved_model
from jaxcorr.bitstream import coding
from jaxcorr.bitstream.container import HEADER_BYTES, Container
from jaxcorr.codec import CodecConfig
from jaxcorr.errors import UserError
from jaxcorr.evaluation import learned
from jaxcorr.training.loss import LossConfig
from jaxcorr.training.optimizer import OptimizerConfig
from jaxcorr.training.step import StaticConfig, StepConfig, initial_state, train_step

# 451 x 300 pixels: multiples neither of 16 nor of 64.
PHOTOGRAPH = Path(skimage.__file__).parent / "data" / "chelsea.png"
COMBINATIONS = [
    (transforms, context)
    for transforms in codecs.TRANSFORMS
    for context in codecs.CONTEXTS
]
CODED = [pair for pair in COMBINATIONS if "minnen" in pair or "none" in pair]
"""All context models with one kind of transforms, and all transforms without one."""
OTHERS = [pair for pair in COMBINATIONS if pair not in CODED]
TRAINED_SLOWLY = [pair for pair in CODED if "minnen" not in pair]
TRAINED_SLOWLY += [("cheng", "channelwise"), ("swin", "channelwise")]
TRAINED_SLOWLY += [("minnen", "space-channel")]
DECODED = ("side_symbols", "symbols", "latent_hat")


def on(combinations, *marks):
    return [pytest.param(x, id="-".join(x), marks=marks) for x in combinations]


combinations = pytest.mark.parametrize("combination", on(CODED))


@pytest.fixture(scope="module")
def photograph():
    return images.read_image(PHOTOGRAPH)[0]


@dataclasses.dataclass
class Encoded:
    model: saved_model.Model
    data: bytes
    latents: coding.DecodedLatents


@pytest.fixture(scope="module")
def encoded(photograph):
    """The model, file and latents of the combinations."""
    return {pair: encode(pair, photograph) for pair in CODED}


@pytest.fixture(scope="module")
def decoded(encoded, tmp_path_factory):
    """The arrays that another process decodes from the files."""
    return decode_in_another_process(encoded, tmp_path_factory.mktemp("files"))


def encode(combination, photograph):
    model = codecs.make_combination(*combination)
    container, latents = coding.encode(model, photograph)
    return Encoded(model, container.to_bytes(), latents)


def decode_in_another_process(encoded, folder):
    for combination, coded in encoded.items():
        subfolder = folder / "-".join(combination)
        saved_model.write_model(subfolder / "model", coded.model)
        (subfolder / "photo.jxc").write_bytes(coded.data)
    script = SCRIPTS / "decode_all.py"
    process = subprocess.run(
        [sys.executable, script, folder],
        env=os.environ | {"JAX_PLATFORMS": "cpu", "XLA_FLAGS": ""},
        capture_output=True,
        text=True,
    )
    assert process.returncode == 0, process.stderr
    return {
        combination: dict(np.load(folder / "-".join(combination) / "decoded.npz"))
        for combination in encoded
    }


@pytest.mark.parametrize(
    "combination",
    [
        *on([pair for pair in CODED if pair not in TRAINED_SLOWLY]),
        *on(TRAINED_SLOWLY, pytest.mark.slow),
    ],
)
def test_a_training_step_has_finite_gradients_and_changes_every_part(combination):
    transforms, context = combination
    static_config = StaticConfig(
        codec=CodecConfig(
            transforms=codecs.TRANSFORMS[transforms], context=codecs.CONTEXTS[context]
        ),
        loss=LossConfig(window=3),
        optimizer=OptimizerConfig(learning_rate=1e-3),
        step=StepConfig(),
        steps=10,
    )
    before = codecs.draw(static_config.codec)
    crops = np.random.default_rng(0).integers(256, size=(2, 64, 64, 3), dtype=np.uint8)
    state, values = train_step(
        initial_state(static_config, jax.device_put(before)),
        crops,
        codecs.weights(correlation_weight=1.0),
        jax.random.key(1),
        static_config=static_config,
    )
    assert np.isfinite(values["loss"]) and np.isfinite(values["gradient_norm"])
    assert values["failed_at"] == -1
    assert values["correlation"] > 0
    codecs.assert_every_part_changed(before, state.parameters)


@combinations
def test_another_process_decodes_exactly_the_latents_of_the_encoder(
    encoded, decoded, combination
):
    for name in DECODED:
        expected = getattr(encoded[combination].latents, name)
        assert np.array_equal(expected, decoded[combination][name]), name
        assert np.unique(expected).size > 4


@combinations
def test_the_decoded_image_has_the_size_of_the_photograph(
    decoded, photograph, combination
):
    image = decoded[combination]["image"]
    assert image.shape == photograph.shape
    assert image.std() > 1


@pytest.mark.slow
def test_another_process_decodes_all_other_combinations(photograph, tmp_path):
    files = {pair: encode(pair, photograph) for pair in OTHERS}
    for pair, arrays in decode_in_another_process(files, tmp_path).items():
        for name in DECODED:
            expected = getattr(files[pair].latents, name)
            assert np.array_equal(expected, arrays[name]), (pair, name)
            assert np.unique(expected).size > 4
        assert arrays["image"].std() > 1


@combinations
def test_file_sizes_match_the_estimate_of_the_entropy_model(
    encoded, photograph, combination
):
    coded = encoded[combination]
    estimated = learned.estimated_bits(coded.model, coded.latents) / 8
    assert abs(len(coded.data) - estimated) <= 0.01 * estimated + 64
    assert len(coded.data) > 10 * HEADER_BYTES


def test_a_file_of_one_context_model_is_refused_by_another(encoded):
    for pair, other in zip(CODED, CODED[1:] + CODED[:1], strict=True):
        names = [encoded[x].model.fingerprint.hex() for x in (other, pair)]
        container = Container.from_bytes(encoded[other].data, "x.jxc")
        message = f"x.jxc was made with model {names[0]}, but this is {names[1]}"
        with pytest.raises(UserError, match=message):
            coding.decode(encoded[pair].model, container, name="x.jxc")


def test_context_models_with_equal_parameters_have_different_fingerprints():
    checkerboard, autoregressive = (
        CodecConfig(
            context=codecs.CONTEXTS[context], transforms=codecs.TRANSFORMS["cheng"]
        )
        for context in ("checkerboard", "autoregressive")
    )
    # The parameters of both have the same names and shapes.
    parameters = codecs.draw(checkerboard)
    one, other = (
        saved_model.make_model(settings, parameters).fingerprint
        for settings in (checkerboard, autoregressive)
    )
    assert one != other
