import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from support.codecs import blocks

import jaxcorr
from jaxcorr import codec, saved_model
from jaxcorr.bitstream import coding, compression, grid, networks
from jaxcorr.bitstream.container import HEADER_BYTES, Arithmetic, Container
from jaxcorr.errors import UserError
from jaxcorr.evaluation import learned
from jaxcorr.transforms.canvas import canvas_side, place_on_canvas

LAST_HYPER = "transforms/hyper_synthesis/layers/4"
SIZES = [(1, 1), (17, 33), (128, 128), (200, 90)]
LATENTS = ("side_symbols", "symbols", "latent_hat", "mean", "scale")


def changed(model, **parameters):
    """Returns the model with some parameters replaced."""
    return saved_model.make_model(model.config, model.parameters | parameters)


@pytest.mark.fast
@pytest.mark.parametrize("size", SIZES)
def test_decoding_gives_exactly_the_latents_of_the_encoder(tiny_model, size):
    container, encoded = coding.encode(tiny_model, blocks(*size))
    image, decoded = coding.decode(tiny_model, container)
    assert image.shape == (*size, 3)
    for name in LATENTS:
        assert np.array_equal(getattr(encoded, name), getattr(decoded, name)), name
    assert np.array_equal(encoded.latent_hat, encoded.symbols + encoded.mean)


def test_symbols_of_the_tiny_codec_vary(tiny_model):
    _, latents = coding.encode(tiny_model, blocks(200, 90))
    for symbols in (latents.symbols, latents.side_symbols):
        assert np.unique(symbols).size >= 8
    assert np.unique(grid.ReproducibleGrid().classes(latents.scale)).size >= 4


@pytest.mark.parametrize("size", [(17, 33), (200, 90)])
def test_decoded_images_match_the_reconstruction_of_the_codec(tiny_model, size):
    """Up to latents that round differently, since coding rounds means to 1/64."""
    image = blocks(*size)
    decoded = jaxcorr.decompress(jaxcorr.compress(image, tiny_model), tiny_model)

    @jax.jit
    def forward(parameters, canvas, median):
        apply = codec.with_parameters(tiny_model.config, parameters)
        rows, columns = map(jnp.int32, size)
        return apply(canvas, size=(rows, columns), median=median).reconstruction

    canvas = jnp.asarray(place_on_canvas(image))
    median = jnp.asarray(tiny_model.median)
    reconstruction = forward(tiny_model.device_parameters, canvas, median)
    expected = 255 * np.clip(reconstruction[0, : size[0], : size[1]], 0, 1)
    assert np.std(expected) > 1
    assert np.abs(decoded - expected).mean() <= 0.5


@pytest.mark.parametrize("size", SIZES)
def test_file_sizes_match_the_estimate_of_the_entropy_model(tiny_model, size):
    image = blocks(*size)
    container, latents = coding.encode(tiny_model, image)
    data = container.to_bytes()
    estimated = learned.estimated_bits(tiny_model, latents) / 8
    analyzed = tiny_model.analyze(image)
    bits = analyzed.latent_bits.sum() + analyzed.side_bits.sum()
    assert estimated == pytest.approx(float(bits) / 8, rel=1e-3)
    assert abs(len(data) - estimated) <= 0.01 * estimated + 64
    assert len(data) > HEADER_BYTES


@pytest.mark.fast
def test_a_mean_on_a_boundary_moves_the_grid_and_the_file_stores_the_offset(tiny_model):
    kernel = np.zeros_like(tiny_model.parameters[f"{LAST_HYPER}/kernel"])
    bias = np.repeat([2.5, 3.5 / 64], 12)
    on_boundary = changed(
        tiny_model, **{f"{LAST_HYPER}/kernel": kernel, f"{LAST_HYPER}/bias": bias}
    )
    container, encoded = coding.encode(on_boundary, blocks(40, 40))
    read = Container.from_bytes(container.to_bytes(), "photo.jxc")
    assert read.offset == 1
    _, decoded = coding.decode(on_boundary, read)
    assert np.array_equal(encoded.latent_hat, decoded.latent_hat)
    assert np.all(decoded.mean == (3 + 1 / 256) / 64)


def test_a_scale_on_a_boundary_moves_the_grid(tiny_model, monkeypatch):
    """With a margin that is wide enough for float32 parameters."""
    monkeypatch.setattr(grid, "MARGIN", 1e-6)
    kernel = np.zeros_like(tiny_model.parameters[f"{LAST_HYPER}/kernel"])
    boundary = np.sqrt(grid.tables.SCALES[20] * grid.tables.SCALES[21])
    bias = np.repeat([boundary, 0.0], 12)
    on_boundary = changed(
        tiny_model, **{f"{LAST_HYPER}/kernel": kernel, f"{LAST_HYPER}/bias": bias}
    )
    container, encoded = coding.encode(on_boundary, blocks(40, 40))
    assert container.offset == 1
    _, decoded = coding.decode(on_boundary, container)
    assert np.array_equal(encoded.symbols, decoded.symbols)


def test_an_image_without_a_safe_offset_is_refused(tiny_model, monkeypatch):
    monkeypatch.setattr(grid, "MARGIN", 1.0)
    message = r"the model predicts (means of up|scales from) .*, which no grid rounds"
    with pytest.raises(UserError, match=message):
        coding.encode(tiny_model, blocks(40, 40))


def test_a_model_that_diverged_is_named_as_the_cause(tiny_model):
    bias = tiny_model.parameters[f"{LAST_HYPER}/bias"] + np.float32(1e9)
    diverged = changed(tiny_model, **{f"{LAST_HYPER}/bias": bias})
    message = r"predicts means of up to 1e\+09 .*: its training may have diverged$"
    with pytest.raises(UserError, match=f"^the image: the model {message}"):
        compression.compress(blocks(17, 33), diverged)


