"""Models: what they print, what they analyze, and the codecs that they return."""

import dataclasses
import html.parser
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from PIL import Image
from support.codecs import blocks

import jaxcorr
from jaxcorr import codec, codec_arguments, saved_model, windowed_codec
from jaxcorr.bitstream import coding
from jaxcorr.errors import UserError
from jaxcorr.provenance import Provenance, SweepMember
from jaxcorr.quantization import Rounding

pytestmark = pytest.mark.fast
SIZES = [(1, 1), (17, 33), (200, 90)]
IMAGE = np.zeros((2, 8, 9, 3), np.float32)


def noise(count, make_key=jax.random.key):
    """Returns a quantization with keys, whose shape was not checked before."""
    quantization = Rounding()
    keys = jax.random.split(make_key(0), count)
    object.__setattr__(quantization, "keys", keys)
    return quantization


@pytest.fixture(scope="module")
def described(tiny_model):
    """A model with everything that a representation shows, some of it hostile."""
    member = SweepMember(seed=0, distortion_weight=0.0067, correlation_weight=0.1)
    provenance = Provenance(step=10_000, member=member, source="<b>CompressAI</b>")
    path = "runs/" + "deep/" * 60 + "last"
    return dataclasses.replace(tiny_model, provenance=provenance, path=path)


def test_a_model_is_one_short_line(described):
    count = sum(array.size for array in described.parameters.values())
    line = repr(described)
    assert len(line) <= 300 and "\n" not in line
    for fact in ("Minnen 8/12", "λ 0.0067", "α 0.1", f"parameters {count:,}"):
        assert fact in line
    assert described.fingerprint.hex() in line and line.endswith("deep/last)")
    assert repr(jaxcorr.load()).endswith("read from demo)")


class Cells(html.parser.HTMLParser):
    """Collects the texts and the tags of a page."""

    def __init__(self):
        super().__init__()
        self.tags, self.texts = set(), []

    def handle_starttag(self, tag, attributes):
        assert not attributes  # Colors are those of the notebook, light or dark.
        self.tags.add(tag)

    def handle_data(self, data):
        self.texts.append(data)


def test_a_model_is_a_table_in_notebooks(described):
    cells = Cells()
    cells.feed(described._repr_html_())
    assert cells.tags == {"table", "tr", "th", "td"}
    shown = dict(zip(cells.texts[::2], cells.texts[1::2], strict=True))
    assert shown == described.describe()
    assert shown["imported from"] == "<b>CompressAI</b>"


def test_a_codec_is_one_short_line(tiny_model):
    count = sum(array.size for array in tiny_model.parameters.values())
    line = f"Codec(Minnen 8/12, {count:,} parameters)"
    assert repr(tiny_model.codec()) == str(tiny_model.codec()) == line


def test_an_output_is_one_line_with_its_shapes(tiny_model):
    line = repr(tiny_model.analyze(blocks(17, 33)))
    assert line.startswith("CodecOutput(reconstruction=float32[17,33,3], latent=float")
    assert line.endswith("side_bits=float32[1,1,8])") and "\n" not in line


@pytest.mark.parametrize("size", SIZES)
def test_an_analysis_is_what_a_file_holds(tiny_model, size):
    """Up to latents that round differently, since coding rounds means to 1/64."""
    image = blocks(*size)
    container, latents = coding.encode(tiny_model, image)
    output = tiny_model.analyze(image)
    assert output.reconstruction.shape == image.shape
    for name in ("latent", "quantized", "latent_hat", "mean", "scale", "latent_bits"):
        assert getattr(output, name).shape == latents.symbols.shape, name
    assert output.side_bits.shape == latents.side_symbols.shape
    np.testing.assert_allclose(output.mean, latents.mean, atol=1 / 128 + 1e-3)
    np.testing.assert_allclose(output.scale, latents.scale, rtol=1e-3)
    symbols = np.round(output.quantized - output.mean)
    differing = np.sum(symbols != latents.symbols)
    assert differing <= max(1, 0.01 * symbols.size)
    payload = len(container.y_payload) + len(container.z_payload)
    bits = float(output.latent_bits.sum() + output.side_bits.sum())
    assert abs(payload - bits / 8) <= 0.01 * payload + 20
    decoded, _ = coding.decode(tiny_model, container)
    assert np.abs(255 * np.clip(output.reconstruction, 0, 1) - decoded).mean() <= 0.5


def test_an_analysis_takes_what_compress_takes(tiny_model, tmp_path):
    image = blocks(17, 33)
    Image.fromarray(image).save(tmp_path / "photo.png")
    first, second = tiny_model.analyze([tmp_path / "photo.png", image / 255])
    for one, other in zip(*map(jax.tree.leaves, (first, second)), strict=True):
        np.testing.assert_array_equal(one, other)
    with pytest.raises(TypeError, match=r"^the image must be a path, .* of type int$"):
        tiny_model.analyze(3)  # pyright: ignore
    with pytest.raises(UserError, match=r"x 16385 pixels is too large"):
        tiny_model.analyze(np.zeros((16385, 16385), np.uint8))


