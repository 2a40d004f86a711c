"""The program for the first half hour with an accelerator, at tiny sizes on a CPU."""

import dataclasses
import json
import os
import subprocess
import sys
import zipfile

import accelerator
import blocks
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from accelerator_parts import (
    correct,
    pack,
    photographs,
    portable,
    profile,
    results,
    setup,
    sizes,
    speed,
    train,
    train_state,
)
from PIL import Image

from jaxcorr.errors import UserError

pytestmark = pytest.mark.fast


@pytest.fixture
def table(tmp_path):
    return results.Results("speed", tmp_path, sizes="tiny", seconds=60)


@pytest.fixture
def folders(tmp_path):
    """Folders of photographs to train on, and to code."""
    rng = np.random.default_rng(0)
    for name, count, suffix in (("train", 3, "jpg"), ("kodak", 2, "png")):
        (tmp_path / name).mkdir()
        for number in range(count):
            array = rng.integers(0, 256, (64, 80 + 16 * number, 3), np.uint8)
            Image.fromarray(array).save(tmp_path / name / f"{number}.{suffix}")
    return tmp_path / "train", tmp_path / "kodak"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("magic", "a part must be one of correct, speed, profile, coding, train, but"),
        ("correct", "there must be an accelerator, but JAX has the CPU alone"),
        ("--tiny speed --torch nowhere", "speed needs torch and CompressAI in nowhere"),
        ("--seconds 0", "--seconds must be positive, but is 0"),
        ("--train-model big", "--train-model must be one of minnen-192-320, "),
        ("--quick", "unrecognized arguments: --quick; --help lists what there is"),
        ("--pack DIR", "--pack needs --photographs DIR"),
        ("--tiny coding --photographs-file tests/conftest.py", "cannot be read"),
    ],
)
def test_a_command_that_cannot_be_run_is_told_in_one_line(
    arguments, message, capsys, tmp_path, monkeypatch
):
    monkeypatch.setenv("JAX_COMPILATION_CACHE_DIR", "none")
    options = [*arguments.split(), "--resume", str(tmp_path)]
    assert accelerator.main(options) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("accelerator: error: ") and message in line
    assert not list(tmp_path.iterdir())


def test_torch_without_its_package_is_told(tmp_path):
    with pytest.raises(UserError, match="No module named .*--no-torch to measure"):
        speed.check_torch(_python_without_packages(tmp_path))


def test_a_part_that_fails_does_not_stop_the_next(capsys, tmp_path, monkeypatch):
    monkeypatch.setenv("JAX_COMPILATION_CACHE_DIR", "none")

    def fail(table, chosen, **_):
        raise ValueError("the device is\ngone")

    def measure(table, chosen, **_):
        table.measure("one", lambda: {"images": 1})

    monkeypatch.setitem(accelerator.PARTS, "correct", fail)
    monkeypatch.setitem(accelerator.PARTS, "coding", measure)
    options = ["--tiny", "correct", "coding", "--resume", str(tmp_path)]
    assert accelerator.main(options) == 1
    said = capsys.readouterr().out.splitlines()
    assert "correct: failed: ValueError: the device is" in said
    assert said[-1] == "failed: correct"
    content = json.loads((tmp_path / "coding.json").read_text())
    assert content["figures"] == {"one": {"images": 1}}


def test_a_figure_is_measured_once(table, tmp_path):
    assert table.measure("one", lambda: {"value": 1}) == {"value": 1}
    again = results.Results("speed", tmp_path, sizes="tiny", seconds=60)
    assert again.measure("one", lambda: pytest.fail("again")) == {"value": 1}


def test_a_figure_that_fails_is_told_and_tried_again(table, tmp_path, capsys):
    assert table.measure("one", lambda: {"value": 1 / 0}) is None
    assert "speed: one failed: ZeroDivisionError: division" in capsys.readouterr().out
    again = results.Results("speed", tmp_path, sizes="tiny", seconds=60)
    assert again.measure("one", lambda: {"value": 2}) == {"value": 2}


