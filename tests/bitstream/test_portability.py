"""Files decode with other versions of Python, JAX and XLA."""

import itertools
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import skimage
from support import codecs
from support.paths import SCRIPTS

from jaxcorr import saved_model
from jaxcorr.bitstream.grid import ReproducibleGrid

OTHERS = os.environ.get("JAXCORR_OTHER_PYTHONS")
PYTHONS = [sys.executable, *filter(None, (OTHERS or "").split(os.pathsep))]
ENVIRONMENTS = {Path(python).parents[1].name: python for python in PYTHONS}
PHOTOGRAPH = Path(skimage.__file__).parent / "data" / "chelsea.png"

pytestmark = pytest.mark.skipif(
    not OTHERS, reason="JAXCORR_OTHER_PYTHONS does not name Pythons with jaxcorr"
)


@pytest.fixture(scope="module", params=codecs.WIDE)
def model_path(request, tmp_path_factory):
    """A random codec."""
    folder = tmp_path_factory.mktemp("model") / request.param
    model = codecs.make_wide(request.param)
    saved_model.write_model(folder, model)
    return folder


@pytest.fixture(scope="module")
def encoded(model_path):
    """A file of each environment, and the latents of its encoder."""
    made = {}
    for name, python in ENVIRONMENTS.items():
        file = model_path.with_name(f"{name}.jxc")
        made[name] = file, model_path.with_name(f"{name}.npz")
        run(python, "encode", model_path, *made[name])
    return made


def run(python, action, model_path, *files):
    script = SCRIPTS / "portable.py"
    process = subprocess.run(
        [python, script, action, *map(str, (model_path, PHOTOGRAPH, *files))],
        env=os.environ | {"JAX_PLATFORMS": "cpu", "XLA_FLAGS": ""},
        capture_output=True,
        text=True,
    )
    assert process.returncode == 0, process.stderr


@pytest.mark.parametrize("decoder", ENVIRONMENTS)
def test_files_decode_to_the_same_latents_in_another_environment(
    model_path, encoded, decoder, tmp_path
):
    others = {name: made for name, made in encoded.items() if name != decoder}
    latents = {name: tmp_path / f"{name}.npz" for name in others}
    pairs = [(file, latents[name]) for name, (file, _) in others.items()]
    run(ENVIRONMENTS[decoder], "decode", model_path, *itertools.chain(*pairs))
    for name, (_, encoder_latents) in others.items():
        check_equal(np.load(encoder_latents), np.load(latents[name]))


def check_equal(encoded, decoded):
    for name in ("side_symbols", "symbols", "latent_hat"):
        assert np.array_equal(encoded[name], decoded[name]), name
        assert np.unique(encoded[name]).size > 4
    assert np.unique(ReproducibleGrid().classes(encoded["scale"])).size > 8
    for name in ("scale", "fast_scale"):
        scales = encoded[name], decoded[name]
        error = np.abs(np.subtract(*scales)).max()
        flipped = np.sum(np.not_equal(*map(ReproducibleGrid().classes, scales)))
        print(f"{name}: largest difference {error:.1e}, {flipped} classes differ")
