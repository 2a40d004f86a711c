"""Compares variants of the train step, and CompressAI's, on one device.

    python benchmarks/step_variants.py [--width 72] [--channels 112] [--batch-size 8]

All variants compile at the same time, each in its own process, because XLA takes most
of a minute to choose the algorithms of the convolutions on a GPU. Then they take turns.
A variant that is not ready after `--patience` seconds is left out. Prints a table in
Markdown.
"""

import concurrent.futures
import dataclasses
import json
import os
import subprocess
import sys

import tyro

LAYOUT = "--xla_gpu_force_conv_nhwc=true"
"""Flag of XLA with which all convolutions on a GPU keep channels last."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Settings:
    """The codec, the batch and the peer."""

    width: int = 72
    """Hidden channels of Minnen's transforms."""
    channels: int = 112
    """Channels of the latents."""
    batch_size: int = 8
    """Crops in a step."""
    crop_size: int = 256
    """Side of a crop, in pixels."""
    torch: str = sys.executable
    """Python with torch and CompressAI."""
    patience: float = 120.0
    """Seconds after which variants that still compile are left out."""
    seconds: float = 1.0
    """Length of each of three timed blocks."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Variant:
    """A variant of the train step.

    Attributes:
      dtype: Type in which analysis and synthesis compute.
      flags: Flags of XLA.
      upsampling: Implementation of upsampling.
      peer: Whether this is CompressAI's step, in torch with channels last.
    """

    dtype: str = "float32"
    flags: str = ""
    upsampling: str = "polyphase"
    peer: bool = False


VARIANTS = {
    "float32": Variant(),
    "float32, channels last": Variant(flags=LAYOUT),
    "bfloat16": Variant(dtype="bfloat16"),
    "bfloat16, channels last": Variant(dtype="bfloat16", flags=LAYOUT),
    "bfloat16, transposed upsampling": Variant(
        dtype="bfloat16", upsampling="transposed"
    ),
    "CompressAI, float32": Variant(peer=True),
    "CompressAI, bfloat16": Variant(peer=True, dtype="bfloat16"),
}


def main(settings: Settings) -> None:
    """Compiles the variants together, times them in turn and prints a table."""
    processes = {name: start(name, settings) for name in VARIANTS}
    with concurrent.futures.ThreadPoolExecutor(len(processes)) as pool:
        lines = [pool.submit(read_line, process) for process in processes.values()]
        _, late = concurrent.futures.wait(lines, timeout=settings.patience)
        for line, process in zip(lines, processes.values(), strict=True):
            if line in late:
                process.kill()
    print("| train step | images per second | ms per step |")
    print("| --- | ---: | ---: |")
    for name, process in processes.items():
        printed, _ = process.communicate("go\n" if process.poll() is None else None)
        if not printed:
            print(f"| {name} | not measured | |")
            continue
        seconds = json.loads(printed)
        rate = settings.batch_size / seconds
        print(f"| {name} | {rate:.0f} | {1000 * seconds:.2f} |", flush=True)


def start(name: str, settings: Settings) -> subprocess.Popen[str]:
    """Starts the process of a variant, which writes a line when it is ready."""
    flags = f"{os.environ.get('XLA_FLAGS', '')} {VARIANTS[name].flags}".strip()
    options = json.dumps({"name": name, **dataclasses.asdict(settings)})
    return subprocess.Popen(
        [sys.executable, __file__, "--child", options],
        env=os.environ | {"XLA_FLAGS": flags, "XLA_PYTHON_CLIENT_PREALLOCATE": "false"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def read_line(process: subprocess.Popen[str]) -> str:
    """Waits for a line that a process writes; empty if the process ends."""
    assert process.stdout is not None
    return process.stdout.readline()


def child(name: str, settings: Settings) -> None:
    """Compiles a variant, waits for its turn, and writes the seconds of a step."""
    import blocks  # Imports JAX, with the flags of this variant.
    from accelerator_parts import setup

    from jaxcorr.codec import CodecConfig
    from jaxcorr.layers import implementations
    from jaxcorr.layers.implementations import Implementations
    from jaxcorr.transforms.minnen import Minnen

    variant = VARIANTS[name]
    width, channels = settings.width, settings.channels
    batch, crop = settings.batch_size, settings.crop_size
    if variant.peer:
        peer = blocks.Peer(
            python=settings.torch,
            width=width,
            channels=channels,
            batch=batch,
            crop=crop,
            dtype=variant.dtype,
            channels_last=True,
        )
        with blocks.peer_block(peer) as block:
            answer(block, settings.seconds)
        return
    step = setup.static_config_of(
        CodecConfig(transforms=Minnen(width=width, channels=channels)),
        variant.dtype,
        crop=crop,
        correlation=False,
    )
    form = Implementations(upsampling=variant.upsampling)  # pyright: ignore
    with implementations.forced(form):
        block, _ = blocks.our_block(step, batch=batch, crop=crop)
    answer(block, settings.seconds)


def answer(block, seconds: float) -> None:
    """Says that a block is ready, waits, and writes the least seconds of a step."""
    block(3)
    print("ready", flush=True)
    sys.stdin.readline()
    steps = max(4, round(seconds / (block(4) / 4)))
    print(json.dumps(min(block(steps) / steps for _ in range(3))), flush=True)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--child"]:
        given = json.loads(sys.argv[2])
        child(given.pop("name"), Settings(**given))
    else:
        main(tyro.cli(Settings))
