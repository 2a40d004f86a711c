"""Train steps as blocks that can be timed in turns: ours, and CompressAI's in torch."""

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
from jaxtyping import Array, UInt8

from jaxcorr import codec
from jaxcorr.errors import UserError
from jaxcorr.training.step import StaticConfig, TrainState, initial_state, train_step
from jaxcorr.training.sweep import SweepConfig, member_weights

PEER = Path(__file__).parent / "peers" / "compressai_training.py"
ROUNDS = 5
MATRIX = {"cpu": 2048, "gpu": 8192, "tpu": 8192}
"""Side of the matrices of the product that is the measure of a device."""

Block = Callable[[int], float]
"""Takes a number of steps and gives the seconds that they took."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Peer:
    """A train step of CompressAI in torch.

    Attributes:
      python: Python with torch and CompressAI.
      architecture: `mean-scale` or `cheng2020-anchor`.
      width: Channels of the hidden layers.
      channels: Channels of the latents.
      batch: Crops a step.
      crop: Side of a crop, in pixels.
      dtype: `float32`, or `bfloat16` by torch's autocast.
      channels_last: Whether arrays have torch's `channels_last` layout.
      compiled: Whether the model goes through `torch.compile`.
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
    """Measures the median seconds of a step of each block, block by block in turns.

    Args:
      blocks: Blocks to time.
      seconds: About how long a block runs in a round.
      rounds: Rounds.
    """
    for block in blocks:
        block(1)
    steps = [max(1, round(seconds / block(1))) for block in blocks]
    times: list[list[float]] = [[] for _ in blocks]
    for _ in range(rounds):
        for own, block, count in zip(times, blocks, steps, strict=True):
            own.append(block(count) / count)
    return [statistics.median(own) for own in times]


def our_block(
    static_config: StaticConfig, *, batch: int, crop: int
) -> tuple[Block, jax.stages.Compiled]:
    """Compiles our train step on a batch that stays the same.

    Returns:
      The block, and the compiled program behind it.
    """
    state, images, key = first_step(static_config, batch=batch, crop=crop)
    weights = member_weights(SweepConfig().members[0])
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
    """Draws the state, random crops and the key of a first step."""
    key = jax.random.key(0)
    state = initial_state(static_config, codec.initialize(static_config.codec, key))
    images = jax.random.randint(key, (batch, crop, crop, 3), 0, 256)
    return state, images.astype(jnp.uint8), key


@contextlib.contextmanager
def peer_block(peer: Peer) -> Iterator[Block]:
    """Starts CompressAI's step in a process of its own, which waits while ours runs.

    Raises:
      UserError: If the process ends; the message is the error that it printed.
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
        asked, said = process.stdin, process.stdout

        def answer() -> str:
            line = said.readline()
            if not line:
                errors.seek(0)
                lines = errors.read().strip().splitlines() or ["no message"]
                named = [each for each in lines if "Error" in each.split(":")[0]]
                raise UserError(f"{PEER.name}: {(named or lines)[-1]}")
            return line

        def block(steps: int) -> float:
            print(steps, file=asked, flush=True)
            return float(answer())

        answer()
        yield block
        asked.close()


def matmul_rate(dtype: str) -> float:
    """Measures the operations a second of a large matrix product."""
    side = MATRIX[jax.default_backend()]
    # Of random numbers: a GPU multiplies ones or zeros at a higher clock.
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
    """Returns whether JAX, or torch in a peer, had too little memory."""
    text = str(error)
    return "RESOURCE_EXHAUSTED" in text or "OutOfMemoryError" in text
