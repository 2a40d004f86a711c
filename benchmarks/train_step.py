"""Times training steps of the mean-scale hyperprior, beside CompressAI's.

    python benchmarks/train_step.py [--compressai PYTHON]
    python benchmarks/train_step.py --width 192 --channels 320 --dtype bfloat16 \
        --batches 16 32 64 128 256 [--compressai PYTHON] [--profile DIR]

One step: forward, bits + λ MSE + α correlation loss (CompressAI's without the last),
backward, clipped gradient, Adam, on a batch that stays the same. Both run in turns,
block by block, on all cores or on the accelerator; the median block counts. Without
sizes the two of the table for CPUs are measured.

Utilization is the arithmetic of the step, as the compiler counts it, against the rate
of a large matrix product measured here in the same type. PYTHON is that of an
environment with CompressAI (`peers/compressai_training.py` says what to install).
"""

import contextlib
import dataclasses
import os
import statistics
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Literal

# Two frameworks share the card: neither may take all of its memory.
os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")

import jax
import jax.numpy as jnp
import tyro

from jaxcorr import codec, runtime
from jaxcorr.codec import CodecSettings
from jaxcorr.training.objective import Objective
from jaxcorr.training.optimizer import Optimizer
from jaxcorr.training.step import Recipe, Step, initial_state, train_step
from jaxcorr.training.sweep import SweepConfig
from jaxcorr.transforms.minnen import Minnen

PEER = Path(__file__).parent / "peers" / "compressai_training.py"
BLOCK_SECONDS = 2.0
ROUNDS = 5
MATRIX = {"cpu": 2048, "gpu": 8192, "tpu": 8192}
"""Side of the matrices of the product that is the measure of a device."""

Dtype = Literal["float32", "bfloat16"]


@dataclasses.dataclass(frozen=True)
class Setup:
    """What is trained, on what."""

    width: int
    channels: int
    batch: int
    crop: int
    dtype: Dtype = "float32"

    def __str__(self) -> str:
        """As the table calls it."""
        sizes = f"{self.width}/{self.channels}, {self.batch} x {self.crop}²"
        return f"{sizes}, {self.dtype}"


CPU_SETUPS = (Setup(64, 96, 8, 128), Setup(128, 192, 8, 256))

Block = Callable[[int], float]
"""Takes a number of steps and gives the seconds that they took."""


def main(
    compressai: str | None = None,
    width: int | None = None,
    channels: int | None = None,
    batches: tuple[int, ...] = (8,),
    crop: int = 256,
    dtype: Dtype = "float32",
    profile: Path | None = None,
) -> None:
    """Prints a line for each setup.

    Args:
      compressai: Python of an environment with CompressAI.
      width: Channels of the hidden layers.
      channels: Channels of the latents.
      batches: Batch sizes.
      crop: Side of a crop, in pixels.
      dtype: What analysis and synthesis compute in.
      profile: Folder for a trace of a few steps, which TensorBoard and Perfetto show.
    """
    runtime.keep_freed()  # As the commands do.
    setups = CPU_SETUPS
    if width is not None and channels is not None:
        setups = [Setup(width, channels, batch, crop, dtype) for batch in batches]
    print(f"{jax.devices()[0].device_kind}, jax {jax.__version__}")
    kinds: set[Dtype] = {setup.dtype for setup in setups}
    for kind in sorted(kinds):
        print(f"  {kind} matrix product: {matmul_rate(kind) / 1e12:.2f} TFLOP/s")
    print(
        f"{'setup':32}{'s/step':>9}{'images/s':>10}{'TFLOP':>8}{'util.':>7}"
        f"{'MiB/image':>11}{'CompressAI':>12}{'ratio':>7}"
    )
    for setup in setups:
        try:
            print(line_of(setup, compressai, profile), flush=True)
        except jax.errors.JaxRuntimeError as error:
            if "RESOURCE_EXHAUSTED" not in str(error):
                raise
            print(f"{setup!s:32} out of memory", flush=True)


