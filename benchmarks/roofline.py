"""From what a program does on a TPU v5e to the least time that it can take.

Peaks of a chip as in https://cloud.google.com/tpu/docs/v5e: 197 TFLOP/s in bfloat16
(convolutions of float32 arrays run in bfloat16 passes, one by default), 819 GB/s of
memory, 16 GB of it, and 400 GB/s over four links, both directions together.
"""

PEAK_FLOPS = 197e12
PEAK_MEMORY = 819e9
PEAK_LINKS = 200e9
"""Bytes a second that leave a chip, over all four links."""
MEMORY = 16e9
CLOCK = PEAK_FLOPS / (4 * 2 * 128 * 128)
"""Cycles a second: four units of 128x128 multipliers make up the peak."""
WHOLE_TORUS = 256
"""Chips from which on every row and column of chips is a ring. Below, rows are open:
what goes around the ring takes a link in one direction only."""


def occupied(result: dict) -> float:
    """Bytes of memory of a chip while the step runs."""
    parts = ("argument_bytes", "temporary_bytes", "program_bytes")
    return sum(result[part] for part in parts)


def bounds(result: dict) -> tuple[float, float, float]:
    """Seconds of arithmetic, of memory traffic, and of communication, all at peak."""
    rate = PEAK_LINKS if result["chips"] >= WHOLE_TORUS else PEAK_LINKS / 2
    links = 0.0
    for kind, each in result["collectives"].items():
        # Of an all-reduce, every byte leaves and comes back once in a ring.
        links += each["bytes"] * (2 if kind == "all-reduce" else 1) / rate
    return (
        result["flops"] / PEAK_FLOPS,
        result["memory_traffic"] / PEAK_MEMORY,
        links,
    )


def predicted_seconds(result: dict) -> float:
    """The least of a step, if nothing overlaps with communication."""
    arithmetic, memory, links = bounds(result)
    return max(arithmetic, memory) + links


def compiler_seconds(result: dict) -> float | None:
    """What the compiler expects of all operations one after another."""
    cycles = result.get("cycles_by_the_compiler")
    return cycles / CLOCK if cycles else None
