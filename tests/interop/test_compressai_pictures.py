"""Files decode to the pictures of CompressAI, whatever canvas an image lies on."""

import functools

import numpy as np
import pytest
from references.latent_steps import ARCHITECTURES, with_finer_latents
from references.synthetic import waves
from references.weights import state_of
from support.paths import REFERENCES

from jaxcorr.bitstream import coding
from jaxcorr.interop import compressai

SIZES = [(256, 192), (320, 192), (500, 333)]
"""Widths and heights: their canvases are 256x256, 384x256 and 512x384."""


@functools.cache
def finer_model(architecture):
    """The model with finer latents, since coding rounds means to 1/64."""
    state = with_finer_latents(state_of(architecture), architecture)
    return compressai.convert(state, architecture)


def levels_between(architecture, width, height):
    """Returns the distance of pixels from those of CompressAI, in 8-bit levels."""
    model = finer_model(architecture)
    container, latents = coding.encode(model, waves(height, width))
    assert np.unique(latents.symbols).size > 50
    assert len(container.to_bytes()) < width * height / 8
    decoded = coding.reconstruct(model, latents, height, width)[::3, ::3]
    with np.load(REFERENCES / "compressai_pictures.npz") as pictures:
        expected = pictures[f"{architecture}/{width}x{height}"]
    assert expected.std() > 20
    return decoded.astype(np.float64) - expected


@pytest.mark.parametrize(("width", "height"), SIZES)
def test_pictures_are_those_of_compressai(width, height):
    levels = levels_between("mbt2018-mean", width, height)
    assert np.mean(np.abs(levels).max(axis=-1) <= 1) >= 0.995


@pytest.mark.parametrize(("width", "height"), SIZES)
@pytest.mark.parametrize("architecture", ARCHITECTURES[1:])
def test_pictures_of_autoregressive_models_are_near_those_of_compressai(
    architecture, width, height
):
    """Means that are rounded to 1/64 lead the recursion a little elsewhere."""
    levels = levels_between(architecture, width, height)
    assert 10 * np.log10(255**2 / np.mean(levels**2)) >= 45