def test_what_there_is_no_time_for_is_named(tmp_path, capsys):
    table = results.Results("speed", tmp_path, sizes="tiny", seconds=0)
    assert table.measure("one", lambda: pytest.fail("too late")) is None
    table.finish()
    assert "no time for one: the same command goes on" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"about": {"device": "TPU v9"}, "figures": {}}', "figures of device cpu"),
        ("[]", "must be what an earlier run wrote"),
    ],
)
def test_figures_of_another_device_are_not_mixed_in(content, message, tmp_path):
    (tmp_path / "speed.json").write_text(content)
    with pytest.raises(UserError, match=message):
        results.Results("speed", tmp_path, sizes="tiny", seconds=1)


def test_a_batch_that_does_not_fit_gives_way_to_the_next_smaller(capsys):
    assert speed.largest_fitting(sizes.TINY, _fits_up_to(1)) == {"batch": 1}
    assert "too little memory for batch 2: trying 1" in capsys.readouterr().out
    with pytest.raises(UserError, match="a batch of 1 must fit"):
        speed.largest_fitting(sizes.TINY, _fits_up_to(0))


def test_larger_batches_than_one_that_does_not_fit_are_left_out(
    table, monkeypatch, capsys
):
    def too_large(recipe, *, batch, crop):
        raise jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: no memory")

    monkeypatch.setattr(blocks, "our_block", too_large)
    chosen = dataclasses.replace(sizes.TINY, batches=(1, 2, 4))
    speed._measure_steps(table, chosen, "cheng-128", "float32", (2, 4))
    assert "batch 2  " in (said := capsys.readouterr().out)
    assert "out_of_memory next smaller: 1" in said and "batch 4" not in said


def test_model_arithmetic_is_the_same_in_all_forms():
    recipe = setup.recipe(sizes.TINY.models["minnen-128-192"], "float32", crop=64)
    counted = []
    for upsampling in setup.form_names("upsampling"):
        with setup.forced_forms({"upsampling": upsampling}):
            counted.append(setup.model_flops(recipe, batch=1, crop=64))
    assert counted[0] == counted[1] > 0


def test_a_device_that_computes_otherwise_is_told(monkeypatch):
    values = iter([1.0, 1.2])

    def other(parameters, *_, recipe):
        return jnp.float32(next(values)), {"kernel": jnp.ones(3)}

    monkeypatch.setattr(setup, "loss_and_gradients", other)
    model = sizes.TINY.models["minnen-128-192"]
    with pytest.raises(UserError, match=r"loss must be within 0.02 .* 0.167 from it"):
        correct.compare_gradients(model, correct.MODES["bfloat16"], sizes.TINY)


def test_distance_is_relative_and_infinite_where_something_is_not_finite():
    first, second = {"a": np.full(4, 1.1)}, {"a": np.ones(4)}
    assert correct.distance(first, second) == pytest.approx(0.1)
    assert correct.distance({"a": np.full(4, np.nan)}, second) == float("inf")


def test_files_are_read_by_another_process_and_its_files_here(tmp_path):
    chosen = dataclasses.replace(
        sizes.TINY, contexts={"none": sizes.TINY.contexts["none"]}
    )
    figures = portable.exchange(chosen, tmp_path)
    assert figures["none"]["fast"] in ("read", "refused")
    with np.load(tmp_path / "none" / "here.npz") as arrays:
        broken = {name: arrays[name] + 1 for name in arrays.files}
    np.savez(tmp_path / "none" / "here.npz", **broken)
    with pytest.raises(UserError, match="none: the CPU reads other side_symbols"):
        portable._check(
            tmp_path / "none" / "here.npz",
            tmp_path / "none" / "here-read.npz",
            "none: the CPU reads",
        )