def line_of(setup: Setup, compressai: str | None, profile: Path | None) -> str:
    """Measures a setup."""
    step, compiled = our_block(setup)
    with contextlib.ExitStack() as stack:
        theirs = None
        if compressai is not None:
            theirs = stack.enter_context(their_block(compressai, setup))
        ours_seconds, theirs_seconds = in_turns(step, theirs)
        if profile is not None:
            with jax.profiler.trace(str(profile)):
                step(3)
    costs, memory = compiled.cost_analysis(), compiled.memory_analysis()
    assert costs is not None and memory is not None
    flops, mebibytes = costs["flops"], memory.temp_size_in_bytes / 2**20
    line = (
        f"{setup!s:32}{ours_seconds:9.4f}{setup.batch / ours_seconds:10.1f}"
        f"{flops / 1e12:8.3f}{flops / ours_seconds / matmul_rate(setup.dtype):7.0%}"
        f"{mebibytes / setup.batch:11.1f}"
    )
    if theirs_seconds is not None:
        line += f"{theirs_seconds:12.4f}{ours_seconds / theirs_seconds:7.2f}"
    return line


def in_turns(ours: Block, theirs: Block | None) -> tuple[float, float | None]:
    """Median seconds of a step of each, in blocks that take turns."""
    blocks = [ours] if theirs is None else [ours, theirs]
    for block in blocks:
        block(1)
    steps = [max(1, round(BLOCK_SECONDS / block(1))) for block in blocks]
    seconds: list[list[float]] = [[] for _ in blocks]
    for _ in range(ROUNDS):
        for found, block, count in zip(seconds, blocks, steps, strict=True):
            found.append(block(count) / count)
    medians = [statistics.median(found) for found in seconds]
    return medians[0], medians[1] if theirs is not None else None


def our_block(setup: Setup) -> tuple[Block, jax.stages.Compiled]:
    """Our step, and the compiled program behind it."""
    transforms = Minnen(width=setup.width, channels=setup.channels)
    recipe = Recipe(
        codec=CodecSettings(transforms=transforms),
        objective=Objective(),
        optimizer=Optimizer(),
        step=Step(transform_dtype=setup.dtype),
        steps=1_000_000,
    )
    key, weights = jax.random.key(0), SweepConfig().members[0].weights
    state = initial_state(recipe, codec.initialize(recipe.codec, key))
    shape = (setup.batch, setup.crop, setup.crop, 3)
    images = jax.random.randint(key, shape, 0, 256).astype(jnp.uint8)
    compiled = train_step.lower(state, images, weights, key, recipe=recipe).compile()

    def block(steps: int) -> float:
        nonlocal state
        start = time.perf_counter()
        for _ in range(steps):
            state, metrics = compiled(state, images, weights, key)
        jax.block_until_ready(metrics)
        return time.perf_counter() - start

    return block, compiled


@contextlib.contextmanager
def their_block(python: str, setup: Setup) -> Iterator[Block]:
    """CompressAI's step, in a process of its own that waits while ours runs."""
    sizes = map(str, (setup.width, setup.channels, setup.batch, setup.crop))
    command = [python, str(PEER), *sizes, setup.dtype]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin is not None and process.stdout is not None
        asked, said = process.stdin, process.stdout
        if said.readline() != "ready\n":
            raise RuntimeError(f"{PEER.name} did not start")

        def block(steps: int) -> float:
            print(steps, file=asked, flush=True)
            return float(said.readline())

        yield block
        asked.close()


def matmul_rate(dtype: Dtype) -> float:
    """Operations a second of a large matrix product."""
    side = MATRIX[jax.default_backend()]
    x = jnp.ones((side, side), dtype)
    product = jax.jit(jnp.matmul)
    jax.block_until_ready(product(x, x))
    seconds = []
    for _ in range(ROUNDS):
        start = time.perf_counter()
        jax.block_until_ready(product(x, x))
        seconds.append(time.perf_counter() - start)
    return 2 * side**3 / min(seconds)


if __name__ == "__main__":
    tyro.cli(main)
