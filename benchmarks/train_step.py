"""Times train steps of the mean-scale hyperprior, also against CompressAI.

    python benchmarks/train_step.py [--compressai PYTHON] [--devices 2]
    python benchmarks/train_step.py --width 192 --channels 320 --dtype bfloat16 \
        --batches 16 32 64 128 256 [--compressai PYTHON] [--profile DIR]

One step: forward, bits + λ MSE + α correlation loss (the last not in CompressAI),
backward, clipped gradient, Adam, on a constant batch. Both run in blocks that take
turns, on all cores or on the accelerator; the median block counts. Without sizes, two
sizes for CPUs are measured.

Utilization is the arithmetic of the step, as the compiler counts it, relative to the
measured rate of a large matrix product of the same type. PYTHON is the Python of an
environment with CompressAI (`peers/compressai_training.py` lists what to install).
"""

import contextlib
import dataclasses
import os
from pathlib import Path
from typing import Literal

# JAX and torch share the GPU, so neither may reserve all of its memory.
os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")

import blocks
import jax
import tyro

from jaxcorr import runtime
from jaxcorr.codec import CodecConfig
from jaxcorr.training.loss import LossConfig
from jaxcorr.training.optimizer import OptimizerConfig
from jaxcorr.training.step import StaticConfig, StepConfig
from jaxcorr.transforms.minnen import Minnen

Dtype = Literal["float32", "bfloat16"]


@dataclasses.dataclass(frozen=True)
class Setup:
    """Sizes of a codec and of its batches."""

    width: int
    channels: int
    batch: int
    crop: int
    dtype: Dtype = "float32"

    def __str__(self) -> str:
        """Returns the name in the table."""
        sizes = f"{self.width}/{self.channels}, {self.batch} x {self.crop}²"
        return f"{sizes}, {self.dtype}"


CPU_SETUPS = (Setup(64, 96, 8, 128), Setup(128, 192, 8, 256))


def main(
    compressai: str | None = None,
    width: int | None = None,
    channels: int | None = None,
    batches: tuple[int, ...] = (8,),
    crop: int = 256,
    dtype: Dtype = "float32",
    profile: Path | None = None,
    devices: int = 1,
) -> None:
    """Prints a line for each setup.

    Args:
      compressai: Python of an environment with CompressAI.
      width: Channels of the hidden layers.
      channels: Channels of the latents.
      batches: Batch sizes.
      crop: Side of a crop, in pixels.
      dtype: Type in which analysis and synthesis compute.
      profile: Folder for a trace of a few steps, for TensorBoard or Perfetto.
      devices: Devices that split the batch; a CPU is split into as many.
    """
    jax.config.update("jax_num_cpu_devices", devices)
    runtime.retain_freed_memory()  # As the commands of jaxcorr do.
    setups = CPU_SETUPS
    if width is not None and channels is not None:
        setups = [Setup(width, channels, batch, crop, dtype) for batch in batches]
    print(f"{jax.devices()[0].device_kind}, jax {jax.__version__}")
    dtypes: set[Dtype] = {setup.dtype for setup in setups}
    for name in sorted(dtypes):
        print(f"  {name} matrix product: {blocks.matmul_rate(name) / 1e12:.2f} TFLOP/s")
    print(
        f"{'setup':32}{'s/step':>9}{'images/s':>10}{'TFLOP':>8}{'util.':>7}"
        f"{'MiB/image':>11}{'CompressAI':>12}{'ratio':>7}"
    )
    for setup in setups:
        try:
            print(measure(setup, compressai, profile, devices), flush=True)
        except jax.errors.JaxRuntimeError as error:
            if not blocks.is_out_of_memory(error):
                raise
            print(f"{setup!s:32} out of memory", flush=True)


def measure(
    setup: Setup, compressai: str | None, profile: Path | None, devices: int
) -> str:
    """Measures a setup and returns its line of the table."""
    static_config = static_config_of(setup)
    step, compiled = blocks.our_block(
        static_config, batch=setup.batch, crop=setup.crop, devices=devices
    )
    with contextlib.ExitStack() as stack:
        timed = [step]
        if compressai is not None:
            peer = blocks.peer_block(peer_of(setup, compressai))
            timed.append(stack.enter_context(peer))
        ours_seconds, *theirs_seconds = blocks.in_turns(timed)
        if profile is not None:
            with jax.profiler.trace(str(profile)):
                step(3)
    costs, memory = compiled.cost_analysis(), compiled.memory_analysis()
    assert costs is not None and memory is not None
    flops = costs["flops"] * devices
    mebibytes = memory.temp_size_in_bytes * devices / 2**20
    rate = blocks.matmul_rate(setup.dtype)
    line = (
        f"{setup!s:32}{ours_seconds:9.4f}{setup.batch / ours_seconds:10.1f}"
        f"{flops / 1e12:8.3f}{flops / ours_seconds / rate:7.0%}"
        f"{mebibytes / setup.batch:11.1f}"
    )
    for seconds in theirs_seconds:
        line += f"{seconds:12.4f}{ours_seconds / seconds:7.2f}"
    return line


def static_config_of(setup: Setup) -> StaticConfig:
    """Returns the settings of the step of jaxcorr."""
    transforms = Minnen(width=setup.width, channels=setup.channels)
    return StaticConfig(
        codec=CodecConfig(transforms=transforms),
        loss=LossConfig(),
        optimizer=OptimizerConfig(),
        step=StepConfig(transform_dtype=setup.dtype),
        steps=1_000_000,
    )


def peer_of(setup: Setup, python: str) -> blocks.Peer:
    """Returns CompressAI's step of the same sizes."""
    return blocks.Peer(python=python, **dataclasses.asdict(setup))


if __name__ == "__main__":
    tyro.cli(main)
