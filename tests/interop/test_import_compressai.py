import os
import pickle
import re
import sys
import zipfile
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from references.weights import ARCHITECTURES, imported, photograph, reference, state_of
from support.paths import REFERENCES

from jaxcorr import run_directory
from jaxcorr.bitstream import coding
from jaxcorr.errors import UserError
from jaxcorr.interop import compressai, pytorch_checkpoint

pytestmark = pytest.mark.fast

MEAN = "mbt2018-mean"


def renamed(state, *replacements):
    """Returns the state dict with patterns in its names replaced."""
    arrays = {}
    for name, array in state.items():
        for pattern, new in replacements:
            name = re.sub(pattern, new, name)
        arrays[name] = array
    return arrays


VARIANTS = {
    "trained on several devices": [(r"^", "module.")],
    "priors as single parameters": [
        (r"bottleneck\.matrices\.(\d)", r"bottleneck._matrix\1"),
        (r"bottleneck\.biases\.(\d)", r"bottleneck._bias\1"),
        (r"bottleneck\.factors\.(\d)", r"bottleneck._factor\1"),
    ],
    "priors as private lists": [
        (r"bottleneck\.(matrices|biases|factors)\.(\d)", r"bottleneck._\1.\2")
    ],
    "skips as downsampling": [(r"\.skip\.", ".downsample.")],
}


@pytest.mark.parametrize("variant", VARIANTS)
def test_names_of_earlier_versions_are_understood(variant):
    state = state_of("cheng2020-anchor")
    other = renamed(state, *VARIANTS[variant])
    assert set(other) != set(state)
    model = compressai.convert(other, "cheng2020-anchor")
    assert model.fingerprint == imported("cheng2020-anchor").fingerprint


def test_buffers_change_nothing():
    state = state_of(MEAN)
    parameters = {name: state[name] for name in compressai.tensor_names(MEAN)}
    sevens = np.full((64, 100), 7, np.float32)
    buffers = {name: sevens for name in state if name not in parameters}
    assert "entropy_bottleneck._quantized_cdf" in buffers and len(buffers) > 30
    for given in (parameters, parameters | buffers):
        model = compressai.convert(given, MEAN)
        assert model.fingerprint == imported(MEAN).fingerprint


def test_masked_taps_change_nothing():
    state = state_of("mbt2018")
    masked = state.pop("context_prediction.mask") == 0
    state["context_prediction.weight"] = np.where(
        masked, np.float32(9), state["context_prediction.weight"]
    )
    model = compressai.convert(state, "mbt2018")
    assert model.fingerprint == imported("mbt2018").fingerprint


def without(*names):
    return lambda state: {k: v for k, v in state.items() if k not in names}


def changed(name, change):
    return lambda state: state | {name: change(state[name])}


REFUSED = {
    "lacks h_a.2.bias, which mbt2018-mean has": (MEAN, without("h_a.2.bias")),
    "lacks g_a.6.weight, which": (MEAN, without("g_a.6.weight")),
    "lacks g_s.0.bias, g_s.0.weight, g_s.1.beta and 11 more tensors, which": (
        MEAN,
        lambda state: {k: v for k, v in state.items() if not k.startswith("g_s.")},
    ),
    "has g_a.7.weight, which mbt2018-mean lacks": (
        MEAN,
        lambda state: state | {"g_a.7.weight": state["g_a.6.weight"]},
    ),
    "lacks entropy_bottleneck.quantiles, which": (
        MEAN,
        without("entropy_bottleneck.quantiles"),
    ),
    "it looks like none of mbt2018-mean, mbt2018, cheng2020-anchor, cheng2020-attn": (
        MEAN,
        lambda state: {"layer1.0.conv1.weight": state["g_a.0.weight"]},
    ),
    "h_s.2.weight must have shape (12, 18, 5, 5) in mbt2018-mean with 8 hidden and "
    "12 latent channels, but has (12, 12, 5, 5)": (
        MEAN,
        changed("h_s.2.weight", lambda array: array[:, :12]),
    ),
    "entropy_parameters.0.weight must have shape (40, 48, 1, 1) in mbt2018": (
        "mbt2018",
        changed("entropy_parameters.0.weight", lambda array: array[:, :24]),
    ),
    "entropy_bottleneck.quantiles must have shape (8, 1, 3)": (
        MEAN,
        changed("entropy_bottleneck.quantiles", lambda array: array[..., :1]),
    ),
    "must have shape (2, 3, 1) in mbt2018-mean with 2 hidden": (
        MEAN,
        changed("g_a.0.weight", lambda array: array.max()),
    ),
    "g_a.1.gamma must be finite, but is not": (
        MEAN,
        changed("g_a.1.gamma", lambda array: array * np.float32(np.nan)),
    ),
    "the state dict has sizes that mbt2018-mean cannot have: Minnen.channels must "
    "be even and at least 2, but is 11": (
        MEAN,
        changed("g_a.6.weight", lambda array: array[:11]),
    ),
    "context_prediction.mask must be 1 at the 12 latents before the center": (
        "mbt2018",
        changed("context_prediction.mask", lambda mask: mask[..., ::-1]),
    ),
}