def test_a_trace_says_how_long_each_operation_took(tmp_path):
    @jax.jit
    def traced(x):
        return jnp.sin(x @ x)

    compiled = traced.lower(jnp.ones((64, 64))).compile()
    with jax.profiler.trace(str(tmp_path)):
        jax.block_until_ready(compiled(jnp.ones((64, 64))))
    (path,) = tmp_path.rglob("*.xplane.pb")
    times = profile.operation_seconds(path, "jit_traced")
    assert times and all(seconds >= 0 for seconds in times.values())
    assert set(times) <= set(profile.origins_of(compiled.as_text()))
    assert not profile.operation_seconds(path, "jit_other")


@pytest.mark.parametrize(
    ("line", "kind"),
    [
        (
            '%c.1 = f32[2]{0} custom-call(%a), custom_call_target="__cudnn$convForward"',
            "convolution",
        ),
        (
            '%f.2 = f32[2]{0} fusion(%a), metadata={op_name="jit(f)/jvp/dot_general"}',
            "matrix product",
        ),
        ("%copy.3 = f32[2]{0} copy(%a)", "copy or transposition"),
        (
            '%f.4 = f32[2]{0} fusion(%a), metadata={op_name="jit(f)/reduce_sum"}',
            "reduction",
        ),
        ('%f.5 = f32[2]{0} fusion(%a), metadata={op_name="jit(f)/mul"}', "elements"),
    ],
)
def test_operations_have_kinds(line, kind):
    ((name, origin),) = profile.origins_of(line).items()
    assert profile.category(name, origin) == kind


def test_photographs_come_back_from_the_packed_file(folders, tmp_path):
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
    with pytest.raises(UserError, match="must hold all of .* more --megabytes"):
        photographs.write(path, train=train, kodak=kodak, megabytes=0.0)


def test_large_photographs_are_shrunk_to_train_on(tmp_path):
    (tmp_path / "large").mkdir()
    Image.new("RGB", (1024, 256)).save(tmp_path / "large" / "a.png")
    path = tmp_path / "photographs.npz"
    photographs.write(
        path, train=tmp_path / "large", kodak=tmp_path / "large", megabytes=1.0
    )
    assert photographs.read(path).train[0].shape == (128, 512, 3)
    assert photographs.read(path).kodak[0].shape == (256, 1024, 3)


def test_crops_are_a_function_of_seed_and_step():
    placed = photographs.on_device(photographs.synthetic().train, crop=64)
    cut = lambda seed, step: photographs.cut_crops(
        *placed, seed, step, batch=4, crop=64
    )
    np.testing.assert_array_equal(cut(0, 5), cut(0, 5))
    assert np.any(cut(0, 5) != cut(0, 6)) and np.any(cut(0, 5) != cut(1, 5))


def test_crops_lie_inside_of_photographs_of_any_size():
    inside = [np.full(shape, 255, np.uint8) for shape in ((8, 20, 3), (30, 9, 3))]
    placed = photographs.on_device([*inside, np.zeros((4, 4, 3), np.uint8)], crop=8)
    assert len(placed[0]) == 2
    crops = photographs.cut_crops(*placed, 0, 0, batch=64, crop=8)
    assert np.all(np.asarray(crops) == 255)
    with pytest.raises(UserError, match="must hold crops of 64 pixels"):
        photographs.on_device(inside, crop=64)


def test_a_state_comes_back_from_files_of_limited_size(tmp_path, monkeypatch):
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


