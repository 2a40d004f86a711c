"""The example for TensorFlow Compression trains, and its range coder is exact.

`JAXCORR_TFC_PYTHON` names a Python that has tensorflow-compression, and jaxcorr by
`pip install --no-deps`.
"""

import os
import re
import subprocess

import numpy as np
import pytest
from PIL import Image
from scipy import special
from support.paths import ROOT

from jaxcorr.correlation import correlation_loss, normalize
from jaxcorr.data import built_in

PYTHON = os.environ.get("JAXCORR_TFC_PYTHON")
EXAMPLE = ROOT / "examples" / "tfc_hyperprior.py"
TRAINED_ON = ("astronaut.png", "motorcycle_left.png", "rocket.jpg")
ALPHAS = ("0", "1")
ARGUMENTS = ("latent", "mean", "scale")

pytestmark = pytest.mark.skipif(
    PYTHON is None, reason="JAXCORR_TFC_PYTHON names no TensorFlow Compression"
)


def run(*arguments):
    # Uses the jaxcorr that is installed there, not the one beside this test.
    environment = {name: x for name, x in os.environ.items() if name != "PYTHONPATH"}
    return subprocess.run(
        [str(PYTHON), EXAMPLE, *map(str, arguments)],
        env=environment,
        capture_output=True,
        text=True,
    )


@pytest.fixture(scope="module")
def photographs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("photographs")
    images = built_in.BuiltInPhotographs(TRAINED_ON + built_in.HELD_OUT, crop_size=128)
    for index in range(len(images)):
        Image.fromarray(images[index]).save(folder / f"{index}.png")
    return folder


@pytest.fixture(scope="module")
def trained(photographs, tmp_path_factory):
    """Number of coded pixels; by α, the printed row and the dumped latents."""
    dump = tmp_path_factory.mktemp("dump") / "latents.npz"
    sizes = "--steps=40 --crop=128 --batch=2 --width=8 --channels=8 --held-out=2"
    done = run(photographs, *sizes.split(), f"--dump={dump}", "--alpha", *ALPHAS)
    assert done.returncode == 0, done.stderr
    print(done.stdout)
    first, header, *lines = done.stdout.splitlines()
    names = re.split(" {2,}", header)
    rows = [dict(zip(names, map(float, x.split()), strict=True)) for x in lines]
    with np.load(dump) as arrays:
        latents = {
            alpha: [
                {name: arrays[f"{alpha}/{k}/{name}"] for name in ARGUMENTS}
                for k in range(2)
            ]
            for alpha in ALPHAS
        }
    return int(first.split()[-2]), dict(zip(ALPHAS, rows, strict=True)), latents


def test_pixels_of_held_out_images_count_no_padding(trained):
    pixels, _, _ = trained
    assert pixels == (256 * 448) + (384 * 576)  # chelsea.png and coffee.png


def test_the_loss_lowers_the_correlation(trained):
    _, rows, _ = trained
    assert [row["alpha"] for row in rows.values()] == [0, 1]
    assert rows["1"]["correlation"] < 0.5 * rows["0"]["correlation"]


@pytest.mark.parametrize("alpha", ALPHAS)
def test_range_coder_decodes_the_latents_of_every_photograph(trained, alpha):
    assert trained[1][alpha]["same"] == 2


@pytest.mark.parametrize("alpha", ALPHAS)
@pytest.mark.parametrize("part", ["y", "z"])
def test_real_bytes_are_close_to_the_estimate(trained, alpha, part):
    pixels, rows, _ = trained
    estimate = rows[alpha][f"{part} bpp"] * pixels / 8
    assert rows[alpha][f"{part} bytes"] == pytest.approx(estimate, rel=0.05)


@pytest.mark.parametrize("alpha", ALPHAS)
def test_correlation_is_that_of_jax(trained, alpha):
    _, rows, latents = trained
    losses = [correlation_loss(**arrays) for arrays in latents[alpha]]
    squares = [np.mean(normalize(**arrays) ** 2) for arrays in latents[alpha]]
    assert rows[alpha]["correlation"] == pytest.approx(np.mean(losses), abs=1e-5)
    assert rows[alpha]["squared"] == pytest.approx(np.mean(squares), abs=1e-4)


@pytest.mark.parametrize("alpha", ALPHAS)
def test_the_loss_sees_the_means_and_scales_that_code_the_latents(trained, alpha):
    pixels, rows, latents = trained
    bits = sum(gaussian_bits(**arrays) for arrays in latents[alpha])
    assert bits / pixels == pytest.approx(rows[alpha]["y bpp"], abs=1e-4)


def gaussian_bits(latent, mean, scale):
    """Computes the bits of rounded latents by the definition."""
    scale = np.maximum(scale, 0.11).astype(float)
    distance = np.abs(np.rint(latent - mean))
    # In the lower tail, where the difference of two probabilities keeps its digits.
    upper, lower = (special.log_ndtr((x - distance) / scale) for x in (0.5, -0.5))
    return -np.sum(upper + np.log1p(-np.exp(lower - upper))) / np.log(2)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["{folder}/none"], "No such file or directory"),
        (["{folder}", "--crop=100"], "--crop must be 128, 192, 256, ..., but is 100"),
        (["{folder}", "--held-out=9"], "--held-out must be from 1 to 4"),
    ],
    ids=["folder", "crop", "held out"],
)
def test_a_user_error_ends_in_one_line(photographs, arguments, message):
    done = run(*(argument.format(folder=photographs) for argument in arguments))
    assert done.returncode == 2
    assert message in done.stderr.splitlines()[-1]
    assert not done.stdout
