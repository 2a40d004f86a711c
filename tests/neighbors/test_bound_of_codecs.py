"""The bound of codecs with every context model, and of imported weights."""

import numpy as np
import pytest
from references.weights import ARCHITECTURES, imported
from support import codecs
from support.codecs import blocks

from jaxcorr.neighbors import bound as bounds
from jaxcorr.neighbors import network

pytestmark = pytest.mark.slow

SIDE = 176
"""Side of images with latents at 121 positions."""


def measured(model, monkeypatch):
    """Returns the bound of a model, and the bits of the latents of each image."""
    monkeypatch.setattr(network, "STEPS", 2)
    outputs = model.analyze([blocks(SIDE, SIDE, seed) for seed in range(4)])
    arrays = (
        [getattr(o, name) for o in outputs] for name in ("latent", "mean", "scale")
    )
    bits = [float(output.latent_bits.sum()) for output in outputs]
    return bounds.bound(*arrays), bits


def has_errors(bound):
    values = [(saving.percent, saving.error) for saving in bound.savings]
    return np.isfinite(values).all() and min(error for _, error in values) > 0


@pytest.mark.parametrize("context", codecs.CONTEXTS)
def test_bits_are_those_of_the_codec_with_every_context_model(context, monkeypatch):
    model = codecs.make_combination("minnen", context)
    bound, bits = measured(model, monkeypatch)
    assert bound.image_bits == pytest.approx(bits, rel=1e-3)
    assert has_errors(bound)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_imported_weights_have_a_bound(architecture, monkeypatch):
    bound, _ = measured(imported(architecture), monkeypatch)
    assert has_errors(bound)
