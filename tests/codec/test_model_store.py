"""The store of models, in which files find their model."""

import dataclasses
import json
import threading
from pathlib import Path

import platformdirs
import pytest

from jaxcorr import model_store, run_directory, saved_model
from jaxcorr.errors import UserError

pytestmark = pytest.mark.fast


@pytest.fixture
def store(tmp_path, monkeypatch):
    """The folder of an empty store."""
    monkeypatch.setenv("JAXCORR_MODELS", str(tmp_path / "store"))
    return tmp_path / "store"


@pytest.fixture
def hex_digits(tiny_model):
    return tiny_model.fingerprint.hex()


def names():
    return [model.name for model in model_store.list_models()]


def test_a_model_is_added_once_and_found_by_fingerprint_or_name(
    store, tiny_model, hex_digits
):
    built_in = [f"demo@{number}" for number in range(4)]
    assert model_store.find(hex_digits) is None and names() == built_in
    added, is_new = model_store.add(tiny_model, "photos")
    assert is_new and added.folder == store / hex_digits
    again, is_new = model_store.add(tiny_model, "other")
    assert not is_new and again == added == model_store.find(hex_digits)
    assert model_store.find_named("photos") == added
    assert model_store.find_named(hex_digits) == added
    assert [path.name for path in store.iterdir()] == [hex_digits]
    assert run_directory.load("photos").fingerprint == tiny_model.fingerprint
    renamed, is_new = model_store.add(tiny_model, "other", rename=True)
    assert not is_new and names() == [*built_in, "other"]
    assert model_store.verify(renamed) is None
    model_store.remove(renamed)
    model_store.remove(renamed)  # As another process might have.
    assert names() == built_in and list(store.iterdir()) == []
    with pytest.raises(UserError, match=r"^photos is not a directory: .* stored model"):
        run_directory.load("photos")


def test_the_demo_is_in_every_store_and_stays(store):
    demo = model_store.find("6485a618ab875315")
    assert demo is not None and (demo.name, demo.is_built_in) == ("demo@1", True)
    assert model_store.find_named("demo@1") == demo and model_store.verify(demo) is None
    assert model_store.find_named("1") is None
    with pytest.raises(UserError, match=r"^demo@1 is built in and cannot be removed$"):
        model_store.remove(demo)
    assert not model_store.add(run_directory.load("demo"), "mine", rename=True)[1]


def test_a_damaged_model_is_listed_with_its_problem_and_replaced(
    store, tiny_model, hex_digits
):
    other = dataclasses.replace(tiny_model, median=tiny_model.median + 1)
    for name, model in {"copied by hand": tiny_model, "damaged": other}.items():
        saved_model.write_model(store / name, model)
    for name, text in {
        "empty": None,
        "list": "[1]",
        "deep": "[" * 100_000,
        "later": json.dumps({"format": 99, "fingerprint": "0" * 16}),
        "odd": json.dumps({"format": [], "fingerprint": 5, "name": ["x"]}),
        "half": json.dumps({"format": 3, "fingerprint": "1" * 16}),
        ".jaxcorr-left": "{}",
    }.items():
        (store / name).mkdir()
        if text is not None:
            (store / name / "config.json").write_text(text)
    (store / "a file").touch()
    listed = {model.name: model for model in model_store.list_models()[4:]}
    assert list(listed) == sorted(
        ["copied by hand", "damaged", "empty", "list", "deep", "later", "odd", "half"]
    )
    intact = {name for name, model in listed.items() if model.problem is None}
    assert intact == {"copied by hand", "damaged"}
    assert "format 99" in str(listed["later"].problem)
    assert "parameters.safetensors is missing" in str(
        listed["half"].problem
    ) or "tables.npz is missing" in str(listed["half"].problem)
    found = model_store.find(hex_digits)
    assert found == listed["copied by hand"]
    parameters = store / "damaged" / saved_model.PARAMETERS
    data = bytearray(parameters.read_bytes())
    data[-1] ^= 1
    parameters.write_bytes(data)
    problem = model_store.verify(listed["damaged"])
    assert problem is not None and "damaged model folder, fingerprint" in problem
    added, is_new = model_store.add(other, "whole")
    assert is_new and model_store.verify(added) is None
    # The whole one is found, although the damaged one has the same fingerprint.
    model_store.remove(listed["damaged"])
    assert run_directory.load("whole").fingerprint == other.fingerprint
    model_store.remove(listed["empty"])
    assert not (store / "empty").exists()


def test_of_several_models_with_a_name_one_is_chosen_by_fingerprint(store, tiny_model):
    other = dataclasses.replace(tiny_model, median=tiny_model.median + 1)
    model_store.add(tiny_model, "same")
    model_store.add(other, "same")
    message = r"^same names several stored models: give one of \w{16}, \w{16}$"
    with pytest.raises(UserError, match=message):
        model_store.find_named("same")
    loaded = run_directory.load(other.fingerprint.hex())
    assert loaded.fingerprint == other.fingerprint


def test_models_are_added_at_once_without_loss(store, tiny_model, hex_digits):
    errors = []

    def add(barrier):
        try:
            barrier.wait()
            model_store.add(tiny_model, "photos")
        except BaseException as error:
            errors.append(error)

    for round in range(6):
        if round:  # The last one is damaged, so that all replace it.
            (store / hex_digits / saved_model.TABLES).write_bytes(b"")
        barrier = threading.Barrier(4)
        threads = [threading.Thread(target=add, args=(barrier,)) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert errors == []
        found = model_store.find(hex_digits)
        assert found is not None and model_store.verify(found) is None
        assert [path.name for path in store.iterdir()] == [hex_digits]


def test_a_store_that_cannot_be_used_is_refused_in_one_line(
    tmp_path, tiny_model, monkeypatch
):
    (tmp_path / "file").touch()
    monkeypatch.setenv("JAXCORR_MODELS", str(tmp_path / "file"))
    with pytest.raises(
        UserError, match=r"^the store .*/file cannot be read: Not a dir"
    ):
        model_store.list_models()
    monkeypatch.setenv("JAXCORR_MODELS", "/proc/nowhere")
    with pytest.raises(UserError, match=r"^cannot write /proc/nowhere/\w{16}: No such"):
        model_store.add(tiny_model, "photos")


def test_the_store_is_in_the_data_of_the_user_unless_there_is_no_home(
    tiny_model, monkeypatch, tmp_path
):
    monkeypatch.delenv("JAXCORR_MODELS")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    if model_store.store_folder() != tmp_path / "jaxcorr" / "models":
        assert model_store.store_folder() == (
            platformdirs.user_data_path("jaxcorr", appauthor=False) / "models"
        )
    monkeypatch.setattr(
        platformdirs, "user_data_path", lambda *_, **__: Path("~/.local/share/jaxcorr")
    )
    assert model_store.store_folder() is None and len(names()) == 4
    with pytest.raises(UserError, match=r"no home: set JAXCORR_MODELS$"):
        model_store.add(tiny_model, "photos")
