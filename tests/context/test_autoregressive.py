from typing import Any

import numpy as np
import pytest
from support import codecs
from support.context_models import make_context

from jaxcorr.bitstream import coding, networks
from jaxcorr.bitstream.container import Arithmetic
from jaxcorr.bitstream.grid import ReproducibleGrid
from jaxcorr.context import autoregressive
from jaxcorr.context.autoregressive import CAUSAL_TAPS, Autoregressive, wavefront
from jaxcorr.transforms.canvas import canvas_side, place_on_canvas


@pytest.fixture(scope="module")
def model():
    return codecs.make_combination("minnen", "autoregressive")


def encoder_inputs(model, image, side_symbols):
    """Returns the encoder's latents, and its features on the canvas."""
    y = networks.analyze(model.shared_codec, place_on_canvas(image))
    with networks.coding_arithmetic(Arithmetic.PORTABLE) as dtype:
        rows, columns = (canvas_side(side) // 64 for side in image.shape[:2])
        z_hat = np.zeros((1, rows, columns, model.median.size), dtype)
        coded = side_symbols + model.median.astype(dtype)
        z_hat[0, : coded.shape[0], : coded.shape[1]] = coded
        features = networks.predict_features(model.shared_codec, z_hat)
    return np.asarray(y[0], np.float64), np.asarray(features[0])


def raster_scan(parameters, features, y, grid):
    """Codes latents one by one: predicts from earlier ones, rounds mean and latent.

    Minnen et al., NeurIPS 2018, table 1, with the first 12 of 25 taps in raster order.
    """

    def weight(name):
        return parameters[f"context/{name}"].astype(np.float64)

    def leaky_relu(x):
        return np.where(x > 0, x, 0.01 * x)

    height, width, channels = y.shape
    symbols, means, scales, hat = (np.zeros(y.shape) for _ in range(4))
    for i in range(height):
        for j in range(width):
            neighbors = weight("neighbors/bias").copy()
            for tap in range(12):
                p, q = i + tap // 5 - 2, j + tap % 5 - 2
                if 0 <= p < height and 0 <= q < width:
                    kernel = weight("neighbors/kernel")[tap // 5, tap % 5]
                    neighbors += hat[p, q] @ kernel
            x = features[i, j] @ weight("network/features/kernel")
            x += weight("network/features/bias")
            x += neighbors @ weight("network/neighbors/kernel")
            x = leaky_relu(x) @ weight("network/middle/kernel")
            x = leaky_relu(x + weight("network/middle/bias"))
            x = x @ weight("network/last/kernel") + weight("network/last/bias")
            scales[i, j] = np.maximum(x[:channels], 0.11)
            means[i, j] = grid.round_means(x[channels:])
            symbols[i, j] = np.rint(y[i, j] - means[i, j])
            hat[i, j] = symbols[i, j] + means[i, j]
    return symbols, means, scales, hat


@pytest.mark.parametrize("size", [(90, 130), (16, 100), (100, 16), (1, 1)], ids=str)
def test_coding_equals_a_raster_scan_by_the_published_formulas(model, size):
    image = codecs.blocks(*size)
    container, encoded = coding.encode(model, image)
    y, features = encoder_inputs(model, image, encoded.side_symbols)
    rows, columns = (-(-side // 16) for side in size)
    grid = ReproducibleGrid(offset=container.offset)
    symbols, means, scales, hat = raster_scan(
        model.parameters, features, y[:rows, :columns], grid
    )
    np.testing.assert_array_equal(encoded.symbols, symbols)
    np.testing.assert_array_equal(encoded.mean, means)
    np.testing.assert_array_equal(encoded.latent_hat, hat)
    np.testing.assert_allclose(encoded.scale, scales, rtol=0, atol=1e-12)
    _, decoded = coding.decode(model, container)
    np.testing.assert_array_equal(decoded.latent_hat, hat)


def test_means_of_the_raster_scan_depend_on_earlier_latents(model):
    image = codecs.blocks(90, 130)
    _, encoded = coding.encode(model, image)
    y, features = encoder_inputs(model, image, encoded.side_symbols)
    name = "context/neighbors/kernel"
    parameters = {**model.parameters, name: 0 * model.parameters[name]}
    symbols_without_context, *_ = raster_scan(
        parameters, features, y[:6, :9], ReproducibleGrid()
    )
    assert np.mean(encoded.symbols != symbols_without_context) > 0.05
    assert np.unique(encoded.symbols).size >= 8


@pytest.mark.fast
@pytest.mark.parametrize("size", [(1, 1), (1, 5), (5, 1), (3, 2), (7, 5), (4, 12)])
def test_wavefronts_code_each_latent_once_after_the_latents_it_sees(size):
    height, width = size
    context = make_context(Autoregressive())
    passes = context.num_passes(height, width)
    assert passes == width + 3 * (height - 1)
    pass_of = np.full(size, -1)
    for index in range(passes):
        rows, columns = wavefront(index, height, width)
        assert np.all(pass_of[rows, columns] == -1)
        assert np.all(np.diff(rows) == 1) and np.all(np.diff(columns) == -3)
        pass_of[rows, columns] = index
    assert np.all(pass_of >= 0)
    for i, j in np.ndindex(size):
        for row, column in CAUSAL_TAPS:
            p, q = i + row, j + column
            if 0 <= p < height and 0 <= q < width:
                assert pass_of[p, q] < pass_of[i, j]


def test_images_on_equal_canvases_share_one_program_for_all_passes(model):
    programs: list[Any] = [autoregressive._predict, autoregressive._project]
    for program in programs:
        program.clear_cache()
    for size in [(90, 128), (17, 33), (128, 1)]:
        container, _ = coding.encode(model, codecs.blocks(*size))
        coding.decode(model, container)
        assert [program._cache_size() for program in programs] == [1, 1]
    coding.encode(model, codecs.blocks(90, 129))
    assert [program._cache_size() for program in programs] == [2, 2]
