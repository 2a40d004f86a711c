"""Files decode with other versions of Python, JAX and XLA."""

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
from jaxcorr.codec import CodecConfig
from jaxcorr.transforms.minnen import Minnen

OTHER = os.environ.get("JAXCORR_OTHER_PYTHON")
PHOTOGRAPH = Path(skimage.__file__).parent / "data" / "chelsea.png"
ACTIONS = ("encode", "decode")

pytestmark = pytest.mark.skipif(
    OTHER is None, reason="JAXCORR_OTHER_PYTHON does not name a Python with jaxcorr"
)


SWIN = CodecConfig(transforms=codecs.TRANSFORMS["swin"])
CODECS = {"swin": (SWIN, "swin")} | {
    context: (
        CodecConfig(
            transforms=Minnen(width=64, channels=96), context=codecs.CONTEXTS[context]
        ),
        "minnen",
    )
    for context in codecs.CONTEXTS
}
"""Every context model at a realistic width, and Swin hyper-transforms."""


@pytest.fixture(scope="module", params=CODECS)
def model_path(request, tmp_path_factory):
    """A random codec."""
    settings, kind = CODECS[request.param]
    folder = tmp_path_factory.mktemp("model") / request.param
    model = codecs.make_random_model(settings, codecs.GAINS[kind], prediction_gain=1.0)
    saved_model.write_model(folder, model)
    return folder


def run(python, action, *arguments):
    script = SCRIPTS / "portable.py"
    process = subprocess.run(
        [python, script, action, *map(str, arguments)],
        env=os.environ | {"JAX_PLATFORMS": "cpu", "XLA_FLAGS": ""},
        capture_output=True,
        text=True,
    )
    assert process.returncode == 0, process.stderr


@pytest.mark.parametrize(
    ("encoder", "decoder"),
    [(sys.executable, OTHER), (OTHER, sys.executable)],
    ids=["to the other", "from the other"],
)
def test_files_decode_to_the_same_latents_in_another_environment(
    model_path, encoder, decoder, tmp_path
):
    file = tmp_path / "photo.jxc"
    for python, action in zip((encoder, decoder), ACTIONS, strict=True):
        run(python, action, model_path, PHOTOGRAPH, file, tmp_path / f"{action}d.npz")
    encoded, decoded = (dict(np.load(tmp_path / f"{x}d.npz")) for x in ACTIONS)
    for name in ("side_symbols", "symbols", "latent_hat"):
        assert np.array_equal(encoded[name], decoded[name]), name
        assert np.unique(encoded[name]).size > 4
    assert np.unique(ReproducibleGrid().classes(encoded["scale"])).size > 8
    for name in ("scale", "fast_scale"):
        scales = encoded[name], decoded[name]
        error = np.abs(np.subtract(*scales)).max()
        flipped = np.sum(np.not_equal(*map(ReproducibleGrid().classes, scales)))
        print(f"{name}: largest difference {error:.1e}, {flipped} classes differ")
