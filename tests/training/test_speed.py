"""Speed, arithmetic and memory of training steps, and how they are shown."""

import functools
import re
import types

import jax
import jax.numpy as jnp
import pytest
from support import codecs

from jaxcorr.config import TrainConfig
from jaxcorr.data.sources import DataConfig
from jaxcorr.training import hardware, sharding, speed, step_cost, sweep
from jaxcorr.training.console import Console
from jaxcorr.training.speed import Speed
from jaxcorr.training.step_config import StepConfig

DATA = DataConfig(batch_size=24)
V5E = types.SimpleNamespace(device_kind="TPU v5 lite")


@pytest.mark.fast
def test_peaks_of_known_devices_add_up_and_a_cpu_has_none():
    assert hardware.peak_flops([V5E] * 4) == 4 * 197e12
    assert hardware.peak_flops([V5E, *jax.devices("cpu")[:1]]) is None


@pytest.mark.fast
def test_memory_is_that_of_the_fullest_device():
    counts = [{"peak_bytes_in_use": 3, "bytes_in_use": 1}, {"peak_bytes_in_use": 7}]
    devices = [types.SimpleNamespace(memory_stats=lambda x=x: x) for x in counts]
    assert hardware.peak_memory(devices) == 7
    assert hardware.peak_memory(jax.devices("cpu")) is None


@pytest.mark.fast
def test_rates_follow_from_the_time_of_a_step(monkeypatch):
    clock = [0.0]
    monkeypatch.setattr(speed.time, "perf_counter", lambda: clock[0])
    monkeypatch.setattr(hardware, "peak_flops", lambda _: 8e12)
    monkeypatch.setattr(hardware, "peak_memory", lambda _: 2_500_000_000)
    measure = Speed(start=10, members=3)
    clock[0] = 4.0
    measure.add_data_wait(1.0)
    assert measure.measure(18, batch_size=16, flops=1e12) == {
        "step_seconds": 0.5,
        "images_per_second": 96.0,
        "data_wait": 0.25,
        "tflops_per_second": 2.0,
        "utilization": 0.25,
        "memory_gb": 2.5,
    }
    clock[0] = 6.0
    assert measure.measure(19, batch_size=1, flops=None) == {
        "step_seconds": 2.0,
        "images_per_second": 1.5,
        "data_wait": 0.0,
        "memory_gb": 2.5,
    }


@pytest.mark.fast
def test_what_a_cpu_cannot_tell_is_not_logged():
    known = {"step_seconds", "images_per_second", "data_wait"}
    assert (
        Speed(start=0, members=1).measure(1, batch_size=1, flops=None).keys() == known
    )


@pytest.mark.fast
@pytest.mark.parametrize(("in_one_program", "micro_batches"), [(False, 1), (True, 3)])
def test_operations_of_all_devices_members_and_loops_count(
    monkeypatch, in_one_program, micro_batches
):
    size, members = 32, 4
    mesh = sharding.make_mesh(sharding.MeshConfig(sweep=2 if in_one_program else 1))

    @functools.partial(jax.jit, static_argnames="static_config")
    def product(states, *others, static_config):
        return states @ states, others

    name = "train_together" if in_one_program else "train_one"
    monkeypatch.setattr(sweep, name, product)
    monkeypatch.setattr(jax, "default_backend", lambda: "tpu")  # Where loops are.
    config = TrainConfig(step=StepConfig(micro_batches=micro_batches), data=DATA)
    whole = jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec())
    with jax.set_mesh(mesh):
        flops = step_cost.train_flops(
            jax.device_put(jnp.ones((size, size)), whole),
            jnp.zeros((8, 4, 4, 3), jnp.uint8),
            codecs.weights(),
            jax.random.split(jax.random.key(0), members),
            static_config=config.static_config,
            in_one_program=in_one_program,
        )
    repeats = members // 2 * micro_batches if in_one_program else members
    assert flops == pytest.approx(2 * size**3 * jax.device_count() * repeats, rel=0.01)


@pytest.mark.fast
def test_lines_of_a_log_file_begin_with_time_and_process(capsys):
    console = Console(start=0, steps=8)
    metrics = {"loss": 1.0, "bpp": 0.5, "psnr_db": 30.0, "correlation": 0.1}
    speeds = {"step_seconds": 0.25, "images_per_second": 64.0, "data_wait": 0.01}
    console.show_step(4, {0: metrics}, speeds)
    known = {"tflops_per_second": 98.5, "utilization": 0.5, "memory_gb": 12.34}
    console.show_step(5, {0: metrics, 1: metrics | {"loss": 2.0}}, speeds | known)
    console.close()
    first, second = capsys.readouterr().out.splitlines()
    start = r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d process 0 of 1: "
    assert re.match(start + "step 4/8: loss 1.000, 0.500 bpp, ", first)
    assert first.endswith("0.25 s/step, 64.0 images/s, 1% data wait, 00:01 left")
    assert re.match(start + "step 5/8: loss 1.000 to 2.000, ", second)
    assert ", 98.5 TFLOP/s (50% of peak), 12.3 GB, " in second
