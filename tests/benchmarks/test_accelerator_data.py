"""Photographs, train states and packages of the benchmark for accelerators."""

import dataclasses
import json
import os
import subprocess
import sys
import zipfile

import accelerator
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from accelerator_parts import (
    pack,
    photographs,
    results,
    setup,
    sizes,
    train,
    train_state,
)
from PIL import Image

from jaxcorr.errors import UserError


@pytest.fixture
def folders(tmp_path):
    """Folders of photographs to train on and to code."""
    rng = np.random.default_rng(0)
    for name, count, suffix in (("train", 3, "jpg"), ("kodak", 2, "png")):
        (tmp_path / name).mkdir()
        for number in range(count):
            array = rng.integers(0, 256, (64, 80 + 16 * number, 3), np.uint8)
            Image.fromarray(array).save(tmp_path / name / f"{number}.{suffix}")
    return tmp_path / "train", tmp_path / "kodak"


@pytest.mark.fast
def test_packed_photographs_are_read_back(folders, tmp_path):
    train, kodak = folders
    path = tmp_path / "photographs.npz"
    assert (
        photographs.write(path, train=train, kodak=kodak, megabytes=1.0)
        == len(photographs.read(path).train)
        == 3
    )
    for number, image in enumerate(photographs.read(path).kodak):
        expected = np.asarray(Image.open(kodak / f"{number}.png"))
        np.testing.assert_array_equal(image, expected)
    with pytest.raises(UserError, match=r"must hold all of .* more --megabytes"):
        photographs.write(path, train=train, kodak=kodak, megabytes=0.0)


@pytest.mark.fast
def test_large_photographs_are_shrunk_to_train_on(tmp_path):
    (tmp_path / "large").mkdir()
    Image.new("RGB", (1024, 256)).save(tmp_path / "large" / "a.png")
    path = tmp_path / "photographs.npz"
    photographs.write(
        path, train=tmp_path / "large", kodak=tmp_path / "large", megabytes=1.0
    )
    assert photographs.read(path).train[0].shape == (128, 512, 3)
    assert photographs.read(path).kodak[0].shape == (256, 1024, 3)


@pytest.mark.fast
def test_crops_are_a_function_of_seed_and_step():
    placed = photographs.on_device(photographs.synthetic().train, crop=64)

    def cut(seed, step):
        return photographs.cut_crops(*placed, seed, step, batch=4, crop=64)

    np.testing.assert_array_equal(cut(0, 5), cut(0, 5))
    assert np.any(cut(0, 5) != cut(0, 6)) and np.any(cut(0, 5) != cut(1, 5))


@pytest.mark.fast
def test_crops_lie_inside_photographs_of_any_size():
    inside = [np.full(shape, 255, np.uint8) for shape in ((8, 20, 3), (30, 9, 3))]
    placed = photographs.on_device([*inside, np.zeros((4, 4, 3), np.uint8)], crop=8)
    assert len(placed[0]) == 2
    crops = photographs.cut_crops(*placed, 0, 0, batch=64, crop=8)
    assert np.all(np.asarray(crops) == 255)
    with pytest.raises(UserError, match="must hold crops of 64 pixels"):
        photographs.on_device(inside, crop=64)


@pytest.mark.fast
def test_a_state_is_read_back_from_files_of_limited_size(tmp_path, monkeypatch):
    monkeypatch.setattr(train_state, "FILE_BYTES", 100)
    state = {"a": np.arange(20.0), "b": np.int32(3), "c": np.ones((3, 4))}
    train_state.save(tmp_path / "run", state)
    assert len(list((tmp_path / "run").iterdir())) == 2
    jax.tree.map(
        np.testing.assert_array_equal, train_state.load(tmp_path / "run", state), state
    )
    with pytest.raises(UserError, match="must hold the state of this run"):
        train_state.load(tmp_path / "run", state | {"a": np.ones(3)})
    next((tmp_path / "run").iterdir()).unlink()
    with pytest.raises(UserError, match="some are missing"):
        train_state.load(tmp_path / "run", state)
    assert train_state.load(tmp_path / "none", state) is None


