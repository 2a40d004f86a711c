import json
import sys
from pathlib import Path

import pytest
from PIL import Image
from support.codecs import blocks

from jaxcorr.bitstream import compression

pytestmark = pytest.mark.fast


@pytest.fixture
def photo(tmp_path):
    Image.fromarray(blocks(17, 33)[..., 0]).save(tmp_path / "gray.png")
    return "gray.png"


@pytest.fixture
def coded(tiny_model, tmp_path):
    (tmp_path / "a.jxc").write_bytes(compression.compress(blocks(17, 33), tiny_model))
    return "a.jxc"


@pytest.mark.parametrize("before", [True, False])
def test_a_quiet_command_prints_errors_only(jaxcorr, model_path, photo, before):
    command = ["compress", photo, "missing.png", "-m", model_path]
    command = ["--quiet", *command] if before else [*command, "--quiet"]
    status, out, err = jaxcorr(*command)
    assert (status, out) == (2, "")
    assert err.startswith("jaxcorr: error: missing.png") and err.count("\n") == 1
    assert Path("gray.jxc").exists()


def test_a_quiet_command_still_writes_requested_results(jaxcorr, coded):
    assert jaxcorr("info", coded, "--quiet") == (0, "", "")
    status, out, err = jaxcorr("info", coded, "--quiet", "--json", "-")
    assert (status, err) == (0, "")
    assert json.loads(out)[0]["file"] == "a.jxc"
    assert sys.stdout.writable() and jaxcorr("info", coded)[1]


def test_a_verbose_command_prints_parts_model_versions_and_device(
    jaxcorr, model_path, tiny_model, photo
):
    status, _, err = jaxcorr("--verbose", "compress", photo, "-m", model_path)
    assert status == 0
    lines = err.splitlines()
    assert any("jax 0." in line and "Python 3." in line for line in lines)
    assert any(line.startswith("jaxcorr: device ") for line in lines)
    assert f"jaxcorr: model {model_path}: {tiny_model.fingerprint.hex()}" in lines
    for part in ("start JAX", "read the model", "read the image", "encode"):
        assert any(line.startswith(f"jaxcorr: {part}: ") for line in lines), part


def test_a_verbose_command_prints_the_traceback_of_an_error(jaxcorr):
    _, _, err = jaxcorr("info", "missing.jxc", "--verbose")
    assert err.count("\n") == 1  # One bad file of several ends no command.
    status, _, err = jaxcorr("--verbose", "info")
    assert status == 2
    lines = err.splitlines()
    assert lines[0].startswith("Traceback")
    assert lines[-1] == "jaxcorr: error: no input file is given"


def test_quiet_and_verbose_exclude_each_other(jaxcorr):
    status, out, err = jaxcorr("info", "--quiet", "--verbose")
    assert (status, out) == (2, "")
    assert err == "jaxcorr: error: give either --quiet or --verbose\n"
