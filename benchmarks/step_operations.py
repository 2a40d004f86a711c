"""Prints which layers a train step spends its time in, on a CPU.

    python benchmarks/step_operations.py [--width 64] [--channels 96]

Profiles a few steps and sums the operations that the threads of XLA ran, by the layer
that they were traced in, and by whether they multiply matrices (convolutions and
products) or not. Gradients of kernels have no name in the program of a CPU.

The last line compares with the rate of a large product of matrices on the same cores.
On one core (`taskset -c 0`) it is higher, since the operations are too small to be
shared well among cores.
"""

import collections
import re
import tempfile
import time
from pathlib import Path

import blocks
import jax
import program_traffic
import train_step
import tyro
from jax.profiler import ProfileData

from jaxcorr import runtime

STEPS = 6
PRODUCTS = re.compile(r"ynn|conv|dot")
_ASSIGNED = re.compile(r"^\s+(?:ROOT )?%?([\w.\-]+) = ", re.MULTILINE)


def main(width: int = 64, channels: int = 96, batch: int = 8, crop: int = 128) -> None:
    """Prints a line for each layer and kind of operation.

    Args:
      width: Channels of the hidden layers.
      channels: Channels of the latents.
      batch: Crops per step.
      crop: Side of a crop, in pixels.
    """
    runtime.retain_freed_memory()
    setup = train_step.Setup(width, channels, batch, crop)
    static_config = train_step.static_config_of(setup)
    step, compiled = blocks.our_block(static_config, batch=batch, crop=crop)
    step(2)
    start = time.perf_counter()
    step(STEPS)
    step_seconds = (time.perf_counter() - start) / STEPS
    with tempfile.TemporaryDirectory() as folder:
        with jax.profiler.trace(folder):
            step(STEPS)
        (trace,) = Path(folder).rglob("*.xplane.pb")
        profile = ProfileData.from_file(str(trace))
    kinds = kinds_of(compiled.as_text() or "")
    seconds = collections.Counter()
    for plane in profile.planes:
        for line in plane.lines:
            for event in line.events if "Eigen" in line.name else ():
                if event.name in kinds:
                    seconds[kinds[event.name]] += event.duration_ns / 1e9 / STEPS
    total = sum(seconds.values())
    print(f"{setup}: {total:.3f} s of operations a step")
    for kind, value in seconds.most_common(16):
        print(f"{value / total:7.1%}  {kind}")
    costs = compiled.cost_analysis()
    assert costs is not None
    utilization = costs["flops"] / step_seconds / blocks.matmul_rate("float32")
    products = sum(n for kind, n in seconds.items() if kind.endswith("products"))
    print(
        f"{utilization:.0%} of the rate of a large product of matrices: products take "
        f"{products / total:.0%} of the time, at {utilization * total / products:.0%} "
        "of that rate"
    )


def kinds_of(text: str) -> dict[str, str]:
    """Returns what each operation of a compiled program belongs to."""
    origins = program_traffic.origins(text)
    kinds = {}
    for line in text.splitlines():
        assigned = _ASSIGNED.match(line)
        if assigned is None:
            continue
        name = assigned[1]
        traced, origin = program_traffic.origin_of(line, origins)
        is_product = PRODUCTS.match(name) is not None
        if not traced:
            layer = "gradients of kernels" if is_product else "copies without a name"
        else:
            layer = f"{origin or 'other'}, {program_traffic.direction(traced)}"
        kinds[name] = f"{layer}: {'products' if is_product else 'the rest'}"
    return kinds


if __name__ == "__main__":
    tyro.cli(main)
