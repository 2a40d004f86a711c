"""Computes the shortest time that a program can take on TPU v5e, a roofline.

Peaks of a chip are from https://cloud.google.com/tpu/docs/v5e: 197 TFLOP/s in bfloat16
(convolutions of float32 arrays run in bfloat16 passes, one by default), 819 GB/s of
memory bandwidth, 16 GB of memory, and 400 GB/s over four links in both directions.
"""

PEAK_FLOPS = 197e12
PEAK_MEMORY = 819e9
PEAK_LINKS = 200e9
"""Bytes per second that leave a chip, over all four links."""
MEMORY = 16e9
CLOCK = PEAK_FLOPS / (4 * 2 * 128 * 128)
"""Cycles per second, given four units of 128x128 multipliers at the peak."""
TORUS_CHIPS = 256
"""Number of chips from which on every row and column of chips is a ring.

In smaller slices rows are open, and a ring uses each link in one direction only."""


def occupied(result: dict) -> float:
    """Returns the bytes of memory that a step occupies on a chip."""
    parts = ("argument_bytes", "temporary_bytes", "program_bytes")
    return sum(result[part] for part in parts)


def largest_batch(full: dict, half: dict) -> int:
    """Returns the largest batch per chip, if memory grows linearly with the batch."""
    images = full["batch"] - half["batch"]
    per_image = (occupied(full) - occupied(half)) / images
    room = MEMORY - occupied(full)
    return int(room / per_image) + full["batch"]


def bounds(result: dict) -> tuple[float, float, float]:
    """Returns the seconds of arithmetic, memory traffic and communication at peak."""
    rate = PEAK_LINKS if result["chips"] >= TORUS_CHIPS else PEAK_LINKS / 2
    links = 0.0
    for kind, total in result["collectives"].items():
        # In the ring of an all-reduce, every byte leaves and returns once.
        links += total["bytes"] * (2 if kind == "all-reduce" else 1) / rate
    return (
        result["flops"] / PEAK_FLOPS,
        result["memory_traffic"] / PEAK_MEMORY,
        links,
    )


def predicted_seconds(result: dict) -> float:
    """Returns the roofline of a step, if nothing overlaps with communication."""
    arithmetic, memory, links = bounds(result)
    return max(arithmetic, memory) + links


def compiler_seconds(result: dict) -> float | None:
    """Returns the seconds that the compiler expects, with operations in sequence."""
    cycles = result.get("cycles_by_the_compiler")
    return cycles / CLOCK if cycles else None
