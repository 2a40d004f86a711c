"""The coded bytes do not depend on the canvas of the compiled programs."""

import itertools

import numpy as np
import pytest
from support import codecs

from jaxcorr.bitstream import coding, networks, planes

HEIGHT, WIDTH = 50, 100
"""Padded to multiples of 64, the image has 64 x 128 pixels."""
CANVASES = {
    "the padded image": {HEIGHT: 64, WIDTH: 128},
    "as in files": {HEIGHT: 128, WIDTH: 128},
    "larger": {HEIGHT: 192, WIDTH: 256},
}
QUICK = [
    ("minnen", "checkerboard"),
    ("minnen", "autoregressive"),
    ("cheng", "channelwise"),
]
COMBINATIONS = [
    pytest.param(pair, marks=[] if pair in QUICK else pytest.mark.slow)
    for pair in itertools.product(codecs.TRANSFORMS, codecs.CONTEXTS)
]


def code(monkeypatch, model, sides, version=2):
    """Returns the latents and the picture of an image that is coded on a canvas."""
    monkeypatch.setattr(planes, "canvas_side", sides.__getitem__)
    image = codecs.blocks(HEIGHT, WIDTH)
    container, latents = coding.encode(model, image, version=version)
    picture, decoded = coding.decode(model, container)
    np.testing.assert_array_equal(decoded.latent_hat, latents.latent_hat)
    return latents, picture.astype(int)


@pytest.fixture
def analyses(monkeypatch):
    """Lets each encoding round the y and z of the first; returns those of all.

    Between canvases they differ in the last digits, so a few might round apart.
    """
    found = {"analyze": [], "analyze_latents": []}

    def replay(name, rows, columns):
        network = getattr(networks, name)

        def analyze_as_before(codec, array, region):
            output = np.array(network(codec, array, region))
            found[name].append(output[:, :rows, :columns].copy())
            output[:, :rows, :columns] = found[name][0]
            return output

        monkeypatch.setattr(networks, name, analyze_as_before)

    replay("analyze", 4, 8)
    replay("analyze_latents", 1, 2)
    return found


@pytest.mark.parametrize("combination", COMBINATIONS, ids="-".join)
def test_symbols_and_pictures_are_the_same_on_every_canvas(
    monkeypatch, analyses, combination
):
    model = codecs.make_combination(*combination)
    first, *others = (code(monkeypatch, model, x) for x in CANVASES.values())
    for latents, picture in others:
        for name in ("side_symbols", "symbols", "latent_hat"):
            assert np.array_equal(getattr(latents, name), getattr(first[0], name)), name
        assert np.abs(picture - first[1]).max() <= 1
    assert np.unique(first[0].symbols).size > 4 and first[1].std() > 1
    for expected, *others in analyses.values():
        scale = np.abs(expected).max()
        for array in others:
            np.testing.assert_allclose(array, expected, rtol=0, atol=1e-5 * scale)


def test_files_of_version_1_depend_on_the_canvas(monkeypatch, tiny_model):
    first, *others = (
        code(monkeypatch, tiny_model, x, version=1) for x in CANVASES.values()
    )
    for latents, picture in others:
        assert not np.array_equal(latents.symbols, first[0].symbols)
        assert np.abs(picture - first[1]).max() > 4
