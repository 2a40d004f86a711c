"""Counts the memory traffic of a program that XLA compiled for a TPU, from its text.

The compiler's count of bytes does not separate vector memory, which is on the chip,
from HBM. Here only HBM counts, and arrays are padded to whole tiles, as their layouts
in the text say. Bodies of loops do not count, since the one loop of a train step, over
the offsets of the correlation map, is small.
"""

import dataclasses
import math
import re
from collections.abc import Mapping

BYTES = {"f32": 4, "s32": 4, "u32": 4, "bf16": 2, "f16": 2, "u8": 1, "s8": 1, "pred": 1}
ON_CHIP = "S(1)"
NO_TRAFFIC = {"parameter", "tuple", "get-tuple-element", "bitcast", "constant"}
"""Operations that only name or view existing arrays."""
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
      kind: Opcode, such as `fusion`.
      memory: Bytes read from and written to HBM.
      result: Bytes of the results, in any memory.
      cycles: Cycles that the compiler expects; 0 where it has no estimate.
      name: Name of the operation in the traced function.
      array: Type and shape of the first result, such as `bf16[16,64,64,192]`.
      origin: Layer that it is part of, or the innermost function of jaxcorr.
    """

    kind: str
    memory: int
    result: int
    cycles: int
    name: str
    array: str
    origin: str


def operations(text: str) -> list[Operation]:
    """Returns the operations of a compiled program that move data."""
    types: dict[str, str] = {}
    layers = origins(text)
    parsed = []
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
        traced, origin = origin_of(line, layers)
        total = sum(size for size, _ in _arrays(result))
        cycles = _cycles(line)
        first = _ARRAY.search(result)
        array = f"{first[1]}[{first[2]}]" if first else ""
        parsed.append(Operation(kind, memory, total, cycles, traced, array, origin))
    return parsed


def collectives(parsed: list[Operation]) -> dict[str, dict[str, int]]:
    """Counts the collectives of each kind, and the bytes of their results."""
    totals = {}
    for kind in COLLECTIVES:
        sizes = [
            operation.result
            for operation in parsed
            if operation.kind.removesuffix("-start") == kind
        ]
        if sizes:
            totals[kind] = {"count": len(sizes), "bytes": sum(sizes)}
    return totals


def origin_of(line: str, layers: Mapping[str, str]) -> tuple[str, str]:
    """Returns the name of an operation in the traced function, and where it is from.

    Args:
      line: The operation in the text of a program.
      layers: `origins` of the program.

    Returns:
      Both; empty where the program does not say it.
    """
    traced = re.search(r'op_name="([^"]*)"', line)
    frame = re.search(r"stack_frame_id=(\d+)", line)
    return traced[1] if traced else "", layers.get(frame[1], "") if frame else ""


def direction(name: str) -> str:
    """Returns the pass that an operation of a traced function belongs to."""
    return "backward" if "transpose(" in name else "forward"


def origins(text: str) -> dict[str, str]:
    """Returns the layer, or else the innermost function of jaxcorr, of each frame."""
    files = dict(re.findall(r'^(\d+) "(.*/jaxcorr/.*)"$', text, re.MULTILINE))
    names = dict(re.findall(r'^(\d+) "([^/\n]*)"$', text, re.MULTILINE))
    places = {
        number: (files.get(file, ""), names.get(function, ""))
        for number, file, function in re.findall(
            r"^(\d+) {file_name_id=(\d+) function_name_id=(\d+)", text, re.MULTILINE
        )
    }
    frames = {
        # The text counts callers from 1 for none.
        int(number): (places[place], int(parent) - 1)
        for number, place, parent in re.findall(
            r"^(\d+) {file_location_id=(\d+) parent_frame_id=(\d+)}",
            text,
            re.MULTILINE,
        )
    }

    def origin(number: int) -> str:
        innermost = ""
        while number in frames:
            (file, name), number = frames[number]
            if "/layers/" in file and name.endswith(".__call__"):
                return name.removesuffix(".__call__")
            if file and not innermost:
                innermost = name.partition(".<locals>")[0]
        return innermost

    return {str(number): origin(number) for number in frames}


def _cycles(line: str) -> int:
    """Returns the compiler's estimate; 0 where it has none or an absurdly large one."""
    estimate = re.search(r'"estimated_cycles":"(\d+)"', line)
    cycles = int(estimate[1]) if estimate else 0
    return cycles if cycles < NO_ESTIMATE else 0


def _transfer(result: str) -> int:
    """Returns the HBM traffic of a copy between vector memory and HBM, or in HBM."""
    sizes = _arrays(result)
    if len(sizes) < 2:
        return 0
    moved = min(size for size, _ in sizes[:2])
    return moved * sum(not on_chip for _, on_chip in sizes[:2])


def _in_memory(text: str) -> int:
    return sum(size for size, on_chip in _arrays(text) if not on_chip)


def _arrays(text: str) -> list[tuple[int, bool]]:
    """Returns the bytes of each array of a type, and whether it is on the chip."""
    return [
        (BYTES[kind] * _padded_size(shape, layout), ON_CHIP in layout)
        for kind, shape, layout in _ARRAY.findall(text)
    ]


def _padded_size(shape: str, layout: str) -> int:
    """Returns the elements of an array whose minor axes are padded to whole tiles."""
    sizes = [int(size) for size in shape.split(",") if size]
    order, _, rest = layout.partition(":")
    tile = re.match(r"T\(([\d,]+)\)", rest)
    minor_first = [int(axis) for axis in order.split(",") if axis]
    if tile:
        sides = [int(side) for side in tile[1].split(",")][::-1]
        for axis, side in zip(minor_first, sides, strict=False):
            sizes[axis] = -(-sizes[axis] // side) * side
    return math.prod(sizes)
