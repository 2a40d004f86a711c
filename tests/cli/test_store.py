"""`jaxcorr models add | list | remove | verify`, and files that find their model."""

import json
import shutil
from pathlib import Path

import pytest
from PIL import Image
from support.codecs import blocks

import jaxcorr as package
from jaxcorr import saved_model
from jaxcorr.bitstream.container import Container

pytestmark = pytest.mark.fast


@pytest.fixture
def photos(tmp_path, monkeypatch, model_path):
    """A photograph and a model folder, and an empty store."""
    monkeypatch.setenv("JAXCORR_MODELS", str(tmp_path / "store"))
    Image.fromarray(blocks(17, 33)).save(tmp_path / "photo.png")
    shutil.copytree(model_path, tmp_path / "photos")
    return tmp_path


def test_a_file_finds_its_model_in_the_store(jaxcorr, tiny_model, photos, tmp_path):
    fingerprint = tiny_model.fingerprint.hex()
    assert jaxcorr("compress", "photo.png", "-m", "photos")[0] == 0
    decode = "decompress", "photo.jxc", "--force"
    status, out, err = jaxcorr(*decode)
    assert (status, out, err) == (
        *(2, ""),
        f"jaxcorr: error: photo.jxc was made with model {fingerprint} (photos), which "
        "is not in the store: give the folder of that model with -m, or in Python with "
        "model=, or add it for all files with `jaxcorr models add FOLDER`\n",
    )
    line = f"model       {fingerprint} (photos), not in the store\n"
    assert line in jaxcorr("info", "photo.jxc")[1]

    status, out, err = jaxcorr("models", "add", "photos")
    assert (status, out, err) == (0, f"{fingerprint}  photos: added\n", "")
    _, out, _ = jaxcorr("models", "add", "photos", "--name", "mine")
    assert out == f"{fingerprint}  mine: already in the store\n"
    shutil.rmtree("photos")
    assert jaxcorr(*decode)[0] == 0
    assert f"{fingerprint} (photos), in the store\n" in jaxcorr("info", "photo.jxc")[1]
    _, out, _ = jaxcorr("info", "photo.jxc", "--json", "-")
    (header,) = json.loads(out)
    assert (header["model"], header["model_name"]) == (fingerprint, "photos")
    assert header["stored_model"] == str(tmp_path / "store" / fingerprint)
    assert header["sections"] == {"model": len("photos")}
    image = package.decompress("photo.jxc")
    assert image.shape == (17, 33, 3)
    assert (image == package.decompress("photo.jxc", tiny_model)).all()
    status, _, err = jaxcorr(*decode, "-m", "demo")
    assert status == 2 and "give no model, since the store has it (mine)" in err

    _, out, _ = jaxcorr("models", "add", fingerprint, "--name", "again")
    assert out == f"{fingerprint}  again: already in the store\n"
    parameters = tmp_path / "store" / fingerprint / saved_model.PARAMETERS
    intact = parameters.read_bytes()
    parameters.write_bytes(intact[:-1])
    status, out, err = jaxcorr(*decode)
    assert (status, out, err.count("\n")) == (2, "", 1)
    assert "parameters.safetensors cannot be read: " in err
    assert "; add that model to the store again with `jaxcorr models add" in err
    parameters.write_bytes(intact)
    assert jaxcorr("models", "add", "again", "--name", "mine")[0] == 0

    # The name of a stored model is one for -m, and stands in its files.
    assert jaxcorr("compress", "photo.png", "-m", "mine", "-o", "b.jxc")[0] == 0
    assert f"{fingerprint} (mine)" in jaxcorr("info", "b.jxc")[1]
    assert jaxcorr("decompress", "b.jxc", "-m", "mine")[0] == 0


def test_the_name_of_the_model_can_be_left_out_and_evaluate_does(
    jaxcorr, photos, tiny_model
):
    options = "photo.png", "-m", "photos"
    assert jaxcorr("compress", *options)[0] == 0
    assert jaxcorr("compress", *options, "--no-model-name", "-o", "b.jxc")[0] == 0
    named, bare = Path("photo.jxc").read_bytes(), Path("b.jxc").read_bytes()
    assert len(named) == len(bare) + 5 + len("photos")
    assert Container.from_bytes(bare, "b.jxc").sections == {}
    assert bare == package.compress(blocks(17, 33), tiny_model)  # It has no path.
    assert bare == package.compress(blocks(17, 33), "photos", with_model_name=False)
    _, out, _ = jaxcorr("evaluate", *options, "--json", "-")
    assert json.loads(out)["images"][0]["bytes"] == len(bare)


def test_models_are_listed_verified_and_removed(jaxcorr, photos, tiny_model):
    fingerprint = tiny_model.fingerprint.hex()
    _, out, _ = jaxcorr("models", "list")
    assert "6485a618ab875315  demo@1: built in\n" in out and "store: " in out
    assert jaxcorr("models", "add", "photos", "--name", "mine")[0] == 0
    assert jaxcorr("models", "verify", "mine", "demo@0")[1].count(": intact\n") == 2
    table = Path("store", fingerprint, saved_model.TABLES)
    intact = table.read_bytes()
    table.write_bytes(intact[:100])
    Path("store", "half").mkdir()
    status, out, err = jaxcorr("models", "list")
    assert (status, err) == (0, "") and f"{fingerprint}  mine: " in out
    assert "?                 half: damaged: " in out
    _, out, _ = jaxcorr("models", "list", "--json", "-")
    by_name = {model["name"]: model for model in json.loads(out)}
    assert by_name["half"]["fingerprint"] is None and by_name["demo@0"]["built_in"]
    status, out, err = jaxcorr("models", "verify")
    assert status == 2 and out.count(": intact\n") == 4 and err.count("\n") == 2
    assert f"{fingerprint}/tables.npz cannot be read" in err
    assert jaxcorr("models", "add", "photos")[1].endswith(": added\n")
    assert table.read_bytes() == intact
    assert jaxcorr("models", "remove", "half", fingerprint)[0] == 0
    assert list(Path("store").iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["list", "x"], ""),
        (["lst"], "models lst is not a command: did you mean models list?"),
        (["add"], "no model is given"),
        (["add", "nowhere"], "nowhere is not a directory"),
        (["add", "demo@0", "demo@1", "--name", "x"], "--name names one model, but 2"),
        (["add", "photos", "--name", "x/y"], "must be 1 to 24 bytes of printable text"),
        (["remove"], "no stored model is given"),
        (["remove", "demo@0"], "demo@0 is built in and cannot be removed"),
        (
            ["verify", "nowhere"],
            "the store has no model nowhere: `jaxcorr models list`",
        ),
    ],
)
def test_a_wrong_command_of_the_store_is_refused(jaxcorr, photos, arguments, message):
    status, out, err = jaxcorr("models", *arguments)
    assert (status, out) == (2, "") and message in err
    assert "Traceback" not in err and not Path("store").exists()


def test_the_commands_of_the_store_are_listed(jaxcorr):
    for arguments in ([], ["--help"]):
        status, out, _ = jaxcorr("models", *arguments)
        assert status == 0
        for name in ("add", "list", "remove", "verify"):
            assert f"• {name} " in out
