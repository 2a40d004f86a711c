"""What a program that XLA compiled for a TPU moves: read off its text.

The compiler's own count of bytes takes vector memory, which is on the chip, for the
same as the memory beside it. Here only the latter counts, with the padding of arrays to
whole tiles, as the layouts in the text say. Bodies of loops do not count: the one loop
of a train step, over the offsets of the correlation map, is small.
"""

import dataclasses
import math
import re

BYTES = {"f32": 4, "s32": 4, "u32": 4, "bf16": 2, "f16": 2, "u8": 1, "s8": 1, "pred": 1}
ON_CHIP = "S(1)"
NO_TRAFFIC = {"parameter", "tuple", "get-tuple-element", "bitcast", "constant"}
"""Operations that only name what is there."""
NO_ESTIMATE = 10**10
COLLECTIVES = (
    "all-reduce",
    "all-gather",
    "reduce-scatter",
    "collective-permute",
    "all-to-all",
)

_ARRAY = re.compile(rf"\b({'|'.join(BYTES)})\[([\d,]*)\](?:{{([^}}]*)}})?")
_OPERATION = re.compile(
    r"\s+(?:ROOT )?%?([\w.\-]+) = (\(.*?\)(?= [\w\-]+\()|\S+) ([\w\-]+)\((.*)"
)


@dataclasses.dataclass(frozen=True)
class Operation:
    """An operation of the main computation.

    Attributes:
      kind: What it does, such as `fusion`.
      memory: Bytes that it reads from and writes to memory beside the chip.
      result: Bytes of its results, wherever they are.
      cycles: How long the compiler expects it to take; 0 where it does not say.
      name: What it came from, in the traced function.
    """

    kind: str
    memory: int
    result: int
    cycles: int
    name: str


def operations(text: str) -> list[Operation]:
    """The operations of a compiled program that move anything."""
    types: dict[str, str] = {}
    found = []
    for line in text[text.index("\nENTRY") :].splitlines():
        match = _OPERATION.match(line)
        if match is None:
            continue
        name, result, kind, rest = match.groups()
        types[name] = result
        if kind in NO_TRAFFIC or kind.endswith("-done"):
            continue
        operands = re.findall(r"%([\w.\-]+)", rest.partition("), ")[0])
        if kind in {"copy-start", "slice-start"}:
            memory = _transfer(result)
        else:
            memory = _in_memory(result)
            memory += sum(_in_memory(types.get(operand, "")) for operand in operands)
        origin = re.search(r'op_name="([^"]*)"', line)
        total = sum(size for size, _ in _arrays(result))
        cycles = _cycles(line)
        name = origin[1] if origin else ""
        found.append(Operation(kind, memory, total, cycles, name))
    return found


def collectives(found: list[Operation]) -> dict[str, dict[str, int]]:
    """How often each kind of communication happens, and the bytes that come out."""
    totals = {}
    for kind in COLLECTIVES:
        of_kind = [x for x in found if x.kind.removesuffix("-start") == kind]
        if of_kind:
            size = sum(operation.result for operation in of_kind)
            totals[kind] = {"count": len(of_kind), "bytes": size}
    return totals


def _cycles(line: str) -> int:
    """The compiler's estimate; where it has none, an absurdly large number."""
    estimate = re.search(r'"estimated_cycles":"(\d+)"', line)
    cycles = int(estimate[1]) if estimate else 0
    return cycles if cycles < NO_ESTIMATE else 0


def _transfer(result: str) -> int:
    """Bytes of a transfer between chip and memory, or within memory."""
    sizes = _arrays(result)
    if len(sizes) < 2:
        return 0
    moved = min(size for size, _ in sizes[:2])
    return moved * sum(not on_chip for _, on_chip in sizes[:2])


def _in_memory(text: str) -> int:
    return sum(size for size, on_chip in _arrays(text) if not on_chip)


def _arrays(text: str) -> list[tuple[int, bool]]:
    """Bytes of each array of a type, and whether it is on the chip."""
    return [
        (BYTES[kind] * _padded_size(shape, layout), ON_CHIP in layout)
        for kind, shape, layout in _ARRAY.findall(text)
    ]


def _padded_size(shape: str, layout: str) -> int:
    """Elements of an array whose last axes, in memory, are padded to whole tiles."""
    sizes = [int(size) for size in shape.split(",") if size]
    order, _, rest = layout.partition(":")
    tile = re.match(r"T\(([\d,]+)\)", rest)
    minor_first = [int(axis) for axis in order.split(",") if axis]
    if tile:
        sides = [int(side) for side in tile[1].split(",")][::-1]
        for axis, side in zip(minor_first, sides, strict=False):
            sizes[axis] = -(-sizes[axis] // side) * side
    return math.prod(sizes)