@pytest.mark.fast
def test_only_what_fits_is_sent(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(train_state, "MAX_FILES", 3)
    (tmp_path / "train.json").write_text("{}")
    for name in ("trunk", "branch", "late"):
        train_state.save_parameters(tmp_path, name, {"a": np.full(4, 0.5)})
    output = tmp_path / "output"
    train_state.send(tmp_path, output, ["trunk", "branch", "late"])
    assert {path.name for path in output.iterdir()} == {
        "train.json",
        "trunk.0-of-1.npz",
        "branch.0-of-1.npz",
    }
    assert "no room for late" in capsys.readouterr().out
    (array,) = parameters_in(output, "trunk").values()
    np.testing.assert_array_equal(array, np.full(4, 0.5, np.float32))


def parameters_in(folder, name):
    parameters = train_state.load_parameters(folder, name)
    assert parameters is not None
    return parameters


@pytest.fixture
def train_in_calls(monkeypatch, tmp_path):
    """Trains with a step that a test can compute by hand; returns the figures."""

    def step(state, batch, weights, key, *, static_config):
        change = jnp.float32(batch.mean()) / 255 + weights.correlation_weight
        parameters = {name: x + change for name, x in state.parameters.items()}
        state = dataclasses.replace(state, parameters=parameters, step=state.step + 1)
        names = ("loss", "bpp", "mse", "correlation")
        return state, dict.fromkeys(names, jnp.float32(1.0))

    def train_all(folder, calls):
        for seconds in calls:
            table = results.Results(
                "train", tmp_path / folder, sizes="tiny", seconds=seconds
            )
            train.run(
                table,
                sizes.TINY,
                photographs=photographs.synthetic(),
                train_model="minnen-128-192",
            )
            table.finish()
        return table

    monkeypatch.setattr(setup, "train_step", step)
    monkeypatch.setattr(train, "kodak", lambda *_: {"bpp": 1.0})
    return train_all


@pytest.mark.fast
def test_trunk_and_branches_do_not_depend_on_the_number_of_calls(
    train_in_calls, tmp_path
):
    single = train_in_calls("single", [60.0])
    # Too little time for a run: each call starts one and takes its first steps.
    parts = train_in_calls("parts", [0.5] * 5 + [60.0])
    names = ["minnen-128-192-trunk", *(f"minnen-128-192-{b}" for b in train.BRANCHES)]
    assert [*single.figures][:4] == [*parts.figures][:4] == names
    assert all(single.figures[name]["done"] for name in names)
    assert [single.figures[name]["steps"] for name in names] == [2, 4, 4, 4]
    assert f"{names[0]} Kodak" in single.figures

    def read(folder, name):
        return parameters_in(tmp_path / folder, name)

    for name in names:
        first, second = read("single", name), read("parts", name)
        for key in first:
            np.testing.assert_array_equal(first[key], second[key])
    plain, correlated = read("single", names[1]), read("single", names[3])
    for key in plain:
        np.testing.assert_allclose(correlated[key] - plain[key], 0.2, atol=2e-3)


@pytest.mark.fast
def test_a_run_without_its_state_resumes_from_its_parameters(train_in_calls, tmp_path):
    train_in_calls("run", [60.0])
    name = "minnen-128-192-trunk"
    static_config = setup.static_config_of(
        sizes.TINY.models["minnen-128-192"], "bfloat16", crop=64
    )
    run = train.Run(name=name, static_config=static_config, alpha=0.0)
    exact = train._state(tmp_path / "run", run, 2)
    for path in (tmp_path / "run" / name).iterdir():
        path.unlink()
    (tmp_path / "run" / name).rmdir()
    resumed = train._state(tmp_path / "run", run, 2)
    assert resumed.step == exact.step == 2
    for key, array in exact.parameters.items():
        np.testing.assert_allclose(resumed.parameters[key], array, rtol=1e-3, atol=1e-6)
    counts = [
        int(leaf)
        for path, leaf in jax.tree_util.tree_leaves_with_path(resumed.optimizer)
        if "count" in str(path[-1])
    ]
    assert sorted(counts) == [0, 2]  # Of the moments, and of the learning rate.


@pytest.mark.slow
def test_all_parts_run_from_a_packed_folder(folders, tmp_path):
    target, output = tmp_path / "packed", tmp_path / "output"
    train_folder, kodak = folders
    options = ["--photographs", str(train_folder), "--kodak", str(kodak)]
    packing = ["--pack", str(target), *options, "--no-wheels"]
    assert accelerator.main(packing) == 0
    environment = dict(os.environ) | {"PYTHONPATH": "", "JAX_PLATFORMS": "cpu"}
    done = subprocess.run(
        [
            sys.executable,
            "benchmarks/accelerator.py",
            "--tiny",
            "--no-torch",
            "--resume",
            str(tmp_path / "results"),
            "--output",
            str(output),
        ],
        cwd=target,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    for part in accelerator.PARTS:
        content = json.loads((output / f"{part}.json").read_text())
        assert content["figures"] and not content["failed"] and not content["left"]
        assert content["about"]["sizes"] == "tiny"


@pytest.mark.fast
def test_a_packed_folder_holds_project_and_photographs(folders, tmp_path, capsys):
    train, kodak = folders
    options = ["--photographs", str(train), "--kodak", str(kodak), "--no-wheels"]
    target = tmp_path / "packed"
    assert accelerator.main(["--pack", str(target), *options]) == 0
    for name in ("benchmarks/accelerator.py", "jaxcorr/codec.py", "photographs.npz"):
        assert (target / name).is_file()
    assert not (target / "results").exists()
    assert "3 training photographs" in capsys.readouterr().out
    assert accelerator.main(["--pack", str(train), *options]) == 2
    assert "exists and is" in capsys.readouterr().err


@pytest.mark.fast
def test_a_packed_folder_that_is_too_large_is_refused(
    folders, tmp_path, monkeypatch, capsys
):
    monkeypatch.setattr(pack, "MAX_BYTES", 1 << 20)
    train, kodak = folders
    options = ["--photographs", str(train), "--kodak", str(kodak), "--no-wheels"]
    assert accelerator.main(["--pack", str(tmp_path / "packed"), *options]) == 2
    assert "must be at most 1 MiB" in capsys.readouterr().err
    assert not (tmp_path / "packed").exists()


@pytest.mark.fast
def test_compiled_modules_are_removed_from_a_wheel(tmp_path):
    wheel = tmp_path / "coder-1.0-cp311-cp311-linux_x86_64.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("coder/__init__.py", "")
        archive.writestr("coder/ans.cpython-311-x86_64-linux-gnu.so", "")
        archive.writestr(
            "coder-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nTag: cp311-cp311-linux\n"
        )
        archive.writestr("coder-1.0.dist-info/RECORD", "coder/__init__.py,,\n")
    (tmp_path / "pure").mkdir()
    pure = pack.write_pure_wheel(wheel, tmp_path / "pure")
    assert pure.name == "coder-1.0-py3-none-any.whl"
    with zipfile.ZipFile(pure) as archive:
        assert not any(name.endswith(".so") for name in archive.namelist())
        about = archive.read("coder-1.0.dist-info/WHEEL").decode()
    assert about == "Wheel-Version: 1.0\nTag: py3-none-any\n"
