"""Images a second of a sweep, against its members trained in runs of their own.

    python benchmarks/sweep.py [CONFIG] [--members N]

Members differ in λ. A run of its own takes a step of one member; a sweep takes a step
of all, in turn through one compiled step or in one program, as on accelerators. The
last line is what a vectorized step would do. Images count once for each member. All in
one sitting, in blocks that take turns; medians.
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
from jaxcorr.training import sharding, sweep
from jaxcorr.training.sharding import MeshConfig

ROUNDS, BLOCK_SECONDS = 5, 3.0


def main(config: tyro.conf.Positional[str] = "quickstart", members: int = 4) -> None:
    """Prints a line for each way.

    Args:
      config: Config whose step is measured.
      members: Of the sweep.
    """
    runtime.retain_freed_memory()  # As the commands do.
    settings = config_files.load_config(config)
    weights = tuple(0.002 * 2**number for number in range(members))
    with_weights = lambda values: dataclasses.replace(
        settings, sweep=dataclasses.replace(settings.sweep, distortion_weight=values)
    )
    alone, swept = with_weights(weights[0]), with_weights(weights)
    ways: dict[str, tuple[int, Callable[[], None]]] = {
        "runs of their own": (1, stepper(alone, in_one_program=False)),
        f"{members} members in turn": (members, stepper(swept, in_one_program=False)),
        f"{members} members together": (members, stepper(swept, in_one_program=True)),
    }
    with mock.patch.object(sweep, "_loop", vectorized):
        ways["vectorized"] = (members, stepper(swept, in_one_program=True))
    rates: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(ROUNDS):
        for name, (count, step) in ways.items():
            steps, start = 0, time.perf_counter()
            while time.perf_counter() - start < BLOCK_SECONDS or not steps:
                step()
                steps += 1
            seconds = time.perf_counter() - start
            rates[name].append(steps * count * settings.data.batch_size / seconds)
    print(f"{config} on {jax.devices()[0].device_kind}")
    print(f"{'':24}{'images/s':>10}{'ratio':>8}")
    base = statistics.median(rates["runs of their own"])
    for name, found in rates.items():
        median = statistics.median(found)
        print(f"{name:24}{median:10.1f}{median / base:8.2f}")


def vectorized(function: Callable, members):
    """Stands in for the loop over members."""
    return jax.vmap(function)(members)


def stepper(settings: TrainConfig, *, in_one_program: bool) -> Callable[[], None]:
    """Takes a step of all members and waits for it; compiled already."""
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