@pytest.mark.parametrize("message", REFUSED)
def test_a_state_dict_of_another_model_is_refused(message):
    architecture, change = REFUSED[message]
    with pytest.raises(UserError, match=re.escape(message)):
        compressai.convert(change(state_of(architecture)), architecture)


@pytest.mark.parametrize("given", ARCHITECTURES)
def test_a_wrong_architecture_is_refused_with_the_right_one(given):
    state = state_of(given)
    for named in set(ARCHITECTURES) - {given}:
        message = f"weights.pth (lacks|has) .* {named} .*; it looks like {given}$"
        with pytest.raises(UserError, match=message):
            compressai.convert(state, named, name="weights.pth")


@pytest.mark.parametrize("architecture", [MEAN, "cheng2020-attn"])
def test_an_imported_model_encodes_and_decodes_a_photograph(architecture):
    model = imported(architecture)
    container, latents = coding.encode(model, photograph())
    decoded, again = coding.decode(model, container)
    np.testing.assert_array_equal(again.latent_hat, latents.latent_hat)
    expected = np.clip(reference(architecture)["reconstruction"][0], 0, 1) * 255
    # Not equal: in files the image is on a canvas, and predicted means are rounded.
    assert np.abs(decoded - expected).mean() < 0.5 * expected.std()


@pytest.fixture
def command():
    """The command that imports a checkpoint, which needs no torch."""
    weights = REFERENCES / f"compressai-{MEAN}.pth.tar"
    return "import-compressai", weights, "--architecture", MEAN, "-o"


@pytest.fixture
def without_torch(monkeypatch):
    """Makes importing torch fail while a file is read; tyro imports torch too."""
    read_checkpoint = pytorch_checkpoint.read_checkpoint

    def read(path):
        with monkeypatch.context() as patch:
            patch.setitem(sys.modules, "torch", None)
            return read_checkpoint(path)

    monkeypatch.setattr(pytorch_checkpoint, "read_checkpoint", read)


def test_command_writes_a_model_folder_without_torch(jaxcorr, command, without_torch):
    status, out, err = jaxcorr(*command, "model")
    model = run_directory.load("model")
    assert (status, err) == (0, "")
    count = sum(array.size for array in imported(MEAN).parameters.values())
    assert out == (
        f"model: model {model.fingerprint.hex()}, {MEAN}, 8 hidden and 12 latent "
        f"channels, {count:,} parameters\n"
    )
    assert model.fingerprint == imported(MEAN).fingerprint
    known = {"source": "CompressAI", "architecture": MEAN}
    assert model.provenance.to_json() == known


def test_an_imported_model_is_packed_and_evaluated(jaxcorr, command):
    assert jaxcorr(*command, "model")[0] == 0
    model = run_directory.load("model")
    status, out, _ = jaxcorr("pack", "model", "-o", "packed")
    assert (status, out) == (0, f"packed: model {model.fingerprint.hex()}\n")
    Path("photographs").mkdir()
    Image.fromarray(photograph()).save("photographs/astronaut.png")
    status, out, err = jaxcorr("evaluate", "photographs", "-m", "packed")
    assert status == 0 and "astronaut.png" in out, err


def test_only_a_model_folder_is_replaced(jaxcorr, command):
    Path("home").mkdir()
    for folder, message in {
        "home": "home exists and is not a model folder",
        "model": "model exists; give --force to replace it, or another -o",
    }.items():
        if folder == "model":
            assert jaxcorr(*command, folder)[0] == 0
        status, out, err = jaxcorr(*command, folder)
        assert (status, out, err) == (2, "", f"jaxcorr: error: {message}\n")
    assert jaxcorr(*command, "model", "--force")[0] == 0
    assert sorted(os.listdir()) == ["home", "model"]


