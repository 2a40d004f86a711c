"""Times train steps of jaxcorr and of CompressAI in turns, as blocks of steps."""

import contextlib
import dataclasses
import json
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import jax
import jax.numpy as jnp
from jax.sharding import NamedSharding, PartitionSpec
from jaxtyping import Array, UInt8

from jaxcorr import codec
from jaxcorr.errors import UserError
from jaxcorr.training import sharding
from jaxcorr.training.sharding import MeshConfig
from jaxcorr.training.step import StaticConfig, TrainState, initial_state, train_step
from jaxcorr.training.sweep import SweepConfig, member_weights

PEER = Path(__file__).parent / "peers" / "compressai_training.py"
ROUNDS = 5
MATRIX = {"cpu": 2048, "gpu": 8192, "tpu": 8192}
"""Side of the matrices whose product measures the peak rate of a device."""

Block = Callable[[int], float]
"""Takes a number of steps and returns the seconds that they took."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Peer:
    """A train step of CompressAI in torch.

    Attributes:
      python: Python with torch and CompressAI.
      architecture: `mean-scale` or `cheng2020-anchor`.
      width: Channels of the hidden layers.
      channels: Channels of the latents.
      batch: Crops per step.
      crop: Side of a crop, in pixels.
      dtype: `float32`, or `bfloat16` with torch's autocast.
      channels_last: Whether arrays have torch's `channels_last` layout.
      compiled: Whether the model is compiled with `torch.compile`.
    """

    python: str
    architecture: str = "mean-scale"
    width: int
    channels: int
    batch: int
    crop: int
    dtype: str = "float32"
    channels_last: bool = False
    compiled: bool = False


def in_turns(
    blocks: Sequence[Block], *, seconds: float = 2.0, rounds: int = ROUNDS
) -> list[float]:
    """Returns the median seconds of a step of each block; the blocks take turns.

    Args:
      blocks: Blocks to time.
      seconds: Approximate duration of a block in each round.
      rounds: Number of rounds.
    """
    for block in blocks:
        block(1)
    steps = [max(1, round(seconds / block(1))) for block in blocks]
    times: list[list[float]] = [[] for _ in blocks]
    for _ in range(rounds):
        for seconds_per_step, block, count in zip(times, blocks, steps, strict=True):
            seconds_per_step.append(block(count) / count)
    return [statistics.median(seconds_per_step) for seconds_per_step in times]


def our_block(
    static_config: StaticConfig, *, batch: int, crop: int, devices: int = 1
) -> tuple[Block, jax.stages.Compiled]:
    """Compiles the train step of jaxcorr on a constant batch.

    Args:
      static_config: Settings of the step.
      batch: Crops per step, on all devices together.
      crop: Side of a crop, in pixels.
      devices: Devices that split the batch.

    Returns:
      The block, and its compiled program.
    """
    state, images, key = first_step(static_config, batch=batch, crop=crop)
    weights = member_weights(SweepConfig().members[0])
    mesh = sharding.make_mesh(MeshConfig(), jax.devices()[:devices])
    state = sharding.shard_state(state, mesh)
    images = jax.device_put(images, sharding.batch_sharding(mesh))
    weights, key = jax.device_put((weights, key), NamedSharding(mesh, PartitionSpec()))
    with jax.set_mesh(mesh):
        compiled = train_step.lower(
            state, images, weights, key, static_config=static_config
        ).compile()

    def block(steps: int) -> float:
        nonlocal state
        start = time.perf_counter()
        for _ in range(steps):
            state, metrics = compiled(state, images, weights, key)
        jax.block_until_ready(metrics)
        return time.perf_counter() - start

    return block, compiled


def first_step(
    static_config: StaticConfig, *, batch: int, crop: int
) -> tuple[TrainState, UInt8[Array, "b h w 3"], Array]:
    """Returns the state, random crops and the key of a first step."""
    key = jax.random.key(0)
    state = initial_state(static_config, codec.initialize(static_config.codec, key))
    images = jax.random.randint(key, (batch, crop, crop, 3), 0, 256)
    return state, images.astype(jnp.uint8), key


@contextlib.contextmanager
def peer_block(peer: Peer) -> Iterator[Block]:
    """Starts CompressAI's step in a separate process, which waits between its blocks.

    Raises:
      UserError: If the process ends, with the error that it printed.
    """
    options = dataclasses.asdict(peer)
    python = options.pop("python")
    with (
        tempfile.TemporaryFile("w+") as errors,
        subprocess.Popen(
            [python, str(PEER), json.dumps(options)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        ) as process,
    ):
        assert process.stdin is not None and process.stdout is not None
        to_peer, from_peer = process.stdin, process.stdout

        def answer() -> str:
            line = from_peer.readline()
            if not line:
                errors.seek(0)
                lines = errors.read().strip().splitlines() or ["no message"]
                failures = [line for line in lines if "Error" in line.split(":")[0]]
                raise UserError(f"{PEER.name}: {(failures or lines)[-1]}")
            return line

        def block(steps: int) -> float:
            print(steps, file=to_peer, flush=True)
            return float(answer())

        answer()
        yield block
        to_peer.close()


def matmul_rate(dtype: str) -> float:
    """Returns the floating-point operations per second of a large matrix product."""
    side = MATRIX[jax.default_backend()]
    # Random numbers, since a GPU multiplies ones or zeros at a higher clock.
    x = jax.random.normal(jax.random.key(0), (side, side), dtype)
    product = jax.jit(jnp.matmul)
    jax.block_until_ready(product(x, x))
    seconds = []
    for _ in range(ROUNDS):
        start = time.perf_counter()
        jax.block_until_ready(product(x, x))
        seconds.append(time.perf_counter() - start)
    return 2 * side**3 / min(seconds)


def is_out_of_memory(error: Exception) -> bool:
    """Returns whether JAX, or torch in a peer, ran out of memory."""
    text = str(error)
    return "RESOURCE_EXHAUSTED" in text or "OutOfMemoryError" in text
