from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxcorr import codec
from jaxcorr.codec import CodecSettings
from jaxcorr.transforms.minnen import Minnen

# Written by `references/make_compressai.py`, which says with what.
REFERENCE = np.load(Path(__file__).parent / "references" / "compressai.npz")
SETTINGS = CodecSettings(transforms=Minnen(width=8, channels=12), likelihood_floor=1e-9)
TRANSFORMS = {
    "g_a": "analysis",
    "g_s": "synthesis",
    "h_a": "hyper_analysis",
    "h_s": "hyper_synthesis",
}
PRIOR = {"matrices": "matrices", "biases": "biases", "factors": "gates"}


def renamed(name, array):
    """Path and value here of one of CompressAI's weights."""
    module, *rest = name.split(".")
    if module == "entropy_bottleneck":
        kind, index = rest
        return f"prior/{PRIOR[kind]}/{index}", array if kind == "matrices" else array[
            ..., 0
        ]
    layer, kind = rest
    path = f"transforms/{TRANSFORMS[module]}/layers/{layer}"
    if kind == "weight":
        # Convolutions hold outputs first, transposed ones inputs; here both come last,
        # outputs after inputs.
        transposed = module.endswith("_s") and array.shape[-1] == 5
        axes = (2, 3, 0, 1) if transposed else (2, 3, 1, 0)
        return f"{path}/kernel", array.transpose(axes)
    if kind in ("beta", "gamma"):
        # Both hold roots. There a row of gamma is an output, here a column.
        return f"{path}/{kind}_root", array.T
    return f"{path}/{kind}", array


@pytest.fixture(scope="module")
def output():
    weights = {
        name.removeprefix("weights/"): REFERENCE[name]
        for name in REFERENCE.files
        if name.startswith("weights/")
    }
    median = weights.pop("entropy_bottleneck.quantiles")[:, 0, 1]
    parameters = dict(renamed(*item) for item in weights.items())
    shapes = jax.eval_shape(lambda: codec.initialize(SETTINGS, jax.random.key(0)))
    assert {name: array.shape for name, array in shapes.items()} == {
        name: array.shape for name, array in parameters.items()
    }
    image = jnp.asarray(REFERENCE["image"][None], jnp.float32) / 255

    @jax.jit
    def forward(parameters, image, median):
        return codec.with_parameters(SETTINGS, parameters)(image, median=median)

    return forward(parameters, image, median)


@pytest.mark.fast
@pytest.mark.parametrize("name", ["latent", "mean", "scale", "reconstruction"])
def test_codec_computes_what_compressai_does(output, name):
    found, expected = getattr(output, name), REFERENCE[name]
    if name == "scale":
        # There the bound is in the likelihood alone.
        expected = np.maximum(expected, 0.11)
    root_mean_square = np.sqrt(np.mean(expected**2))
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-4 * root_mean_square)


@pytest.mark.fast
@pytest.mark.parametrize("name", ["latent_bits", "side_bits"])
def test_bits_are_those_of_compressai(output, name):
    found, expected = getattr(output, name), REFERENCE[name]
    np.testing.assert_allclose(found.sum(), expected.sum(), rtol=1e-4)
    # There likelihoods are float32 differences, down to 1e-9, of numbers up to 1.
    np.testing.assert_allclose(
        jnp.exp2(-found), np.exp2(-expected), rtol=1e-3, atol=1e-6
    )


@pytest.mark.fast
def test_reference_is_not_trivial():
    scale, bits = REFERENCE["scale"], REFERENCE["latent_bits"]
    assert scale.min() < 0.11 < scale.max()
    assert REFERENCE["latent"].std() > 1
    assert np.isclose(bits.max(), 9 * np.log2(10))
    assert np.mean(bits < 20) > 0.5
