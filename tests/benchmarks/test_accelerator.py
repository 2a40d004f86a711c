"""The program for the first half hour with an accelerator, at tiny sizes on a CPU."""

import dataclasses
import json
import os
import sys

import accelerator
import blocks
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from accelerator_parts import (
    correct,
    portable,
    profile,
    results,
    setup,
    sizes,
    speed,
)

from jaxcorr.errors import UserError


@pytest.fixture
def table(tmp_path):
    return results.Results("speed", tmp_path, sizes="tiny", seconds=60)


@pytest.mark.fast
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


@pytest.mark.fast
def test_torch_without_its_package_is_told(tmp_path):
    with pytest.raises(UserError, match=r"No module named .*--no-torch to measure"):
        speed.check_torch(_python_without_packages(tmp_path))


@pytest.mark.fast
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


@pytest.mark.fast
def test_a_figure_is_measured_once(table, tmp_path):
    assert table.measure("one", lambda: {"value": 1}) == {"value": 1}
    again = results.Results("speed", tmp_path, sizes="tiny", seconds=60)
    assert again.measure("one", lambda: pytest.fail("again")) == {"value": 1}


@pytest.mark.fast
def test_a_figure_that_fails_is_told_and_tried_again(table, tmp_path, capsys):
    assert table.measure("one", lambda: {"value": 1 / 0}) is None
    assert "speed: one failed: ZeroDivisionError: division" in capsys.readouterr().out
    again = results.Results("speed", tmp_path, sizes="tiny", seconds=60)
    assert again.measure("one", lambda: {"value": 2}) == {"value": 2}


@pytest.mark.fast
def test_what_there_is_no_time_for_is_named(tmp_path, capsys):
    table = results.Results("speed", tmp_path, sizes="tiny", seconds=0)
    assert table.measure("one", lambda: pytest.fail("too late")) is None
    table.finish()
    assert "no time for one: the same command goes on" in capsys.readouterr().out


@pytest.mark.fast
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


@pytest.mark.fast
def test_a_batch_that_does_not_fit_gives_way_to_the_next_smaller(capsys):
    assert speed.largest_fitting(sizes.TINY, _fits_up_to(1)) == {"batch": 1}
    assert "too little memory for batch 2: trying 1" in capsys.readouterr().out
    with pytest.raises(UserError, match="a batch of 1 must fit"):
        speed.largest_fitting(sizes.TINY, _fits_up_to(0))


@pytest.mark.fast
def test_larger_batches_than_one_that_does_not_fit_are_left_out(
    table, monkeypatch, capsys
):
    def too_large(static_config, *, batch, crop):
        raise jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: no memory")

    monkeypatch.setattr(blocks, "our_block", too_large)
    chosen = dataclasses.replace(sizes.TINY, batches=(1, 2, 4))
    speed._measure_steps(table, chosen, "cheng-128", "float32", (2, 4))
    assert "batch 2  " in (said := capsys.readouterr().out)
    assert "out_of_memory next smaller: 1" in said and "batch 4" not in said


def test_model_arithmetic_is_the_same_in_all_forms():
    static_config = setup.static_config_of(
        sizes.TINY.models["minnen-128-192"], "float32", crop=64
    )
    counted = []
    for upsampling in setup.form_names("upsampling"):
        with setup.forced_forms({"upsampling": upsampling}):
            counted.append(setup.model_flops(static_config, batch=1, crop=64))
    assert counted[0] == counted[1] > 0


@pytest.mark.fast
def test_a_device_that_computes_otherwise_is_told(monkeypatch):
    values = iter([1.0, 1.2])

    def other(parameters, *_, static_config):
        return jnp.float32(next(values)), {"kernel": jnp.ones(3)}

    monkeypatch.setattr(setup, "loss_and_gradients", other)
    model = sizes.TINY.models["minnen-128-192"]
    with pytest.raises(UserError, match=r"loss must be within 0.02 .* 0.167 from it"):
        correct.compare_gradients(model, correct.MODES["bfloat16"], sizes.TINY)


@pytest.mark.fast
def test_distance_is_relative_and_infinite_where_something_is_not_finite():
    first, second = {"a": np.full(4, 1.1)}, {"a": np.ones(4)}
    assert correct.distance(first, second) == pytest.approx(0.1)
    assert correct.distance({"a": np.full(4, np.nan)}, second) == float("inf")


def test_files_are_read_by_another_process_and_its_files_here(tmp_path):
    chosen = dataclasses.replace(
        sizes.TINY, contexts={"none": sizes.TINY.contexts["none"]}
    )
    figures = portable.code_symbols(chosen, tmp_path)
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


@pytest.mark.fast
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
    assert set(times) <= set(profile.origins_of(compiled.as_text() or ""))
    assert not profile.operation_seconds(path, "jit_other")


@pytest.mark.fast
@pytest.mark.parametrize(
    ("line", "kind"),
    [
        (
            '%c.1 = f32[2]{0} custom-call(%a), custom_call_target="__cudnn$conv"',
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
