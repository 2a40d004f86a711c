"""The benchmark for accelerators, at tiny sizes on a CPU."""

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
        ("correct", "there must be an accelerator, but JAX sees only the CPU"),
        ("--tiny speed --torch nowhere", "speed needs torch and CompressAI in nowhere"),
        ("--seconds 0", "--seconds must be positive, but is 0"),
        ("--train-model big", "--train-model must be one of minnen-192-320, "),
        ("--quick", "unrecognized arguments: --quick; --help lists the options"),
        ("--pack DIR", "--pack needs --photographs DIR"),
        ("--tiny coding --photographs-file tests/conftest.py", "cannot be read"),
    ],
)
def test_an_invalid_command_line_is_reported_in_one_line(
    arguments, message, capsys, tmp_path, monkeypatch
):
    monkeypatch.setenv("JAX_COMPILATION_CACHE_DIR", "none")
    options = [*arguments.split(), "--resume", str(tmp_path)]
    assert accelerator.main(options) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("accelerator: error: ") and message in line
    assert not list(tmp_path.iterdir())


@pytest.mark.fast
def test_python_without_torch_is_reported(tmp_path):
    with pytest.raises(UserError, match=r"No module named .*--no-torch to measure"):
        speed.check_torch(_python_without_packages(tmp_path))


@pytest.mark.fast
def test_a_part_that_fails_does_not_stop_the_next(capsys, tmp_path, monkeypatch):
    monkeypatch.setenv("JAX_COMPILATION_CACHE_DIR", "none")

    def fail(table, run_sizes, **_):
        raise ValueError("the device is\ngone")

    def measure(table, run_sizes, **_):
        table.measure("one", lambda: {"images": 1})

    monkeypatch.setitem(accelerator.PARTS, "correct", fail)
    monkeypatch.setitem(accelerator.PARTS, "coding", measure)
    options = ["--tiny", "correct", "coding", "--resume", str(tmp_path)]
    assert accelerator.main(options) == 1
    output = capsys.readouterr().out.splitlines()
    assert "correct: failed: ValueError: the device is" in output
    assert output[-1] == "failed: correct"
    content = json.loads((tmp_path / "coding.json").read_text())
    assert content["figures"] == {"one": {"images": 1}}


@pytest.mark.fast
def test_a_figure_is_measured_once(table, tmp_path):
    assert table.measure("one", lambda: {"value": 1}) == {"value": 1}
    again = results.Results("speed", tmp_path, sizes="tiny", seconds=60)
    assert again.measure("one", lambda: pytest.fail("again")) == {"value": 1}


@pytest.mark.fast
def test_a_measurement_that_fails_is_reported_and_repeated_later(
    table, tmp_path, capsys
):
    assert table.measure("one", lambda: {"value": 1 / 0}) is None
    assert "speed: one failed: ZeroDivisionError: division" in capsys.readouterr().out
    again = results.Results("speed", tmp_path, sizes="tiny", seconds=60)
    assert again.measure("one", lambda: {"value": 2}) == {"value": 2}


@pytest.mark.fast
def test_figures_without_time_are_listed(tmp_path, capsys):
    table = results.Results("speed", tmp_path, sizes="tiny", seconds=0)
    assert table.measure("one", lambda: pytest.fail("too late")) is None
    table.finish()
    assert "no time for one: the same command continues" in capsys.readouterr().out


@pytest.mark.fast
@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"about": {"device": "TPU v9"}, "figures": {}}', "figures of device cpu"),
        ("[]", "must be a file of an earlier run"),
    ],
)
def test_figures_of_another_device_are_not_mixed_in(content, message, tmp_path):
    (tmp_path / "speed.json").write_text(content)
    with pytest.raises(UserError, match=message):
        results.Results("speed", tmp_path, sizes="tiny", seconds=1)


@pytest.mark.fast
def test_the_next_smaller_batch_is_measured_if_one_does_not_fit(capsys):
    assert speed.largest_fitting(sizes.TINY, _fits_up_to(1)) == {"batch": 1}
    assert "out of memory at batch 2: trying 1" in capsys.readouterr().out
    with pytest.raises(UserError, match="a batch of 1 must fit"):
        speed.largest_fitting(sizes.TINY, _fits_up_to(0))


@pytest.mark.fast
def test_batches_larger_than_one_that_does_not_fit_are_skipped(
    table, monkeypatch, capsys
):
    def too_large(static_config, *, batch, crop):
        raise jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: no memory")

    monkeypatch.setattr(blocks, "our_block", too_large)
    run_sizes = dataclasses.replace(sizes.TINY, batches=(1, 2, 4))
    speed._measure_steps(table, run_sizes, "cheng-128", "float32", (2, 4))
    output = capsys.readouterr().out
    assert "batch 2  " in output and "out_of_memory next smaller: 1" in output
    assert "batch 4" not in output


def test_model_flops_do_not_depend_on_the_implementation():
    static_config = setup.static_config_of(
        sizes.TINY.models["minnen-128-192"], "float32", crop=64
    )
    flops = []
    for upsampling in setup.form_names("upsampling"):
        with setup.forced_forms({"upsampling": upsampling}):
            flops.append(setup.model_flops(static_config, batch=1, crop=64))
    assert flops[0] == flops[1] > 0


@pytest.mark.fast
def test_a_loss_that_differs_from_the_cpu_is_reported(monkeypatch):
    values = iter([1.0, 1.2])

    def other(parameters, *_, static_config):
        return jnp.float32(next(values)), {"kernel": jnp.ones(3)}

    monkeypatch.setattr(setup, "loss_and_gradients", other)
    model = sizes.TINY.models["minnen-128-192"]
    with pytest.raises(
        UserError, match=r"loss must be within 0.02 .* differs by 0.167"
    ):
        correct.compare_gradients(model, correct.MODES["bfloat16"], sizes.TINY)


@pytest.mark.fast
def test_distance_is_relative_and_infinite_if_a_value_is_not_finite():
    first, second = {"a": np.full(4, 1.1)}, {"a": np.ones(4)}
    assert correct.distance(first, second) == pytest.approx(0.1)
    assert correct.distance({"a": np.full(4, np.nan)}, second) == float("inf")


@pytest.mark.slow
def test_files_are_exchanged_with_another_process(tmp_path):
    run_sizes = dataclasses.replace(
        sizes.TINY, contexts={"none": sizes.TINY.contexts["none"]}
    )
    figures = portable.exchange_files(run_sizes, tmp_path)
    assert figures["none"]["fast"] in ("read", "refused")
    with np.load(tmp_path / "none" / "accelerator.npz") as arrays:
        broken = {name: arrays[name] + 1 for name in arrays.files}
    np.savez(tmp_path / "none" / "accelerator.npz", **broken)
    with pytest.raises(UserError, match="none: the CPU decodes other side_symbols"):
        portable._check(
            tmp_path / "none" / "accelerator.npz",
            tmp_path / "none" / "accelerator-decoded.npz",
            "none: the CPU",
        )


@pytest.mark.fast
def test_a_trace_gives_the_seconds_of_each_operation(tmp_path):
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
def test_operations_have_categories(line, kind):
    ((name, origin),) = profile.origins_of(line).items()
    assert profile.category(name, origin) == kind


def _fits_up_to(largest):
    def measure(batch):
        if batch > largest:
            raise jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: no memory")
        return {"batch": batch}

    return measure


def _python_without_packages(folder):
    """Returns a Python that finds only its standard library."""
    path = folder / "python"
    path.write_text(f'#!/bin/sh\nexec "{sys.executable}" -I -S "$@"\n')
    os.chmod(path, 0o755)
    return str(path)