def test_only_what_fits_is_sent(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(train_state, "MOST_FILES", 3)
    (tmp_path / "train.json").write_text("{}")
    for name in ("trunk", "branch", "late"):
        train_state.save_parameters(tmp_path, name, {"a": np.full(4, 0.5)})
    output = tmp_path / "output"
    train_state.send(tmp_path, output, ["trunk", "branch", "late"])
    assert {path.name for path in output.iterdir()} == {
        *("train.json", "trunk.0-of-1.npz", "branch.0-of-1.npz")
    }
    assert "no room for late" in capsys.readouterr().out
    (found,) = train_state.load_parameters(output, "trunk").values()
    np.testing.assert_array_equal(found, np.full(4, 0.5, np.float32))


@pytest.fixture
def train_in_calls(monkeypatch, tmp_path):
    """Trains with steps that a test can do by hand; gives states and figures."""

    def step(state, batch, weights, key, *, recipe):
        change = jnp.float32(batch.mean()) / 255 + weights.correlation
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


def test_a_trunk_and_its_branches_are_trained_in_one_call_or_in_several(
    train_in_calls, tmp_path
):
    whole = train_in_calls("whole", [60.0])
    # Too little time for a whole run: each call begins one, and does its first steps.
    parts = train_in_calls("parts", [0.5] * 5 + [60.0])
    names = ["minnen-128-192-trunk", *(f"minnen-128-192-{b}" for b in train.BRANCHES)]
    assert [*whole.figures][:4] == [*parts.figures][:4] == names
    assert all(whole.figures[name]["done"] for name in names)
    assert [whole.figures[name]["steps"] for name in names] == [2, 4, 4, 4]
    assert f"{names[0]} Kodak" in whole.figures
    read = lambda folder, name: train_state.load_parameters(tmp_path / folder, name)
    for name in names:
        first, second = read("whole", name), read("parts", name)
        for key in first:
            np.testing.assert_array_equal(first[key], second[key])
    plain, correlated = read("whole", names[1]), read("whole", names[3])
    for key in plain:
        np.testing.assert_allclose(correlated[key] - plain[key], 0.2, atol=2e-3)


def test_a_run_whose_state_is_lost_goes_on_from_its_parameters(
    train_in_calls, tmp_path
):
    train_in_calls("run", [60.0])
    name = "minnen-128-192-trunk"
    recipe = setup.recipe(sizes.TINY.models["minnen-128-192"], "bfloat16", crop=64)
    run = train.Run(name=name, recipe=recipe, alpha=0.0)
    exact = train._state(tmp_path / "run", run, 2)
    for path in (tmp_path / "run" / name).iterdir():
        path.unlink()
    (tmp_path / "run" / name).rmdir()
    found = train._state(tmp_path / "run", run, 2)
    assert found.step == exact.step == 2
    for key, array in exact.parameters.items():
        np.testing.assert_allclose(found.parameters[key], array, rtol=1e-3, atol=1e-6)
    counts = [
        int(leaf)
        for path, leaf in jax.tree_util.tree_leaves_with_path(found.optimizer)
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
            *(sys.executable, "benchmarks/accelerator.py", "--tiny", "--no-torch"),
            *("--resume", str(tmp_path / "results"), "--output", str(output)),
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


def test_a_packed_folder_holds_project_and_photographs(folders, tmp_path, capsys):
    train, kodak = folders
    options = ["--photographs", str(train), "--kodak", str(kodak), "--no-wheels"]
    target = tmp_path / "packed"
    assert accelerator.main(["--pack", str(target), *options]) == 0
    for name in ("benchmarks/accelerator.py", "jaxcorr/codec.py", "photographs.npz"):
        assert (target / name).is_file()
    assert not (target / "results").exists()
    assert "3 photographs to train on" in capsys.readouterr().out
    assert accelerator.main(["--pack", str(train), *options]) == 2
    assert "exists and is" in capsys.readouterr().err


def test_a_packed_folder_that_is_too_large_is_refused(
    folders, tmp_path, monkeypatch, capsys
):
    monkeypatch.setattr(pack, "MOST_BYTES", 1 << 20)
    train, kodak = folders
    options = ["--photographs", str(train), "--kodak", str(kodak), "--no-wheels"]
    assert accelerator.main(["--pack", str(tmp_path / "packed"), *options]) == 2
    assert "must be at most 1 MiB" in capsys.readouterr().err
    assert not (tmp_path / "packed").exists()


def test_a_wheel_loses_what_was_compiled(tmp_path):
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


def _fits_up_to(largest):
    def measure(batch):
        if batch > largest:
            raise jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: no memory")
        return {"batch": batch}

    return measure


def _python_without_packages(folder):
    """A Python that finds nothing but its own library."""
    path = folder / "python"
    path.write_text(f'#!/bin/sh\nexec "{sys.executable}" -I -S "$@"\n')
    os.chmod(path, 0o755)
    return str(path)
