"""The choice of the range coder, and files that do not depend on it."""

import hashlib
import importlib.metadata
import os
import subprocess
import sys

import numpy as np
import pytest
from support import coded_streams
from support.coded_streams import IMPLEMENTATIONS
from support.paths import REFERENCES, SCRIPTS

import jaxcorr
from jaxcorr import images, saved_model
from jaxcorr.bitstream import coder_implementations, coding, interval_loops, range_coder
from jaxcorr.bitstream.container import Container
from jaxcorr.errors import UserError

SAVED = REFERENCES / "saved" / "models" / "minnen-checkerboard"
PHOTOGRAPH = REFERENCES / "astronaut.png"
LOCATOR = "UserProvidedCacheLocator"
VARIABLE = coder_implementations.VARIABLE


@pytest.fixture
def hide(monkeypatch):
    """Returns a function that makes modules impossible to import."""
    monkeypatch.delenv(VARIABLE, raising=False)
    interval_loops.compiled_loops.cache_clear()
    coded_streams.forget_choices()

    def block(*modules):
        for module in modules:
            monkeypatch.setitem(sys.modules, module, None)

    yield block
    monkeypatch.undo()
    interval_loops.compiled_loops.cache_clear()
    coded_streams.forget_choices()


@pytest.mark.fast
@pytest.mark.parametrize("name", IMPLEMENTATIONS)
def test_the_variable_names_the_implementation(name, monkeypatch):
    monkeypatch.setenv(VARIABLE, name)
    version = "" if name == "python" else f" {importlib.metadata.version(name)}"
    assert range_coder.implementation() == f"{name}{version}"


@pytest.mark.fast
def test_constriction_codes_where_it_is_installed(hide):
    pytest.importorskip("constriction")
    hide("numba")
    assert range_coder.implementation().startswith("constriction ")


@pytest.mark.fast
def test_numba_codes_where_constriction_is_missing(hide):
    pytest.importorskip("numba")
    hide("constriction")
    assert range_coder.implementation().startswith("numba ")


@pytest.mark.fast
def test_python_codes_where_both_are_missing(hide):
    hide("constriction", "numba")
    assert range_coder.implementation() == "python"


@pytest.mark.fast
def test_a_named_implementation_that_is_missing_is_refused(hide, monkeypatch):
    hide("numba")
    monkeypatch.setenv(VARIABLE, "numba")
    with pytest.raises(UserError, match="is numba, which cannot be imported"):
        range_coder.RangeEncoder()


@pytest.mark.fast
def test_an_unknown_implementation_is_refused(monkeypatch):
    monkeypatch.setenv(VARIABLE, "rust")
    with pytest.raises(UserError, match="constriction, numba or python, but is rust"):
        range_coder.implementation()


@pytest.mark.fast
@pytest.mark.parametrize("encoder", IMPLEMENTATIONS)
@pytest.mark.parametrize("decoder", IMPLEMENTATIONS)
def test_one_implementation_decodes_what_another_encodes(encoder, decoder, monkeypatch):
    calls = coded_streams.random_calls(3) + coded_streams.random_calls(4)
    monkeypatch.setenv(VARIABLE, encoder)
    data = coded_streams.encode(calls)
    monkeypatch.setenv(VARIABLE, decoder)
    decoded = coded_streams.decode(data, calls)
    assert decoded == [call.symbols.tolist() for call in calls]


@pytest.mark.fast
def test_numba_compiles_where_it_can_cache_nothing():
    pytest.importorskip("numba")
    program = (
        "from jaxcorr.bitstream import range_coder\n"
        "import support.coded_streams as streams\n"
        "calls = streams.random_calls(3)\n"
        "assert range_coder.implementation().startswith('numba')\n"
        "expected = [call.symbols.tolist() for call in calls]\n"
        "assert streams.decode(streams.encode(calls), calls) == expected\n"
    )
    # The only folder that Numba may use is one that nobody named.
    nowhere = {"NUMBA_CACHE_DIR": "", "NUMBA_CACHE_LOCATOR_CLASSES": LOCATOR}
    run(program, {VARIABLE: "numba"} | nowhere)


@pytest.mark.parametrize("name", IMPLEMENTATIONS)
def test_a_file_of_an_earlier_version_is_the_same(name, monkeypatch):
    data = (SAVED / "image.jxc").read_bytes()
    model = saved_model.read_model(SAVED)
    monkeypatch.setenv(VARIABLE, name)
    # The checksum in the file is that of the symbols of the encoder.
    pixels, latents = coding.decode(model, Container.from_bytes(data, "the file"))
    expected, _ = images.read_image(SAVED / "image.png")
    assert np.abs(pixels.astype(int) - expected).max() <= 1
    assert np.count_nonzero(latents.symbols)


def test_the_demo_writes_the_same_file_without_constriction(tmp_path, monkeypatch):
    pytest.importorskip("constriction")
    image = images.read_image(PHOTOGRAPH)[0][:192, :256]
    np.save(tmp_path / "image.npy", image)
    model = jaxcorr.load("demo")
    monkeypatch.setenv(VARIABLE, "constriction")
    data = jaxcorr.compress(image, model)
    decoded = jaxcorr.decompress(data, model)
    hidden = "import sys; sys.modules['constriction'] = sys.modules['numba'] = None\n"
    program = hidden + (SCRIPTS / "code_image.py").read_text()
    output = run(program, {VARIABLE: ""}, tmp_path)
    assert output.splitlines() == ["python", digest(data), digest(decoded.tobytes())]


def digest(data):
    return hashlib.sha256(data).hexdigest()


def run(program, environment, *arguments):
    """Runs a program in another process, with the modules of the tests."""
    path = os.pathsep.join(filter(None, sys.path))
    process = subprocess.run(
        [sys.executable, "-c", program, *map(str, arguments)],
        env=os.environ | {"PYTHONPATH": path} | environment,
        capture_output=True,
        text=True,
    )
    assert process.returncode == 0, process.stderr
    return process.stdout