def disturb(monkeypatch, error):
    """Adds the numerical error of another machine to the predicted features."""
    exact = networks.predict_features
    rng = np.random.default_rng(0)

    def predict(*arguments, **options):
        features = exact(*arguments, **options)
        return features + error * rng.uniform(-1, 1, features.shape)

    monkeypatch.setattr(networks, "predict_features", predict)


def test_a_machine_with_different_last_digits_decodes_the_same_image(
    tiny_model, monkeypatch
):
    container, encoded = coding.encode(tiny_model, blocks(200, 90))
    image, _ = coding.decode(tiny_model, container)
    disturb(monkeypatch, 3e-11)
    other_image, decoded = coding.decode(tiny_model, container)
    assert not np.array_equal(encoded.scale, decoded.scale)
    assert np.array_equal(encoded.latent_hat, decoded.latent_hat)
    assert np.array_equal(image, other_image)


def test_a_machine_that_decodes_other_symbols_raises(tiny_model, monkeypatch):
    container, _ = coding.encode(tiny_model, blocks(200, 90))
    disturb(monkeypatch, 1e-3)
    with pytest.raises(UserError, match=r"x\.jxc is undamaged but decodes differently"):
        coding.decode(tiny_model, container, name="x.jxc")


@pytest.mark.fast
def test_symbols_that_differ_from_the_encoder_are_refused(tiny_model):
    container, _ = coding.encode(tiny_model, blocks(17, 33))
    for other in (
        {"symbols_checksum": container.symbols_checksum ^ 1},
        {"y_payload": b""},
        {"z_payload": container.z_payload[:-1]},
        {"y_payload": bytes(len(container.y_payload))},
        {"offset": 128},
    ):
        with pytest.raises(UserError, match="decodes differently on this device"):
            coding.decode(tiny_model, dataclasses.replace(container, **other))


@pytest.mark.fast
def test_a_file_of_another_model_is_refused_with_both_names(tiny_model):
    other = dataclasses.replace(tiny_model, median=tiny_model.median + 1)
    data = jaxcorr.compress(blocks(17, 33), other)
    first, second = other.fingerprint.hex(), tiny_model.fingerprint.hex()
    message = rf"the file was made with model {first}, not with {second}: give that"
    with pytest.raises(UserError, match=message):
        jaxcorr.decompress(data, tiny_model)


def test_fast_arithmetic_is_stored_in_the_file_and_decodes_on_the_same_machine(
    tiny_model,
):
    image = blocks(200, 90)
    container, encoded = coding.encode(tiny_model, image, arithmetic=Arithmetic.FAST)
    data = jaxcorr.compress(image, tiny_model, fast=True)
    assert data == container.to_bytes()
    read = Container.from_bytes(data, "photo.jxc")
    assert read.arithmetic == Arithmetic.FAST
    _, decoded = coding.decode(tiny_model, read)
    assert np.array_equal(encoded.latent_hat, decoded.latent_hat)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("transforms/analysis/layers/6/bias", "latents that are not finite"),
        (f"{LAST_HYPER}/bias", "predicts values that are not finite"),
    ],
)
def test_a_model_that_is_not_finite_is_refused(tiny_model, name, message):
    broken = np.full_like(tiny_model.parameters[name], np.nan)
    model = changed(tiny_model, **{name: broken})
    with pytest.raises(UserError, match=message):
        coding.encode(model, blocks(17, 33))


def test_a_header_with_a_huge_image_is_refused(tiny_model):
    container, _ = coding.encode(tiny_model, blocks(17, 33))
    for size in ({"width": 2**32 - 1}, {"width": 2**15, "height": 2**15}):
        with pytest.raises(UserError, match=r"x \d+ pixels is too large"):
            coding.decode(tiny_model, dataclasses.replace(container, **size))


@pytest.mark.fast
def test_canvas_sides_are_the_documented_ones():
    sides = sorted({canvas_side(pixels) for pixels in range(1, 4097)})
    to_1024 = [128, 256, 384, 512, 640, 768, 896, 1024]
    assert sides == [*to_1024, 1280, 1536, 1792, 2048, 2560, 3072, 3584, 4096]
    for pixels in range(1, 4097):
        smallest = min(side for side in sides if side >= pixels)
        assert canvas_side(pixels) == smallest


def test_images_of_many_sizes_compile_one_program_per_canvas_size(tiny_model):
    programs: list[Any] = [
        networks.analyze,
        networks.analyze_latents,
        networks.predict_features,
        networks.synthesize,
    ]
    for program in programs:
        program.clear_cache()
    sizes = [(height, width) for height in (20, 77, 128, 140) for width in (50, 111)]
    for size in sizes:
        jaxcorr.decompress(jaxcorr.compress(blocks(*size), tiny_model), tiny_model)
    assert [program._cache_size() for program in programs] == [2, 2, 2, 2]


@pytest.mark.fast
@pytest.mark.parametrize("arithmetic", Arithmetic)
def test_features_are_float64_unless_coding_is_fast(tiny_model, arithmetic):
    expected = {Arithmetic.PORTABLE: np.float64, Arithmetic.FAST: np.float32}
    with networks.coding_arithmetic(arithmetic) as dtype:
        side = jnp.ones((1, 2, 2, 8), dtype)
        features = networks.predict_features(tiny_model.shared_codec, side)
    assert features.dtype == expected[arithmetic]


def test_coding_does_not_change_the_default_precision_of_jax(tiny_model):
    jaxcorr.compress(blocks(17, 33), tiny_model)
    assert jnp.zeros(1).dtype == np.float32