def test_training_a_codec_does_not_change_its_model(tiny_model):
    before = coding.encode(tiny_model, blocks(17, 33))[0]
    trained = tiny_model.codec()
    assert trained is not tiny_model.codec()
    zeros = jax.tree.map(jnp.zeros_like, nnx.state(trained))
    nnx.update(trained, zeros)
    assert coding.encode(tiny_model, blocks(17, 33))[0] == before


def test_a_trained_codec_becomes_a_model_and_a_folder(tiny_model, tmp_path):
    trained = tiny_model.codec()
    nnx.update(trained, jax.tree.map(lambda x: x + 0.01, nnx.state(trained)))
    model = jaxcorr.Model.from_codec(trained)
    parameters = codec.parameters_of(tiny_model.config, trained)
    assert (
        model.fingerprint
        == saved_model.make_model(tiny_model.config, parameters).fingerprint
    )
    for number, saved in enumerate((trained, model)):
        jaxcorr.save(tmp_path / f"{number}", saved)
        assert jaxcorr.load(tmp_path / f"{number}").fingerprint == model.fingerprint
    (tmp_path / "notes").mkdir()
    with pytest.raises(UserError, match=r"notes exists and is not a model folder$"):
        jaxcorr.save(tmp_path / "notes", trained)
    arguments: Any = model, tmp_path / "other"
    with pytest.raises(TypeError):
        jaxcorr.save(*arguments)


@pytest.mark.parametrize(
    ("image", "quantization", "message"),
    [
        ([[0.5]], None, "must be an array, but is of type list"),
        (IMAGE[0], None, r"\[batch, height, width, 3\], but has shape \[8, 9, 3\]"),
        (IMAGE.transpose(0, 3, 1, 2), None, r"but has shape \[2, 3, 8, 9\]"),
        (np.uint8(IMAGE), None, "but holds uint8: divide by 255"),
        (IMAGE, "noise", r"one such as AdditiveNoise\(keys\), but is 'noise'"),
        (IMAGE, jaxcorr.AdditiveNoise, r"such as AdditiveNoise\(keys\), but is <class"),
        (IMAGE, noise(1), r"key per image, as from jax.random.split\(key, 2\)"),
        (IMAGE, noise(()), "must be one random key per image"),
    ],
)
def test_a_wrong_argument_of_a_codec_is_refused(image, quantization, message):
    """Without the checks of types by the tests, which would refuse some of them."""
    with pytest.raises((TypeError, UserError), match=message):
        codec_arguments.check_arguments(image, quantization)


def test_a_large_image_is_analyzed_in_windows_to_the_same_output(
    tiny_model, monkeypatch
):
    image = blocks(330, 150)
    whole = tiny_model.analyze(image)
    monkeypatch.setattr(windowed_codec, "WINDOW_PIXELS", 128 * 160)
    in_windows = tiny_model.analyze(image)
    for name, array in vars(whole).items():
        found = getattr(in_windows, name)
        assert found.shape == array.shape and found.dtype == array.dtype
        # A latent between two symbols may get the other one.
        is_close = np.isclose(found, array, rtol=1e-3, atol=1e-3)
        assert is_close.mean() > 0.99, name
    assert np.std(whole.reconstruction) > 0.01


@pytest.mark.parametrize("make_key", [jax.random.key, jax.random.PRNGKey])
def test_noise_takes_a_key_of_either_kind_per_image(make_key):
    codec_arguments.check_arguments(IMAGE, noise(2, make_key))


def test_a_call_outside_of_a_transformation_is_compiled_once(tiny_model):
    compiled: Any = codec._compiled_forward
    compiled.clear_cache()
    images = jnp.asarray(blocks(64, 64)[None] / np.float32(255))
    for _ in range(3):
        output = tiny_model.codec()(images)
    assert compiled._cache_size() == 1
    program = jax.jit(lambda codec, images: codec(images))
    expected = program(tiny_model.codec(), images)
    assert "jit(_forward)" not in str(
        jax.make_jaxpr(program)(tiny_model.codec(), images)
    )
    assert compiled._cache_size() == 1
    np.testing.assert_allclose(output.latent, expected.latent, atol=1e-4)


@pytest.mark.parametrize(
    "quantization",
    [
        jaxcorr.AdditiveNoise,
        jaxcorr.StraightThrough,
        lambda k: jaxcorr.SoftRounding(k, 4.0),
    ],
)
def test_a_compiled_call_takes_every_quantization(tiny_model, quantization):
    images = jnp.asarray(blocks(64, 64)[None] / np.float32(255))
    given = quantization(jax.random.split(jax.random.key(0), 1))
    outside = tiny_model.codec()(images, quantization=given)
    inside = jax.jit(lambda codec: codec(images, quantization=given))(
        tiny_model.codec()
    )
    np.testing.assert_allclose(outside.latent_bits, inside.latent_bits, rtol=1e-5)
