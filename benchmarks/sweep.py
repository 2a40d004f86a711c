"""Compares the speed of a sweep with separate runs of its members.

    python benchmarks/sweep.py [CONFIG] [--members N]

Prints images per second; an image counts once per member. Members differ in λ. The
variants run in alternating blocks, and the median over the blocks is printed:

- separate runs: a step trains one member;
- in turn: a step trains all members, with one call of a compiled step per member;
- together: a step trains all members in one program, as on accelerators;
- vectorized: the same program, with `vmap` in place of the loop over members.
"""

import dataclasses
import statistics
import time
from collections.abc import Callable
from unittest import mock

import jax
import numpy as np
import tyro

from jaxcorr import codec, config_files, runtime
from jaxcorr.config import TrainConfig
from jaxcorr.training import member_axis, sharding, sweep
from jaxcorr.training.sharding import MeshConfig

ROUNDS, BLOCK_SECONDS = 5, 3.0


def main(
    config: tyro.conf.Positional[str] = "quickstart:scratch", members: int = 4
) -> None:
    """Prints a line for each variant.

    Args:
      config: Config whose step is measured.
      members: Number of members of the sweep.
    """
    runtime.retain_freed_memory()  # As the commands of jaxcorr do.
    settings = config_files.load_config(config)
    weights = tuple(0.002 * 2**number for number in range(members))

    def with_weights(values: float | tuple[float, ...]) -> TrainConfig:
        replaced = dataclasses.replace(settings.sweep, distortion_weight=values)
        return dataclasses.replace(settings, sweep=replaced)

    single, swept = with_weights(weights[0]), with_weights(weights)
    variants: dict[str, tuple[int, Callable[[], None]]] = {
        "separate runs": (1, stepper(single, in_one_program=False)),
        f"{members} members in turn": (members, stepper(swept, in_one_program=False)),
        f"{members} members together": (members, stepper(swept, in_one_program=True)),
    }
    with mock.patch.object(member_axis, "_loop", vectorized):
        variants["vectorized"] = (members, stepper(swept, in_one_program=True))
    rates: dict[str, list[float]] = {name: [] for name in variants}
    for _ in range(ROUNDS):
        for name, (count, step) in variants.items():
            steps, start = 0, time.perf_counter()
            while time.perf_counter() - start < BLOCK_SECONDS or not steps:
                step()
                steps += 1
            seconds = time.perf_counter() - start
            rates[name].append(steps * count * settings.data.batch_size / seconds)
    print(f"{config} on {jax.devices()[0].device_kind}")
    print(f"{'':24}{'images/s':>10}{'ratio':>8}")
    base = statistics.median(rates["separate runs"])
    for name, values in rates.items():
        median = statistics.median(values)
        print(f"{name:24}{median:10.1f}{median / base:8.2f}")


def vectorized(function: Callable, members):
    """Replaces the loop over members by `vmap`."""
    return jax.vmap(function)(members)


def stepper(settings: TrainConfig, *, in_one_program: bool) -> Callable[[], None]:
    """Returns a compiled step of all members, which waits until it has finished."""
    static_config, members = settings.static_config, settings.members
    mesh = sharding.make_mesh(MeshConfig(), jax.devices()[:1])
    parameters = [
        codec.initialize(static_config.codec, sweep.member_keys(m)[0]) for m in members
    ]
    states = sweep.initial_member_states(static_config, parameters)
    states = sharding.shard_state(states, mesh, members=True)
    side, batch_size = settings.data.crop_size, settings.data.batch_size
    crops = np.random.default_rng(0).integers(0, 256, (batch_size, side, side, 3))
    batch = sharding.shard_batch(crops.astype(np.uint8), mesh, batch_size)
    weights = sweep.stack_member_weights(members)
    keys = sweep.stack_member_noise_keys(members)

    def step() -> None:
        nonlocal states
        with jax.set_mesh(mesh):
            states, metrics = sweep.train_members(
                states,
                batch,
                weights,
                keys,
                static_config=static_config,
                in_one_program=in_one_program,
            )
        jax.block_until_ready(metrics)

    step()
    return step


if __name__ == "__main__":
    tyro.cli(main)