def test_an_unknown_architecture_is_refused(jaxcorr):
    command = "import-compressai", "a.pth", "--architecture", "mbt2019", "-o", "model"
    status, out, err = jaxcorr(*command)
    assert (status, out) == (2, "") and "mbt2018-mean" in err
    assert not Path("model").exists()


def test_an_older_file_needs_torch_and_names_the_extra(jaxcorr, without_torch):
    path = REFERENCES / "pytorch_legacy.pth"
    command = "import-compressai", path, "--architecture", MEAN, "-o", "model"
    message = (
        f"{path}, in the format of torch before 1.6, needs torch, which is not "
        "installed: pip install 'jaxcorr[compressai]'"
    )
    assert jaxcorr(*command) == (2, "", f"jaxcorr: error: {message}\n")


@pytest.fixture
def torch():
    return pytest.importorskip("torch", reason="the extra `compressai` is missing")


@pytest.mark.parametrize("key", [None, "state_dict", "model_state_dict", "model"])
def test_torch_files_are_read_alone_or_in_a_checkpoint(torch, tmp_path, key):
    state = {name: torch.tensor(array) for name, array in state_of(MEAN).items()}
    state["entropy_bottleneck._offset"] = torch.arange(8, dtype=torch.int32)
    state["g_a.0.weight"] = torch.nn.Parameter(state["g_a.0.weight"])
    content = state if key is None else {"epoch": 3, key: state, "loss": torch.ones(())}
    torch.save(content, tmp_path / "weights.pth.tar")
    tensors = compressai.read_state(tmp_path / "weights.pth.tar")
    assert compressai.convert(tensors, MEAN).fingerprint == imported(MEAN).fingerprint


def test_command_reads_a_torch_file(torch, jaxcorr):
    state = {name: torch.tensor(array) for name, array in state_of(MEAN).items()}
    torch.save(state, "weights.pth")
    command = "import-compressai", "weights.pth", "--architecture"
    status, out, err = jaxcorr(*command, MEAN, "-o", "model")
    assert (status, err) == (0, "") and imported(MEAN).fingerprint.hex() in out
    status, out, err = jaxcorr(*command, "mbt2018", "-o", "other")
    assert (status, out) == (2, "") and err.count("\n") == 1
    assert "weights.pth lacks context_prediction.bias" in err


def test_a_file_without_a_state_dict_is_refused_in_one_line(jaxcorr):
    Path("text.pth").write_text("hello")
    Path("empty.pth").touch()
    Path("folder.pth").mkdir()
    contents = {"list": [1, 2], "numbers": {"state_dict": {"x": 3}}, "code": Fraction}
    for name, content in contents.items():
        with zipfile.ZipFile(f"{name}.pth", "w") as file:
            file.writestr(f"{name}/data.pkl", pickle.dumps(content, protocol=2))
    Path("complex.pth").symlink_to(REFERENCES / "pytorch_checkpoint.pth")
    for name, message in {
        "text.pth": "text.pth cannot be read: torch did not write it, or it is damaged",
        "empty.pth": "empty.pth cannot be read: torch did not write it, or",
        "code.pth": "code.pth contains pickled code (fractions.Fraction), which is not",
        "missing.pth": "missing.pth cannot be read: No such file or directory",
        "folder.pth": "folder.pth cannot be read: Is a directory",
        "list.pth": "list.pth holds no state dict: it must map names to real tensors",
        "complex.pth": "complex.pth holds no state dict: it must map names to real",
        "numbers.pth": "numbers.pth holds no state dict",
    }.items():
        command = "import-compressai", name, "--architecture", MEAN, "-o", "model"
        status, out, err = jaxcorr(*command)
        assert (status, out, err.count("\n")) == (2, "", 1)
        assert err.startswith(f"jaxcorr: error: {message}")


def test_finite_values_without_probabilities_are_refused():  # Found by fuzzing.
    state = {
        name: np.full_like(x, -7.3e12) if "matrices.3" in name else x
        for name, x in state_of(MEAN).items()
    }
    with pytest.raises(UserError, match="give no probabilities"):
        compressai.convert(state, MEAN)
