"""Measures whether the data pipeline keeps up with the train step.

    python benchmarks/data_pipeline.py [CONFIG] [--source folder:DIR] [--augmentation]

Prints images per second of the pipeline alone, of the step alone on a constant batch,
and of the step fed by the pipeline, with 0, 1 and 2 workers on the same cores, or with
each kind of augmentation and no worker. All are measured in blocks that take turns, of
which the median counts.
"""

import dataclasses
import functools
import statistics
import time
from collections.abc import Callable, Iterator

import jax
import numpy as np
import tyro

from jaxcorr import codec, config_files, runtime
from jaxcorr.config import TrainConfig
from jaxcorr.data import pipeline, sources
from jaxcorr.data.augmentation import AugmentationConfig
from jaxcorr.data.sources import DataConfig
from jaxcorr.training.step import initial_state, train_step
from jaxcorr.training.sweep import member_weights

BLOCK_SECONDS, ROUNDS = 3.0, 5
WORKERS = (0, 1, 2)
KINDS = {
    "no augmentation": {},
    "scale 0.3": {"scale": 0.3},
    "hue, saturation": {"hue": 180.0, "saturation": 1.0},
    "gamma": {"gamma": 1.0},
    "permutation": {"channel_permutation": 1.0},
    "blur": {"blur": 1.0},
    "synthetic": {"synthetic": 1.0},
}
"""Settings with which each kind changes every crop."""

Block = Callable[[float], float]
"""Works for about a number of seconds and returns images per second."""


def main(
    config: tyro.conf.Positional[str] = "quickstart:scratch",
    source: str | None = None,
    augmentation: bool = False,
) -> None:
    """Prints the table.

    Args:
      config: Config whose data settings and step are measured.
      source: Source of images, in place of that of the config.
      augmentation: Measures each kind of augmentation, in place of workers.
    """
    runtime.retain_freed_memory()  # As the commands of jaxcorr do.
    settings = config_files.load_config(config)
    data = settings.data
    if source is not None:
        data = dataclasses.replace(data, source=source)
    images = sources.training_source(data)
    print(f"{config}, {data.source}: {len(images)} images, ", end="")
    print(f"{data.batch_size} crops of {data.crop_size}x{data.crop_size} per batch\n")
    iterators = {
        name: pipeline.batches(images, changed)
        for name, changed in pipelines(data, augmentation=augmentation).items()
    }
    blocks: dict[str, Block] = {}
    step = compiled_step(settings)
    constant = next(next(iter(iterators.values())))
    blocks["step alone"] = functools.partial(
        rate, work=functools.partial(step, constant)
    )
    for name, batches in iterators.items():
        blocks[f"{name}, alone"] = functools.partial(
            rate, work=functools.partial(next, batches)
        )
        blocks[f"{name}, step"] = functools.partial(
            rate, work=functools.partial(fed_step, step, batches)
        )
    rates: dict[str, list[float]] = {name: [] for name in blocks}
    for block in blocks.values():
        block(BLOCK_SECONDS / 3)
    for _ in range(ROUNDS):
        for name, block in blocks.items():
            rates[name].append(block(BLOCK_SECONDS))
    for batches in iterators.values():
        batches.close()
    medians = {name: statistics.median(values) for name, values in rates.items()}
    print_table(list(iterators), medians)


def pipelines(data: DataConfig, *, augmentation: bool) -> dict[str, DataConfig]:
    """Returns the settings of each pipeline to measure, by its name in the table."""
    if not augmentation:
        return {f"{n} workers": dataclasses.replace(data, workers=n) for n in WORKERS}
    return {
        name: dataclasses.replace(
            data, workers=0, augmentation=AugmentationConfig(**kind)
        )
        for name, kind in KINDS.items()
    }


def print_table(names: list[str], medians: dict[str, float]) -> None:
    """Prints images per second, also as multiples of the rate of the step."""
    step = medians["step alone"]
    print(f"{'images/s':16}{'alone':>10}{'/ step':>9}{'step, fed':>11}{'/ step':>9}")
    print(f"{'the step':16}{step:10.1f}")
    for name in names:
        alone, fed = medians[f"{name}, alone"], medians[f"{name}, step"]
        print(f"{name:16}{alone:10.1f}{alone / step:9.1f}{fed:11.1f}{fed / step:9.2f}")


def rate(seconds: float, work: Callable[[], np.ndarray]) -> float:
    """Returns images per second of a function that handles a batch per call."""
    images, start = 0, time.perf_counter()
    while (elapsed := time.perf_counter() - start) < seconds or not images:
        images += len(work())
    return images / elapsed


def fed_step(
    step: Callable[[np.ndarray], np.ndarray], batches: Iterator[np.ndarray]
) -> np.ndarray:
    """Takes a step on the next batch."""
    return step(next(batches))


def compiled_step(settings: TrainConfig) -> Callable[[np.ndarray], np.ndarray]:
    """Returns the train step of a config, which waits until the step has finished."""
    static_config = settings.static_config
    key, weights = jax.random.key(0), member_weights(settings.members[0])
    state = initial_state(static_config, codec.initialize(static_config.codec, key))

    def step(batch: np.ndarray) -> np.ndarray:
        nonlocal state
        state, metrics = train_step(
            state, batch, weights, key, static_config=static_config
        )
        jax.block_until_ready(metrics)
        return batch

    return step


if __name__ == "__main__":
    tyro.cli(main)
